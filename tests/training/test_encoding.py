"""Encodings of spike trains: which spikes arrive where and when."""

import numpy as np
import pytest

from brian_qif.training.augmentation import SpikeAugmentation
from brian_qif.training.datasets import SpikeSample
from brian_qif.training.encoding import EncodedAugmentation, SpikeEncoding


def sample(times, units):
    return SpikeSample(np.array(times, dtype=float), np.array(units), 1, 0)


def test_nothing_changes_by_default():
    given = sample([0.1, 0.2], [3, 1])
    assert SpikeEncoding(5)(given) is given


def test_channels_merge_and_the_last_may_be_smaller():
    encoding = SpikeEncoding(7, merge=3)
    found = encoding(sample([0.1, 0.1, 0.2], [6, 0, 4]))
    assert encoding.n_inputs == 3
    assert found.units.tolist() == [0, 2, 1] and found.times.tolist() == [0.1, 0.1, 0.2]


def test_times_on_a_grid_lie_in_the_middle_of_their_steps():
    found = SpikeEncoding(4, time_step=0.01)(sample([0.001, 0.012, 0.019, 0.021], [3, 2, 1, 0]))
    assert found.times == pytest.approx([0.005, 0.015, 0.015, 0.025])
    assert found.units.tolist() == [3, 1, 2, 0]


def test_virtual_times_keep_every_spike_between_the_quantiles():
    generator = np.random.default_rng(0)
    times = np.sort(generator.uniform(0.2, 0.7, 1000))
    found = SpikeEncoding(700, virtual_times=16, virtual_span=0.08)(sample(times, generator.integers(0, 700, 1000)))
    assert len(found.times) == 900
    distinct = np.unique(found.times)
    assert len(distinct) == 16
    assert np.diff(distinct) == pytest.approx(np.full(15, 0.005))
    assert distinct[0] == pytest.approx(0.0025) and distinct[-1] == pytest.approx(0.0775)
    counts = np.unique(found.times, return_counts=True)[1]
    assert counts.min() > 30  # uniform times stay uniform


def test_of_coinciding_spikes_as_many_are_kept_as_wanted():
    given = sample([0.001, 0.002, 0.003, 0.004, 0.012, 0.013, 0.014], [4, 5, 4, 0, 5, 4, 5])
    for limit, times, units in (
        (0, [0.005] * 4 + [0.015] * 3, [0, 2, 2, 2, 2, 2, 2]),
        (1, [0.005] * 2 + [0.015], [0, 2, 2]),
        (2, [0.005] * 3 + [0.015] * 2, [0, 2, 2, 2, 2]),
        (3, [0.005] * 4 + [0.015] * 3, [0, 2, 2, 2, 2, 2, 2]),
        (9, [0.005] * 4 + [0.015] * 3, [0, 2, 2, 2, 2, 2, 2]),
    ):
        found = SpikeEncoding(6, merge=2, time_step=0.01, coincident=limit)(given)
        assert found.times == pytest.approx(times) and found.units.tolist() == units
    assert SpikeEncoding(6, coincident=1)(sample([0.1, 0.1], [2, 2])).units.tolist() == [2]


def test_every_tap_of_a_delay_line_has_the_spikes_later():
    encoding = SpikeEncoding(6, merge=2, taps=3, tap_delay=0.1)
    found = encoding(sample([0.01, 0.15], [5, 0]))
    assert encoding.n_inputs == 9 and encoding.n_channels == 3
    assert found.times == pytest.approx([0.01, 0.11, 0.15, 0.21, 0.25, 0.35])
    assert found.units.tolist() == [2, 5, 0, 8, 3, 6]
    assert encoding.duration_of(0.15) == pytest.approx(0.35)


def test_taps_carry_the_same_changed_spikes():
    generator = np.random.default_rng(0)
    given = sample(np.sort(generator.uniform(0, 0.5, 200)), generator.integers(0, 20, 200))
    change = SpikeAugmentation(20, shift=3, stretch=0.1, jitter=1.0)
    changed = EncodedAugmentation(change, SpikeEncoding(20, taps=2, tap_delay=0.05))(given, generator)
    late = changed.units >= 20
    order = np.lexsort((changed.units[late], changed.times[late]))
    assert changed.units[late][order] - 20 == pytest.approx(changed.units[~late])
    assert changed.times[late][order] - 0.05 == pytest.approx(changed.times[~late])
    assert np.sum(late) < 200 and np.all(np.diff(changed.times) >= 0)


def test_changed_spikes_of_all_taps_lie_on_the_grid_and_coincide_no_more_than_allowed():
    generator = np.random.default_rng(0)
    given = sample(np.sort(generator.uniform(0, 0.5, 5000)), generator.integers(0, 20, 5000))
    encoding = SpikeEncoding(20, merge=2, time_step=2e-3, taps=3, tap_delay=0.08, coincident=1)
    changed = EncodedAugmentation(SpikeAugmentation(20, shift=3, stretch=0.1, jitter=1.0), encoding)(given, generator)
    grid = (np.arange(400) + 0.5) * 2e-3
    assert set(changed.times) <= set(grid)  # the very same numbers, whatever the tap
    assert len(np.unique(np.stack([changed.times, changed.units]), axis=1).T) == len(changed.times)
    odd = SpikeEncoding(20, time_step=2e-3, taps=2, tap_delay=0.0031)(given)
    assert len(odd.times) == 10000 and np.all(np.diff(odd.times) >= 0)
    assert sorted(odd.times[odd.units >= 20] - 0.0031) == pytest.approx(sorted(odd.times[odd.units < 20]))


def test_spikes_before_zero_stay_in_order():
    found = SpikeEncoding(4, time_step=0.01)(sample([0.015, -0.015], [1, 2]))
    assert found.times == pytest.approx([-0.015, 0.015]) and found.units.tolist() == [2, 1]


@pytest.mark.parametrize("times", [[], [0.3], [0.3, 0.3]])
def test_samples_with_hardly_a_spike(times):
    found = SpikeEncoding(4, virtual_times=4)(sample(times, [1] * len(times)))
    assert len(found.times) == len(times)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"merge": 0}, "1 to 5"),
        ({"coincident": -1}, "'coincident' is a whole number, 0 to 2147483647; -1 was given."),
        ({"merge": 6}, "1 to 5"),
        ({"time_step": -1.0}, "'time_step' is a finite number, 0 or more; -1.0 was given."),
        ({"virtual_times": -1}, "'virtual_times' is a whole number, 0 to"),
        ({"virtual_times": 4, "time_step": 0.1}, "not both"),
        ({"virtual_span": 0.0}, "positive"),
        ({"taps": 0}, "at least one tap"),
        ({"taps": 3}, "positive tap_delay"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, text):
    with pytest.raises(ValueError, match=text):
        SpikeEncoding(5, **wrong)
