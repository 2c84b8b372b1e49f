import json

import pandas as pd
import pytest

from brian_qif.cli import main


def write_run(folder, neuron, accuracy):
    folder.mkdir()
    summary = {
        "neuron": neuron,
        "hidden": 5,
        "seed": 0,
        "epochs": 2,
        "train_accuracy": 0.9,
        "test_accuracy": accuracy,
        "seconds": 1.5,
        "test_accuracy_known_speakers": accuracy,
        "test_accuracy_unknown_speakers": None,
    }
    (folder / "summary.json").write_text(json.dumps(summary), "utf-8")
    history = {
        "epoch": [1, 2],
        "loss": [2.0, 1.0],
        "accuracy": [0.5, 0.9],
        "silent_share_hidden": [0.2, 0.1],
        "rate_hidden": [5.0, 6.0],
    }
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    return str(folder)


def test_two_runs_in_one_picture(tmp_path, capsys):
    folders = [write_run(tmp_path / "a", "lif", 0.75), write_run(tmp_path / "b", "qif", 0.85)]
    picture = tmp_path / "pictures" / "both.png"
    assert main(["compare", *folders, "--out", str(picture)]) == 0
    table = capsys.readouterr().out
    assert "0.750" in table
    assert "0.850" in table
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_folder_without_a_finished_run(tmp_path, capsys):
    assert main(["compare", str(tmp_path), "--out", str(tmp_path / "both.png")]) == 2
    assert "holds no finished run: summary.json is missing" in capsys.readouterr().err


def test_drawing_leaves_the_backend_alone(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    before = matplotlib.get_backend()
    folder = write_run(tmp_path / "a", "lif", 0.75)
    assert main(["compare", folder, "--out", str(tmp_path / "one.png")]) == 0
    assert matplotlib.get_backend() == before
