"""Samples, encodings and data sets that are given wrong values: words that say what was given and what would work."""

import re

import numpy as np
import pytest
from brian2 import mA, ms

from brian_qif.data.embedded import embedded_files
from brian_qif.data.yin_yang import yin_yang, yin_yang_class
from brian_qif.training.augmentation import SpikeAugmentation, merge_channels, separate_copies
from brian_qif.training.datasets import SpikeDataset, SpikeSample
from brian_qif.training.encoding import EncodedAugmentation, SpikeEncoding
from brian_qif.training.latency import latency_samples
from tests.test_robustness import ANY_ERROR, UNHELPFUL, WRONG

SAMPLE = SpikeSample(np.array([0.01, 0.02]), np.array([0, 1]), 0)


@pytest.fixture(scope="module")
def dataset():
    with SpikeDataset(embedded_files()[1]) as opened:
        yield opened


def opened(**changed):
    return SpikeDataset(embedded_files()[1], **changed)


def latency(**changed):
    given = {"values": [[0.5]], "labels": [0], "first": 1 * ms, "last": 2 * ms}
    return latency_samples(**{**given, **changed})


# For each argument: how to give it, and what of the wrong values, or of True, -1, 2.5 and inf, is right here.
MORE = [*WRONG, True, -1, 2.5, np.inf]
FINITE = (2.5,)
ARGUMENTS = {
    **{
        f"SpikeEncoding {name}": (lambda d, x, n=name: SpikeEncoding(**{"n_units": 10, n: x}), right)
        for name, right in {
            "n_units": (), "merge": (), "virtual_times": (), "taps": (), "coincident": (),
            "time_step": FINITE, "virtual_span": FINITE, "tap_delay": FINITE,
        }.items()
    },
    "encoded sample": (lambda d, x: SpikeEncoding(10)(x), ()),
    "EncodedAugmentation augmentation": (lambda d, x: EncodedAugmentation(x, SpikeEncoding(10)), ()),
    "EncodedAugmentation encoding": (lambda d, x: EncodedAugmentation(SpikeAugmentation(10), x), ()),
    **{
        f"SpikeAugmentation {name}": (lambda d, x, n=name: SpikeAugmentation(**{"n_units": 10, n: x}), right)
        for name, right in {
            "n_units": (), "shift": (), "stretch": (), "keep": (), "warp": (),
            "jitter": FINITE, "time_jitter": FINITE,
        }.items()
    },
    "augmented sample": (lambda d, x: SpikeAugmentation(10)(x, np.random.default_rng(0)), ()),
    "generator": (lambda d, x: SpikeAugmentation(10)(SAMPLE, x), ()),
    "merge_channels together": (lambda d, x: merge_channels(SAMPLE, x), ()),
    "separate_copies n_units": (lambda d, x: separate_copies(SAMPLE, x, 1e-3), ()),
    "separate_copies step": (lambda d, x: separate_copies(SAMPLE, 2, x), FINITE),
    "SpikeDataset n_units": (lambda d, x: opened(n_units=x), (None,)),
    "SpikeDataset n_classes": (lambda d, x: opened(n_classes=x), (None,)),
    "SpikeDataset memory": (lambda d, x: opened(memory=x), (2.5, np.inf)),
    "SpikeDataset encoding": (lambda d, x: opened(encoding=x), (None,)),
    "position": (lambda d, x: d[x], (True, -1)),
    "select indices": (lambda d, x: d.select(x), (None,)),
    "select index": (lambda d, x: d.select([x]), (-1,)),
    "select speakers": (lambda d, x: d.select(speakers=x), (None,)),
    "select speaker": (lambda d, x: d.select(speakers=[x]), ()),
    "split share": (lambda d, x: d.split(x), ()),
    "split by": (lambda d, x: d.split(by=x), ()),
    "split seed": (lambda d, x: d.split(seed=x), ()),
    "yin_yang samples": (lambda d, x: yin_yang(x, 1), ()),
    "yin_yang seed": (lambda d, x: yin_yang(2, x), ()),
    "yin_yang_class points": (lambda d, x: yin_yang_class(x), (np.zeros((2, 2)),)),
    "latency values": (lambda d, x: latency(values=x), ()),
    "latency values of two": (lambda d, x: latency(values=x, labels=[0, 1]), (np.zeros((2, 2)),)),
    "latency labels": (lambda d, x: latency(labels=x), ()),
    "latency label": (lambda d, x: latency(labels=[x]), (-1,)),
    "latency first": (lambda d, x: latency(first=x), ()),
    "latency last": (lambda d, x: latency(last=x), ()),
    "latency bias": (lambda d, x: latency(bias=x), (None,)),
    "latency mirror": (lambda d, x: latency(mirror=x), (True,)),
}  # fmt: skip


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_wrong_values_are_refused_in_words(dataset, argument):
    give, right = ARGUMENTS[argument]
    for value in MORE:
        if repr(value) in map(repr, right):
            continue
        with pytest.raises(ANY_ERROR) as refusal:
            give(dataset, value)
        assert not UNHELPFUL.search(str(refusal.value)), f"{argument} = {value!r}: {refusal.value}"


@pytest.mark.parametrize(
    "argument, value, error, message",
    [
        ("SpikeEncoding merge", 2.5, ValueError, "'merge' is a whole number, 0 to 2147483647; 2.5 was given."),
        ("SpikeEncoding n_units", 10**30, ValueError, "'n_units' is a whole number, 0 to 2147483647; 10000000"),
        ("SpikeEncoding time_step", np.nan, ValueError, "'time_step' is a finite number, 0 or more; nan was given."),
        ("SpikeEncoding time_step", 3 * ms, TypeError, "'time_step' is a number without a unit; 3. * msecond was"),
        ("SpikeEncoding tap_delay", "x", TypeError, "'tap_delay' is a number without a unit; 'x' was given."),
        ("encoded sample", None, TypeError, "rows of one length, as a SpikeSample; None was given."),
        ("EncodedAugmentation encoding", 3, TypeError, "'encoding' is called with a sample, a SpikeEncoding; 3 was"),
        ("SpikeAugmentation jitter", np.nan, ValueError, "'jitter' is a finite number; nan was given."),
        ("SpikeAugmentation shift", 2.5, ValueError, "'shift' is a whole number, 0 to 2147483647; 2.5 was given."),
        ("generator", 3, TypeError, "'generator' is a numpy.random.Generator; 3 was given."),
        ("separate_copies step", 0.0, ValueError, "'step' has to be positive, not 0.0."),
        ("SpikeDataset n_units", "x", ValueError, "'n_units' is a whole number, 1 to 2147483647; 'x' was given."),
        ("SpikeDataset memory", -1, ValueError, "'memory' is a number of bytes, 0 or more; -1 was given."),
        ("SpikeDataset encoding", 5, TypeError, "'encoding' is a SpikeEncoding or None; 5 was given."),
        ("position", 2.5, TypeError, "A sample is asked for by its position, a whole number, and several by select; 2"),
        ("select indices", [2.5], TypeError, "Positions are a row of whole numbers; [2.5] was given."),
        ("select indices", [True, False], TypeError, "Positions are a row of whole numbers; [True, False] was given."),
        ("select speakers", 3, TypeError, "Speakers are a row of whole numbers; 3 was given."),
        ("split share", "x", TypeError, "The share that is held out is a number without a unit; 'x' was given."),
        ("split seed", None, ValueError, "The seed is a whole number, 0 or more; None was given."),
        ("yin_yang_class points", "x", TypeError, "Points of the Yin-Yang set are numbers without a unit, in rows of"),
        ("latency values", [[1], [1, 2]], TypeError, "'values' are numbers without a unit, in rows of one length; [["),
        ("latency label", 2.5, TypeError, "'labels' are a row of whole numbers; [2.5] was given."),
        ("latency label", 3 * mA, TypeError, "'labels' are a row of whole numbers; [3. * mamp] was given."),
        ("latency mirror", "no", TypeError, "'mirror' is True or False; 'no' was given."),
    ],
)  # fmt: skip
def test_the_words(dataset, argument, value, error, message):
    with pytest.raises(error, match=re.escape(message)):
        ARGUMENTS[argument][0](dataset, value)


def test_whole_floats_count():
    assert SpikeEncoding(10, merge=2.0).n_inputs == 5
    assert latency(labels=[2.0])[0].label == 2
