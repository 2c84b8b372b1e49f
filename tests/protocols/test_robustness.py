"""Studies that are given wrong values, or damaged files: words that say what was given and what would work."""

import errno
import os
import re
import tempfile
from functools import cached_property

import numpy as np
import pytest
from brian2 import mA, ms
from brian2.units import DimensionMismatchError

from brian_qif import EventSolver, SpikeTimeLoss, load_network
from brian_qif.example import example_network
from brian_qif.protocols.balanced_network import build_balanced_network
from brian_qif.protocols.comparison import compare_runs
from brian_qif.protocols.loss_landscape import landscape
from brian_qif.protocols.parallel import claim_folder, run_pieces
from brian_qif.protocols.perturbed_network import Perturbation, PerturbedNetwork
from brian_qif.protocols.prediction import predict
from brian_qif.protocols.reproduction import SIZES, Size, reproduce
from brian_qif.protocols.run_folder import RunFolder, read_run
from brian_qif.protocols.search import search_settings
from brian_qif.protocols.shd_training import train_on_recordings
from brian_qif.protocols.spike_perturbation import perturb, perturb_network
from brian_qif.protocols.training_stability import measure_stability
from brian_qif.training.datasets import SpikeSample
from tests.protocols.test_comparison import write_run
from tests.test_robustness import UNHELPFUL

WRONG = ["x", np.nan, [], -1, 2.5, 3 * mA, object()]
NO_RUN = "nowhere"  # refused before it is looked for, or named


def network(**changed):
    return build_balanced_network(**{"neuron": "lif", "size": 5, "degree": 2, "duration": 10 * ms, **changed})


class Example:
    """A small network whose spikes are perturbed, made when it is first asked for."""

    @cached_property
    def parts(self):
        return example_network()

    @cached_property
    def perturbed(self):
        return self.study(loss=SpikeTimeLoss(self.parts.neurons, target=12 * ms))

    def study(self, **changed):
        given = {"duration": 40 * ms, "layer": self.parts.stimulus, "solver": EventSolver(backend="reference")}
        return PerturbedNetwork(**{"network": self.parts.network, **given, **changed})

    def change(self, **changed):
        return self.perturbed.run(perturbation=self.one(**changed))

    def response(self, **changed):
        return self.perturbed.response(None, self.one(**changed))

    def one(self, **changed):
        return Perturbation(**{"kind": "shift", "neuron": 0, "time": 2e-3, "size": 1e-6, **changed})

    def perturb(self, **changed):
        given = {"layer": self.parts.stimulus, "out": "out", "sizes": (1e-6,), "repeats": 1, "distances": ()}
        given |= {"duration": 40 * ms, "solver": EventSolver(backend="reference")}
        return perturb_network(**{"network": self.parts.network, **given, **changed})


EXAMPLE = Example()
SAMPLE = SpikeSample(np.array([1e-3]), np.array([0]), 0)


# For each argument: how to give it, and the wrong values that are right here.
ARGUMENTS = {
    **{f"landscape {name}": (lambda x, n=name: landscape(NO_RUN, **{n: x}), ())
       for name in ("grid", "lines", "line_points", "directions", "cells", "threads", "seed")},
    "landscape extent": (lambda x: landscape(NO_RUN, extent=x), (2.5,)),
    "landscape line_extent": (lambda x: landscape(NO_RUN, line_extent=x), (2.5,)),
    "perturb samples": (lambda x: perturb(NO_RUN, samples=x), ()),
    "predict rasters": (lambda x: predict(NO_RUN, NO_RUN, rasters=x), ()),
    "predict threads": (lambda x: predict(NO_RUN, NO_RUN, threads=x), ()),
    **{f"stability {name}": (lambda x, n=name: measure_stability(**{n: x}), ())
       for name in ("seeds", "epochs", "hidden", "samples", "neurons", "multiples")},
    **{f"search {name}": (lambda x, n=name: search_settings(**{n: x}), ())
       for name in ("trials", "epochs", "hidden", "inputs", "threads", "seed")},
    **{f"train {name}": (lambda x, n=name: train_on_recordings(**{n: x}), ())
       for name in ("epochs", "inputs", "batch_size", "threads", "seed")},
    **{f"balanced network {name}": (lambda x, n=name: network(**{n: x}), ())
       for name in ("size", "degree", "duration", "seed")},
    "balanced network rate": (lambda x: network(rate=x), (2.5,)),
    "balanced network excitation": (lambda x: network(excitation=x), (-1, 2.5)),
    "load_network trials": (lambda x: load_network(NO_RUN, trials=x), ()),
    "compare folders": (lambda x: compare_runs(x, "both.png"), ()),
    "reproduce size": (lambda x: reproduce(size=x), ()),
    "reproduce threads": (lambda x: reproduce(threads=x), ()),
    "reproduce report": (lambda x: reproduce(report=x), ()),
    **{f"size {name}": (lambda x, n=name: Size(**{**vars(SIZES["smoke"]), n: x}), ()) for name in vars(SIZES["smoke"])},
    "perturb kind": (lambda x: perturb(NO_RUN, kind=x), ()),
    **{f"perturbation {name}": (lambda x, n=name: EXAMPLE.change(**{n: x}), right)
       for name, right in {"kind": (), "neuron": (), "time": (), "size": (2.5,)}.items()},
    "response time": (lambda x: EXAMPLE.response(time=x), ()),
    "perturbation": (lambda x: EXAMPLE.perturbed.run(perturbation=x), ()),
    "perturbed sample": (lambda x: EXAMPLE.study(stimulus=EXAMPLE.parts.stimulus).run(x), ()),
    "sample without a stimulus": (lambda x: EXAMPLE.perturbed.run(SAMPLE), ()),
    **{f"perturbed network {name}": (lambda x, n=name: EXAMPLE.study(**{n: x}), right)
       for name, right in {"network": (), "duration": (), "layer": (), "loss": (), "stimulus": (), "solver": (),
                           "namespace": (), "times": ([],)}.items()},
    **{f"perturb_network {name}": (lambda x, n=name: EXAMPLE.perturb(**{n: x}), right)
       for name, right in {"duration": (), "layer": (), "kind": (), "sizes": (), "samples": (), "stimulus": (),
                           "loss": (), "repeats": (), "spike": (), "seed": (), "time_scale": (2.5,),
                           "distances": ([],), "table": (), "threads": (), "solver": (), "about": (),
                           "elsewhere": (), "report": ()}.items()},
    "perturb_network sample": (
        lambda x: EXAMPLE.perturb(samples={0: x}, stimulus=EXAMPLE.parts.stimulus), ()
    ),
    "perturb_network spike that is not there": (lambda x: EXAMPLE.perturb(spike=99), ()),
    "workers": (lambda x: run_pieces(len, {}, NO_RUN, workers=x), (-1,)),
}  # fmt: skip


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_wrong_values_are_refused_in_words(argument, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    give, right = ARGUMENTS[argument]
    for value in WRONG:
        if repr(value) in map(repr, right):
            continue
        with pytest.raises((TypeError, ValueError, DimensionMismatchError)) as refusal:
            give(value)
        assert not UNHELPFUL.search(str(refusal.value)), f"{argument} = {value!r}: {refusal.value}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "argument, value, error, message",
    [
        ("landscape grid", "x", TypeError, "'grid' has to be a whole number; 'x' was given."),
        ("landscape extent", "x", TypeError, "'extent' has to be positive and finite, a number; 'x' was given."),
        ("perturb samples", 2.5, TypeError, "'samples' has to be a whole number; 2.5 was given."),
        (
            "stability multiples",
            [np.nan],
            ValueError,
            "Multiples of the step sizes have to be positive and finite, not",
        ),
        ("stability neurons", "lif", TypeError, "'neurons' is a list of models; 'lif' was given."),
        ("search trials", 0, ValueError, "'trials' has to be at least 1, not 0."),
        ("train seed", -1, ValueError, "'seed' has to be at least 0, not -1."),
        ("balanced network rate", np.inf, ValueError, "The rate has to be positive and finite, not inf Hz."),
        ("balanced network excitation", np.nan, ValueError, "'excitation' has to be finite, not nan."),
        ("load_network trials", True, TypeError, "'trials' has to be a whole number; True was given."),
        ("load_network trials", 2.5, TypeError, "'trials' has to be a whole number; 2.5 was given."),
        ("compare folders", "run", TypeError, "'folders' is a list of folders of finished runs; 'run' was given."),
        ("compare folders", [], ValueError, "At least one folder of a finished run is needed; an empty list was given"),
        ("size hidden", 2.5, TypeError, "'hidden' has to be a whole number; 2.5 was given."),
        ("size grid", 4, ValueError, "'grid' has to be odd, so that the network itself is a point, not 4."),
        ("reproduce threads", 0, ValueError, "'threads' has to be at least 1, not 0."),
        ("perturbation kind", [], ValueError, "There is no perturbation '[]'; there are add, delete, shift, weight."),
        ("perturbation time", np.nan, ValueError, "'time' has to be finite, not nan."),
        ("perturbation size", 3 * ms, TypeError, "'size' has to be finite, a number; 3. * msecond was given."),
        ("response time", 2.5, ValueError, "has no spike at 2.5 s."),
        ("perturbation", "shift", TypeError, "A Perturbation says what is changed; 'shift' was given."),
        ("sample without a stimulus", None, TypeError, "make the study with stimulus=that group."),
        ("perturbed network solver", "cpp", TypeError, "Networks are perturbed with an EventSolver; 'cpp' was given."),
        ("perturbed network times", [np.nan], ValueError, "States are read at a row of times in seconds, 0 to 0.04;"),
        ("perturb_network sizes", 1e-6, TypeError, "'sizes' is a list of numbers; 1e-06 was given."),
        ("perturb_network samples", [1], TypeError, "'samples' is a dict or None; [1] was given."),
        ("perturb_network samples", {}, ValueError, "At least one sample is needed; an empty dict was given."),
        ("perturb_network samples", {"x": SAMPLE}, TypeError, "'the number of a sample' has to be a whole number; 'x'"),
        ("perturb_network sample", SpikeSample([1e-3], [9], 0), ValueError, "3 neurons, so its units go from 0 to 2;"),
        ("perturb_network sample", SpikeSample([np.nan], [0], 0), ValueError, "must be numbers in ascending order"),
        ("perturb_network sample", SpikeSample([1e-3], [0.5], 0), TypeError, "must be integers; they are float64."),
        ("perturb_network sample", SpikeSample([1e-3], [0], "x"), TypeError, "'the label of sample 0' has to be"),
        ("perturb_network about", {"x": {1}}, TypeError, "'about' holds what JSON can hold; {'x': {1}} was given"),
        ("perturb_network elsewhere", ("x", 3), TypeError, "'elsewhere' is an address and a function, or"),
        ("perturb_network elsewhere", (3, len), TypeError, "A scheduler is an address such as 'tcp://"),
        ("perturb_network distances", "spike", TypeError, "'distances' is a list of names; 'spike' was given."),
        ("perturb_network spike that is not there", 99, ValueError, "counted from 0; there is no spike 99."),
        ("workers", 0, ValueError, "'workers' has to be at least 1, or -1 for all cores, not 0."),
    ],
)
def test_the_words(argument, value, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=re.escape(message)):
        ARGUMENTS[argument][0](value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", ["new/both", "new/both.xyz"])
def test_pictures_of_no_kind_leave_no_folder(tmp_path, out):
    run = write_run(tmp_path / "run", "lif", 0.75)
    with pytest.raises(ValueError, match=r"A picture is a file that ends in \..*\.png.*; '.*both.*' was given"):
        compare_runs([run], tmp_path / out)
    assert not (tmp_path / "new").exists()


def test_a_run_of_something_else_is_not_compared(tmp_path):
    run = write_run(tmp_path / "run", "lif", 0.75)
    (tmp_path / "run" / "summary.json").write_text('{"settings": {}}')
    with pytest.raises(ValueError, match="is not of a run of 'brian-qif train': neuron, hidden, seed,"):
        compare_runs([run], tmp_path / "both.png")


@pytest.mark.parametrize("text", ["", '{"epochs": ', "[1, 2]", "\x00"])
def test_damaged_files_are_named(tmp_path, text):
    for name in ("settings.json", "summary.json"):
        (tmp_path / name).write_text(text)
    for name in ("history.csv", "checkpoint.npz"):
        (tmp_path / name).write_text("")
    for look in (
        lambda: claim_folder(tmp_path, {"epochs": 1}),
        lambda: RunFolder(tmp_path, resume=True).claim({"epochs": 1}),
        lambda: load_network(tmp_path),
    ):
        with pytest.raises(ValueError, match="settings.json' is (damaged|not of a run)"):
            look()
    with pytest.raises(ValueError, match="summary.json' is damaged"):
        read_run(tmp_path)


def test_a_damaged_history_is_named(tmp_path):
    (tmp_path / "summary.json").write_text("{}")
    (tmp_path / "history.csv").write_text("")
    with pytest.raises(ValueError, match="history.csv' is damaged: No columns to parse"):
        read_run(tmp_path)


def test_a_piece_that_was_cut_short_is_named(tmp_path):
    run_pieces(_piece, {"one": (1,)}, tmp_path)
    (tmp_path / "one.json").write_text('{"a"')
    with pytest.raises(ValueError, match=r"one.json' is damaged: .* Remove it, and the same call computes it again\."):
        run_pieces(_piece, {"one": (1,)}, tmp_path)
    (tmp_path / "one.json").unlink()
    assert run_pieces(_piece, {"one": (1,)}, tmp_path) == {"one": {"a": 1}}


def _piece(number):
    return {"a": number}


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch, number):
    def refuse(*arguments, **keywords):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    expected = f"The output folder '{tmp_path / 'out'}' cannot be written: {os.strerror(number)}."
    for make in (lambda: claim_folder(tmp_path / "out", {}), lambda: RunFolder(tmp_path / "out")):
        with pytest.raises(OSError, match=re.escape(expected)):
            make()
