"""Folders of trainings, files and folders for output that are not what they should be: words, and no folder is left."""

import json
import os
import shutil

import numpy as np
import pytest
from brian2 import mA, ms, second
from brian2.units import DimensionMismatchError

from brian_qif.cli import main
from brian_qif.protocols.prediction import predict
from brian_qif.protocols.shd_training import train_on_recordings
from brian_qif.protocols.spike_perturbation import perturb
from tests.test_robustness import UNHELPFUL
from tests.training.spike_files import write_pattern_file, write_spike_file

# Spikes as they are in the file, which lasts for 34 ms: delay lines would be far longer.
SMALL = {"inputs": 12, "hidden": 5, "batch_size": 8, "epochs": 1, "config": {"taps": 1, "time_step": 0.0}}
WRONG_PATHS = [np.nan, [], -1, True, b"run", {}, 3 * mA, object()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    files = {name: write_pattern_file(folder / f"{name}.h5", k, 12) for k, name in enumerate(("train", "test"))}
    train_on_recordings(out=folder / "run", **files, **SMALL)
    return folder


@pytest.fixture
def place(trained, tmp_path, monkeypatch):
    """A copy of the run, in the working folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained / "run", "run")
    shutil.copy(trained / "test.h5", "test.h5")
    return tmp_path


def predicted(**changed):
    return predict(**{"run": "run", "file": "test.h5", "out": "out", "rasters": 0, **changed})


def perturbed(**changed):
    small = {"samples": 1, "repeats": 1, "sizes": (1e-6,), "distances": ()}
    return perturb(**{"run": "run", "file": "test.h5", "out": "out", **small, **changed})


BOTH = pytest.mark.parametrize("study", [predicted, perturbed])


def settings(**changed):
    def change():
        with open("run/settings.json", encoding="utf-8") as file:
            kept = json.load(file)
        with open("run/settings.json", "w", encoding="utf-8") as file:
            json.dump({**kept, **changed}, file)

    return change


def checkpoint(**changed):
    def change():
        kept = dict(np.load("run/checkpoint.npz"))
        np.savez("run/checkpoint.npz", **{**kept, **changed})

    return change


def of_duration(value):
    return checkpoint(description=np.array(json.dumps({"settings": {"duration": value}})))


DAMAGES = {
    "no number of inputs": (settings(inputs="x"), "settings.json' gives inputs the value 'x'; it has to be a"),
    "no inputs": (settings(inputs=0), "gives inputs the value 0; it has to be a whole number, 1 or more."),
    "more inputs than memory": (settings(inputs=10**9), "has 60 values of input_synapses.w; its settings say 50000"),
    "more neurons than memory": (settings(hidden=[5, 10**9]), "has 75 learned values; its settings say 8000000060 or"),
    "no hidden neurons": (settings(hidden=[]), "gives hidden the value []; it has to be a whole number, 1 or more, or"),
    "part of a class": (settings(classes=2.5), "gives classes the value 2.5; it has to be a whole number, 1 or more."),
    "another neuron": (settings(neuron="izhikevich"), "gives neuron the value 'izhikevich'; it has to be one of lif"),
    "another output": (settings(output="x"), "gives output the value 'x'; it has to be one of average, maximum, first"),
    "recurrence of a kind": (settings(recurrent="x"), "gives recurrent the value 'x'; it has to be true or false."),
    "text for a time": (settings(tau_m="x"), "gives tau_m the value 'x'; it has to be a finite number."),
    "no finite time": (settings(tau_m=np.nan), "gives tau_m the value nan; it has to be a finite number."),
    "part of a tap": (settings(taps=1.5), "gives taps the value 1.5; it has to be a whole number."),
    "no duration": (of_duration(None), "checkpoint.npz' is damaged: the duration of its trials is None, no positive"),
    "a negative duration": (of_duration(-1), "is damaged: the duration of its trials is -1, no positive number."),
    "no settings": (checkpoint(description=np.array("{}")), "is damaged: the duration of its trials is None, no posit"),
    "text for weights": (checkpoint(value_0=np.array(["x"] * 60)), "its array 'value_0' is no row of numbers."),
    "complex weights": (checkpoint(value_0=np.full(60, 1j)), "its array 'value_0' is no row of numbers."),
    "a table of weights": (checkpoint(value_0=np.ones((6, 10))), "its array 'value_0' is no row of numbers."),
    "weights of a divergence": (checkpoint(value_0=np.full(60, np.nan)), "the training diverged. Choose another run."),
    "a gap": (checkpoint(value_3=np.ones(3)), "it lacks learned values; it has value_0, value_1, value_3."),
    "an array": (lambda: np.save(open("run/checkpoint.npz", "wb"), np.ones(3)), "is not a checkpoint of a training:"),
}  # fmt: skip


@BOTH
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_runs_are_refused_in_words(place, study, damage):
    change, message = DAMAGES[damage]
    change()
    with pytest.raises(ValueError) as refusal:
        study()
    assert message in str(refusal.value)
    assert not os.path.exists("out")


@pytest.mark.parametrize("name, wanted", [("training_speakers", "whole numbers"), ("class_names", "texts")])
@pytest.mark.parametrize("value", ["x", 3, {"a": 1}, [None]])
def test_damaged_summaries_are_refused_in_words(place, name, wanted, value):
    with open("run/summary.json", "w", encoding="utf-8") as file:
        json.dump({name: value}, file)
    for study in (predicted, perturbed):
        with pytest.raises(ValueError) as refusal:
            study()
        assert f"'run/summary.json' is damaged: {name} is a list of {wanted}, not {value!r}." == str(refusal.value)


@BOTH
@pytest.mark.parametrize("name", ["run", "file", "out"])
def test_what_is_no_path_is_refused(place, study, name):
    said = {"run": "The folder of a run", "file": "'file'", "out": "The output folder"}[name]
    for value in WRONG_PATHS:
        with pytest.raises(TypeError) as refusal:
            study(**{name: value})
        assert f"{said} is a path, a text or an os.PathLike; {value!r} was given." == str(refusal.value)
    with pytest.raises(ValueError, match=f"{said} is a path; an empty text was given."):
        study(**{name: ""})
    assert sorted(os.listdir()) == ["run", "test.h5"]


@BOTH
def test_files_that_are_no_spike_trains_are_refused(place, study):
    with open("text.h5", "w", encoding="utf-8") as file:
        file.write("hello")
    write_spike_file("wide.h5", [[0.01]], [[13]], [0])
    write_spike_file("renamed.h5", [[0.01]], [[1]], [0], keys=(b"zero", b"two", b"one"))
    for file, message in (
        ("none.h5", "There is no file 'none.h5'."),
        ("run", "'run' is a folder, not an HDF5 file."),
        ("text.h5", "'text.h5' is not an HDF5 file."),
        ("wide.h5", "sample 0 has a spike of unit 13 (spike 0), but the network has 12 inputs."),
        ("renamed.h5", "'renamed.h5' calls class 1 'two', but 'run' learned it as 'one': their labels do not mean the"),
    ):
        with pytest.raises((ValueError, FileNotFoundError)) as refusal:
            study(file=file)
        assert message in str(refusal.value)
    assert not os.path.exists("out")


@BOTH
@pytest.mark.parametrize("out", ["test.h5", "test.h5/out"])
def test_a_file_in_the_way_of_the_output_is_named_before_any_work(place, study, out, monkeypatch):
    monkeypatch.setattr("brian_qif.gradients.batch.BatchGradient.__call__", None)
    with pytest.raises(NotADirectoryError, match="test.h5' is a file; the output needs a folder."):
        study(out=out)


@BOTH
def test_a_folder_that_cannot_be_written_is_named_before_any_work(place, study, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *given: False)
    with pytest.raises(PermissionError, match="The output folder 'new/out' cannot be written: '.*' is not yours"):
        study(out="new/out")


@pytest.mark.parametrize(
    "given, error, message",
    [
        ({"solver": np.zeros((2, 2))}, ValueError, "There is no solver"),
        ({"solver": None}, ValueError, "There is no solver 'None'; there are event, clock."),
        ({"device": "genn"}, ValueError, "The event-driven solver has no device; take the solver 'clock' for 'genn'."),
        ({"dt": "x"}, TypeError, "The step dt is a time, for instance 0.5*ms; 'x' was given."),
        ({"dt": 3 * mA}, DimensionMismatchError, "The step dt is a time, for instance 0.5*ms"),
        ({"solver": "clock", "device": 3}, TypeError, "device is a name such as 'runtime' or 'cpp_standalone'; 3 was"),
        ({"solver": "clock", "dt": -1 * ms}, ValueError, "The step dt of a ClockSolver must be positive and finite;"),
        ({"solver": "clock", "dt": 1000 * second}, ValueError, "is not a whole number of steps of 1000.0 s."),
    ],
)
def test_wrong_solvers_of_predictions_are_refused(place, given, error, message):
    with pytest.raises(error) as refusal:
        predicted(**given)
    assert message in str(refusal.value) and not UNHELPFUL.search(str(refusal.value))


@pytest.mark.parametrize(
    "given, message",
    [
        *[({"scheduler": value}, f"A scheduler is an address such as 'tcp://host:8786', or None; {value!r} was given.")
          for value in (3, [], b"tcp://host:8786")],
        *[({name: None}, f"'{name}' follows from the run; perturb_network takes any.")
          for name in ("loss", "stimulus", "time_scale", "about", "elsewhere")],
    ],
)  # fmt: skip
def test_wrong_options_of_perturbations_are_refused(place, given, message):
    with pytest.raises(TypeError) as refusal:
        perturbed(**given)
    assert str(refusal.value) == message and not os.path.exists("out")


@pytest.mark.parametrize("kind", ["shift", "weight"])
def test_numbers_of_numpy_are_numbers(place, kind):
    plain = perturbed(kind=kind, out="plain", repeats=2, seed=3, threads=1)
    given = {"sizes": np.array([1e-6]), "repeats": np.int64(2), "seed": np.int32(3), "threads": np.int64(10**12)}
    assert perturbed(kind=kind, **given)["found"] == plain["found"]
    assert perturbed(kind=kind, **given)["settings"] == plain["settings"]


def test_a_piece_of_something_else_is_named(place):
    perturbed()
    for text in ("[]", "3", "{}", '{"perturbations": [], "changes": [], "courses": []}'):
        with open("out/pieces/sample_0.json", "w", encoding="utf-8") as file:
            file.write(text)
        with pytest.raises(ValueError, match="sample_0.json' is damaged: it is none of this study. Remove it, and the"):
            perturbed()


@pytest.mark.parametrize("kind", ["add", "delete", "shift", "weight"])
def test_a_study_in_which_nothing_changes_is_drawn(place, kind):
    checkpoint(value_0=np.zeros(60))()
    summary = perturbed(kind=kind, sizes=(1e-6, 1e-3) if kind in ("shift", "weight") else None)
    assert all(row["loss_change_median"] == 0 for row in summary["found"]["by_size"])
    assert os.path.exists("out/report.html")


@pytest.mark.parametrize("command", [["predict", "run", "test.h5"], ["perturb", "run", "--file", "test.h5"]])
def test_activity_without_bound_is_said_by_the_command(place, capsys, command):
    checkpoint(value_0=np.full(60, 1e300))()
    assert main(command) == 2
    shown = capsys.readouterr().err
    assert "has too many events to be kept" in shown and "Traceback" not in shown and shown.count("\n") == 1


@pytest.mark.parametrize(
    "command, message",
    [
        (["predict", "run", "test.h5", "--device", "genn"], "The event-driven solver has no device; take the solver"),
        (["predict", "test.h5", "run"], "'test.h5' holds no run: settings.json is missing."),
        (["predict", "run", "run"], "'run' is a folder, not an HDF5 file."),
        (["predict", "run", "test.h5", "--out", ""], "The output folder is a path; an empty text was given."),
        (["perturb", "run", "--file", "none.h5"], "There is no file 'none.h5'."),
        (["perturb", "run"], "has 70 input neurons, but the network of 'run' has 12."),
        (["perturb", "run", "--file", "test.h5", "--out", "test.h5"], "'test.h5' is a file; the output needs a"),
        (["perturb", "run", "--file", "test.h5", "--sizes", "nan"], "Sizes have to be positive and finite, not nan."),
        (["perturb", "run", "--file", "test.h5", "--scheduler", ""], "an empty text was given."),
    ],
)
def test_the_commands_say_what_is_wrong_in_one_line(place, capsys, command, message):
    assert main(command) == 2
    shown = capsys.readouterr().err
    assert message in shown and shown.count("\n") == 1
    assert sorted(os.listdir()) == ["run", "test.h5"] and not [name for name in os.listdir("run") if "_" in name]
