"""What ``brian-qif predict`` says of spike trains, and what it refuses."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest

from brian_qif.cli import main
from brian_qif.protocols.prediction import predict
from brian_qif.protocols.shd_training import train_on_recordings
from tests.training.spike_files import write_pattern_file, write_spike_file

# Spikes as they are in the file, which lasts for 34 ms: delay lines would be far longer.
RAW = {"taps": 1, "time_step": 0.0}
SMALL = {"inputs": 12, "hidden": 5, "batch_size": 8, "learning_rate": 0.02, "epochs": 3, "config": RAW}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run, and the files it was trained and tested on: speakers 0 and 1, and 0 and 7."""
    folder = tmp_path_factory.mktemp("prediction")
    train = write_pattern_file(folder / "train.h5", 0, 40, speakers=(0, 1))
    test = write_pattern_file(folder / "test.h5", 1, 20, speakers=(0, 7))
    train_on_recordings(train=train, test=test, out=folder / "run", **SMALL)
    return folder


def trained_summary(place):
    return json.loads((place / "run" / "summary.json").read_text("utf-8"))


def test_accuracies_are_those_of_the_training(place, tmp_path):
    summary, table = predict(place / "run", place / "test.h5", tmp_path)
    expected = trained_summary(place)
    assert summary["accuracy"] == expected["test_accuracy"] == table["right"].mean()
    for kind in ("known", "unknown"):
        assert summary[f"accuracy_{kind}_speakers"] == expected[f"test_accuracy_{kind}_speakers"]
    assert summary["accuracy_by_speaker"] == expected["test_accuracy_by_speaker"]
    assert summary["spikes_after_the_trial"] == 0


def test_tables_and_pictures(place, tmp_path):
    summary, table = predict(place / "run", place / "test.h5", tmp_path / "out")
    kept = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert list(kept) == list(table)
    softmax = kept[[f"softmax_{name}" for name in ("zero", "one", "two")]]
    np.testing.assert_allclose(softmax.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(softmax.to_numpy().argmax(axis=1), kept["predicted"])
    np.testing.assert_allclose(softmax.max(axis=1), kept["confidence"], rtol=1e-12)
    confusion = pd.read_csv(tmp_path / "out" / "confusion.csv", index_col="true")
    assert confusion.to_numpy().tolist() == summary["confusion"]
    assert np.trace(confusion.to_numpy()) == kept["right"].sum()
    np.testing.assert_array_equal(confusion.sum(axis=1), np.bincount(kept["label"], minlength=3))
    for name in ("confusion.png", "rasters.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "out" / "prediction.json").read_text("utf-8")) == summary


def test_the_command(place, tmp_path, capsys):
    arguments = ["predict", str(place / "run"), str(place / "test.h5"), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    expected = trained_summary(place)
    assert "20 samples, mean confidence" in shown
    assert (
        f"Accuracy {expected['test_accuracy']:.3f} (known speakers {expected['test_accuracy_known_speakers']:.3f},"
        f" unknown speakers {expected['test_accuracy_unknown_speakers']:.3f})." in shown
    )
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == expected["test_accuracy"]


def test_a_file_without_labels_and_speakers(place, tmp_path, capsys):
    bare = tmp_path / "bare.h5"
    bare.write_bytes((place / "test.h5").read_bytes())
    with h5py.File(bare, "a") as file:
        del file["labels"], file["extra"]
    _, labelled = predict(place / "run", place / "test.h5", tmp_path / "with", rasters=0)
    summary, table = predict(place / "run", bare, tmp_path / "out")
    np.testing.assert_array_equal(table["confidence"], labelled["confidence"])
    assert list(table["predicted_name"]) == list(labelled["predicted_name"])
    assert (summary["accuracy"], summary["accuracy_by_speaker"]) == (None, {})
    assert "label" not in table and "speaker" not in table
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "prediction.json",
        "predictions.csv",
        "rasters.png",
    ]
    assert not (tmp_path / "with" / "rasters.png").exists()
    assert main(["predict", str(place / "run"), str(bare), "--out", str(tmp_path / "out")]) == 0
    assert "The file has no labels" in capsys.readouterr().out


def test_spikes_after_the_trial_are_counted(place, tmp_path):
    late = write_spike_file(tmp_path / "late.h5", [[0.01, 0.5, 0.6]], [[1, 2, 3]], [0])
    early = write_spike_file(tmp_path / "early.h5", [[0.01]], [[1]], [0])
    summary, table = predict(place / "run", late, tmp_path / "out")
    assert summary["spikes_after_the_trial"] == 2
    _, expected = predict(place / "run", early, tmp_path / "out")
    assert table["confidence"][0] == expected["confidence"][0]


def test_what_is_refused(place, tmp_path, capsys):
    def message(run, file, *more):
        assert main(["predict", str(run), str(file), "--out", str(tmp_path / "out"), *more]) == 2
        shown = capsys.readouterr().err
        assert shown.count("\n") == 1
        return shown

    test = place / "test.h5"
    assert "holds no run: settings.json is missing" in message(tmp_path, test)
    assert "There is no file" in message(place / "run", tmp_path / "none.h5")
    wide = write_spike_file(tmp_path / "wide.h5", [[0.01]], [[12]], [0])
    assert "has a spike of unit 12 (spike 0), but the network has 12 inputs" in message(place / "run", wide)
    other = write_spike_file(tmp_path / "other.h5", [[0.01]], [[1]], [0])
    with h5py.File(other, "a") as file:
        file.attrs["units"] = 70
    assert "has 70 input neurons, but the network of" in message(place / "run", other)
    renamed = write_spike_file(tmp_path / "renamed.h5", [[0.01]], [[1]], [0], keys=(b"zero", b"two", b"one"))
    assert "calls class 1 'two'" in message(place / "run", renamed)
    more = write_spike_file(tmp_path / "more.h5", [[0.01]], [[1]], [3], keys=(b"zero", b"one", b"two", b"three"))
    assert "has the label 3, but there are 3 classes" in message(place / "run", more)
    assert "'rasters' has to be at least 0" in message(place / "run", test, "--rasters", "-1")
    assert "'threads' has to be at least 1" in message(place / "run", test, "--threads", "0")
    assert not (tmp_path / "out").exists()
