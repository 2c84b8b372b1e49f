import json
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pandas as pd
import pytest

from brian_qif.cli import main
from brian_qif.protocols.recipes import RECIPES
from brian_qif.protocols.run_folder import RunFolder
from brian_qif.protocols.shd_training import train_on_recordings
from brian_qif.training.checkpoints import read_checkpoint
from tests.training.spike_files import write_pattern_file, write_spike_file

SMALL = {"inputs": 12, "hidden": 5, "batch_size": 8, "learning_rate": 0.02, "epochs": 3}


@pytest.fixture
def files(tmp_path):
    return {
        "train": write_pattern_file(tmp_path / "train.h5", 0, 40, speakers=(0, 1)),
        "test": write_pattern_file(tmp_path / "test.h5", 1, 20, speakers=(0, 7)),
    }


def values_in(folder):
    arrays, description = read_checkpoint(folder / "checkpoint.npz")
    return [arrays["value_0"], arrays["value_1"]], description["epoch"]


def command(files, out, *more):
    return [
        *("train", "--train", str(files["train"]), "--test", str(files["test"]), "--out", str(out)),
        *("--inputs", "12", "--hidden", "5", "--batch-size", "8", "--learning-rate", "0.02", "--epochs", "3"),
        *more,
    ]


@pytest.mark.parametrize("neuron", ["lif", "qif"])
def test_a_run_leaves_all_its_files(files, tmp_path, neuron):
    out = tmp_path / "results" / neuron
    summary = train_on_recordings(out=out, neuron=neuron, seed=2, **files, **SMALL)
    assert sorted(os.listdir(out)) == ["checkpoint.npz", "curves.png", "history.csv", "settings.json", "summary.json"]
    assert json.loads((out / "summary.json").read_text("utf-8")) == summary
    assert (summary["neuron"], summary["hidden"], summary["epochs"], summary["seed"]) == (neuron, 5, 3, 2)
    assert set(summary["test_accuracy_by_speaker"]) == {"0", "7"}
    assert summary["test_accuracy_known_speakers"] == summary["test_accuracy_by_speaker"]["0"]
    assert summary["test_accuracy_unknown_speakers"] == summary["test_accuracy_by_speaker"]["7"]
    assert summary["test_accuracy"] == pytest.approx(np.mean(list(summary["test_accuracy_by_speaker"].values())))
    assert summary["seconds"] > 0
    assert summary["settings"]["tau_m"] == RECIPES[neuron].tau_m
    history = pd.read_csv(out / "history.csv")
    assert list(history["epoch"]) == [1, 2, 3]
    assert {"loss", "accuracy", "silent_share_hidden", "rate_hidden", "seconds"} <= set(history)
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_initial_activity_is_as_wanted(files, tmp_path):
    lines = []
    train_on_recordings(out=tmp_path / "out", report=lines.append, **files, **SMALL)
    reached = float(lines[0].removeprefix("Initial activity: ").split()[0])
    assert reached == pytest.approx(RECIPES["qif"].initial_spikes, rel=0.03)


def test_threads_change_no_bit(files, tmp_path):
    for threads in (1, 3):
        train_on_recordings(out=tmp_path / str(threads), threads=threads, **files, **SMALL)
    for one, three in zip(values_in(tmp_path / "1")[0], values_in(tmp_path / "3")[0], strict=True):
        np.testing.assert_array_equal(one, three)


def start(arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "brian_qif.cli", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def epochs_in(history):
    return len(history.read_text("utf-8").splitlines()) - 1


def end(process, sent, history):
    """Python loses an interrupt that comes while a weak reference is called back; then the run just goes on."""
    while process.poll() is None:
        before = epochs_in(history)
        process.send_signal(sent)
        while process.poll() is None and epochs_in(history) < before + 10:
            time.sleep(0.02)


# Enough that a run is still under way when the signal comes, on a busy machine too.
EPOCHS = "150"


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGKILL"])
def test_an_interrupted_run_goes_on_to_the_same_bits(files, tmp_path, signal_name):
    if not hasattr(signal, signal_name) or sys.platform == "win32":
        pytest.skip("needs POSIX signals")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert main(command(files, whole, "--epochs", EPOCHS)) == 0
    process = start(command(files, broken, "--epochs", EPOCHS))
    history = broken / "history.csv"
    while not (history.exists() and epochs_in(history) >= 2):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)
    end(process, getattr(signal, signal_name), history)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == (130 if signal_name == "SIGINT" else -signal.SIGKILL), output
    assert 2 <= values_in(broken)[1] < int(EPOCHS)
    assert not (broken / "summary.json").exists()
    assert main(command(files, broken, "--epochs", EPOCHS, "--resume")) == 0
    for value, expected in zip(values_in(broken)[0], values_in(whole)[0], strict=True):
        np.testing.assert_array_equal(value, expected)
    for name in ("train_accuracy", "test_accuracy", "train_loss", "test_loss"):
        outcomes = [json.loads((run / "summary.json").read_text("utf-8"))[name] for run in (whole, broken)]
        assert outcomes[0] == outcomes[1]


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_anew(files, tmp_path):
    train_on_recordings(out=tmp_path / "whole", **files, **SMALL)
    train_on_recordings(out=tmp_path / "early", **files, **SMALL)
    for name in ("checkpoint.npz", "history.csv", "summary.json", "curves.png"):
        (tmp_path / "early" / name).unlink()
    train_on_recordings(out=tmp_path / "early", resume=True, **files, **SMALL)
    for value, expected in zip(values_in(tmp_path / "early")[0], values_in(tmp_path / "whole")[0], strict=True):
        np.testing.assert_array_equal(value, expected)


def test_resuming_with_another_configuration_names_what_differs(files, tmp_path):
    out = tmp_path / "out"
    train_on_recordings(out=out, **files, **SMALL)
    changes = {"hidden": 6, "seed": 1}
    with pytest.raises(ValueError, match="other settings: hidden was 5, now 6; seed was 0, now 1"):
        train_on_recordings(out=out, resume=True, **files, **{**SMALL, **changes})
    other = write_pattern_file(tmp_path / "other.h5", 5, 40)
    with pytest.raises(ValueError, match="other settings: training_data was"):
        train_on_recordings(out=out, resume=True, train=other, test=files["test"], **SMALL)


def test_a_folder_with_a_run_is_not_overwritten(files, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(command(files, out)) == 0
    before = {file: file.read_bytes() for file in out.iterdir()}
    assert main(command(files, out)) == 2
    message = capsys.readouterr().err
    assert "already holds a run (settings.json, checkpoint.npz" in message
    assert message.count("\n") == 1
    assert {file: file.read_bytes() for file in out.iterdir()} == before


def test_resuming_where_there_is_no_run(files, tmp_path, capsys):
    assert main(command(files, tmp_path / "none", "--resume")) == 2
    assert "holds no run to go on with" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_an_output_that_cannot_be_written(files, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(command(files, tmp_path / "file")) == 2
    assert "is a file; the output needs a folder" in capsys.readouterr().err
    assert main(command(files, tmp_path / "file" / "below")) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_bad_data_leave_no_run_behind(files, tmp_path, capsys):
    bad = write_spike_file(tmp_path / "bad.h5", [[0.1]], [[12]], [0])
    for files_in_use in ({**files, "test": bad}, {**files, "train": bad}):
        assert main(command(files_in_use, tmp_path / "out")) == 2
        assert "bad.h5', sample 0 has a spike of unit 12 (spike 0), but the network has 12 inputs" in (
            capsys.readouterr().err
        )
    assert main(command(files, tmp_path / "out")) == 0


def test_labels_beyond_the_readout(files, tmp_path, capsys):
    bad = write_spike_file(tmp_path / "bad.h5", [[0.1]], [[1]], [3], keys=(b"a", b"b", b"c", b"d"))
    assert main(command({**files, "test": bad}, tmp_path / "out")) == 2
    assert "sample 0 has the label 3, but there are 3 classes (0 to 2)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--hidden", "0"), "'hidden' has to be at least 1, not 0"),
        (("--epochs", "0"), "'epochs' has to be at least 1, not 0"),
        (("--seed", "-1"), "'seed' has to be at least 0, not -1"),
        (("--threads", "0"), "'threads' has to be at least 1, not 0"),
        (("--batch-size", "0"), "'batch_size' has to be at least 1, not 0"),
        (("--learning-rate", "-1"), "'learning_rate' has to be positive and finite, not -1.0"),
        (("--learning-rate", "nan"), "'learning_rate' has to be positive and finite, not nan"),
    ],
)
def test_settings_that_make_no_sense(files, tmp_path, capsys, more, message):
    assert main(command(files, tmp_path / "out", *more)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_test_spikes_reach_the_network_after_the_last_epoch(files, tmp_path):
    """A test file of other spikes and labels leaves every bit of the training as it was."""
    train_on_recordings(out=tmp_path / "one", **files, **SMALL)
    other = write_pattern_file(tmp_path / "other.h5", 9, 10)
    train_on_recordings(out=tmp_path / "two", train=files["train"], test=other, **SMALL)
    for one, two in zip(values_in(tmp_path / "one")[0], values_in(tmp_path / "two")[0], strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_order_of_simultaneous_spikes_changes_nothing(files, tmp_path):
    turned = tmp_path / "turned.h5"
    turned.write_bytes(files["train"].read_bytes())
    with h5py.File(turned, "a") as file:
        for index, (times, units) in enumerate(zip(file["spikes/times"][:], file["spikes/units"][:], strict=True)):
            order = np.lexsort((-units, times))
            file["spikes/times"][index], file["spikes/units"][index] = times[order], units[order]
        assert any(np.any(np.diff(times) == 0) for times in file["spikes/times"][:])
    outcomes = []
    for name, train in (("a", files["train"]), ("b", turned)):
        summary = train_on_recordings(out=tmp_path / name, train=train, test=files["test"], **{**SMALL, "epochs": 1})
        outcomes.append(summary["test_loss"])
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("neuron", ["lif", "qif"])
def test_without_files_the_synthetic_digits_are_used_and_called_so(tmp_path, monkeypatch, capsys, neuron):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--neuron", neuron, "--hidden", "32", "--epochs", "1"]) == 0
    shown = capsys.readouterr().out
    assert "The data are SYNTHETIC speech" in shown
    assert f"Written into 'results/{neuron}'" in shown
    summary = json.loads((tmp_path / "results" / neuron / "summary.json").read_text("utf-8"))
    assert summary["synthetic"] is True
    assert summary["sources"]["train"].startswith("SYNTHETIC")
    assert summary["settings"]["inputs"] == 70
    assert summary["samples"] == {"train": 800, "test": 400, "test_known_speakers": 200}
    assert set(summary["test_accuracy_by_speaker"]) == {str(speaker) for speaker in range(12)}
    assert summary["test_accuracy"] > 3 / 20


def test_one_file_alone_is_refused(files, tmp_path, capsys):
    assert main(["train", "--train", str(files["train"]), "--out", str(tmp_path / "out")]) == 2
    assert "'train' is given without 'test': give both files, or neither" in capsys.readouterr().err


def test_recordings_are_not_called_synthetic(files, tmp_path):
    summary = train_on_recordings(out=tmp_path / "out", **files, **{**SMALL, "epochs": 1})
    assert summary["synthetic"] is False


def test_validation_holds_out_whole_speakers(tmp_path):
    train = write_pattern_file(tmp_path / "train.h5", 0, 60, speakers=(0, 1, 2))
    summary = train_on_recordings(train=train, out=tmp_path / "out", validate=0.3, **{**SMALL, "epochs": 1})
    assert summary["samples"] == {"train": 40, "test": 20, "test_known_speakers": 0}
    assert len(summary["test_accuracy_by_speaker"]) == 1
    assert summary["settings"]["test_data"] is None
    with pytest.raises(ValueError, match="do not give 'test'"):
        train_on_recordings(train=train, test=train, out=tmp_path / "two", validate=0.3, **SMALL)
    with pytest.raises(ValueError, match="has to lie between 0 and 1, not be 3"):
        train_on_recordings(train=train, out=tmp_path / "three", validate=3, **SMALL)
    assert not (tmp_path / "three").exists()


def test_settings_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path / "out")

    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(os, "fsync", interrupted)
        folder.claim({"epochs": 1})
    assert not any(folder.path.iterdir())
    with monkeypatch.context() as patched:
        patched.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
        RunFolder(tmp_path / "plain").claim({"epochs": 1})
    folder.claim({"epochs": 1})
    with pytest.raises(FileExistsError):
        folder.claim({"epochs": 2})
    for name in ("out", "plain"):
        assert [path.name for path in (tmp_path / name).iterdir()] == ["settings.json"]
        assert json.loads((tmp_path / name / "settings.json").read_text("utf-8")) == {"epochs": 1}


def test_numbers_of_numpy_are_numbers(files, tmp_path):
    given = {"hidden": np.array([4]), "seed": np.int64(0), "epochs": np.int32(1), "batch_size": np.int64(8)}
    summary = train_on_recordings(out=tmp_path / "numpy", **files, **{**SMALL, **given})
    plain = train_on_recordings(out=tmp_path / "plain", **files, **{**SMALL, "hidden": 4, "epochs": 1, "batch_size": 8})
    assert summary["settings"] == plain["settings"] and summary["test_loss"] == plain["test_loss"]


def test_labels_that_mean_something_else_are_refused(files, tmp_path, capsys):
    other = write_spike_file(tmp_path / "other.h5", [[0.1]], [[1]], [0], keys=(b"zero", b"two", b"one"))
    assert main(command({**files, "test": other}, tmp_path / "out")) == 2
    shown = capsys.readouterr().err
    assert "other.h5' calls class 1 'two', but '" in shown and "train.h5' calls it 'one': their labels do not" in shown
    assert not any((tmp_path / "out").iterdir())
