"""How diverging trainings are counted, and what is left of a study that was killed."""

import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from brian_qif.cli import main
from brian_qif.protocols.training_stability import measure_stability, shares, train_once
from brian_qif.solvers.sweeps import UnboundedActivityError
from tests.training.spike_files import write_pattern_file

# So few patterns are told apart by spikes that coincide.
CONFIG = {"coincident": 0}
SMALL = {"hidden": 4, "seeds": 2, "multiples": (0.03, 300.0), "epochs": 2, "config": CONFIG}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_pattern_file(tmp_path_factory.mktemp("stability") / "train.h5", 0, 24)


@pytest.fixture(scope="module")
def study(file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return folder, measure_stability(file, folder, plain=True, **SMALL)


def test_what_is_written(study):
    folder, summary = study
    runs, histories = pd.read_csv(folder / "runs.csv"), pd.read_csv(folder / "histories.csv")
    assert len(runs) == 8 and len(histories) == 16
    assert json.loads((folder / "summary.json").read_text("utf-8")) == summary
    for name in ("diverged.png", "histories.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    page = (folder / "report.html").read_text("utf-8")
    assert page.count("data:image/png;base64,") == 2 and "multiples" in page
    np.testing.assert_array_equal(runs["diverged"], ~(runs["loss_after"] <= runs["loss_before"]))
    assert {row["neuron"]: row["published_share"] for row in summary["found"]["models"]} == {"lif": 0.68, "qif": 0.0}


def test_steps_that_are_much_too_large_diverge(study):
    _, summary = study
    found = {(row["neuron"], row["multiple"]): row for row in summary["found"]["settings"]}
    assert found["lif", 0.03]["diverged"] == found["qif", 0.03]["diverged"] == 0
    assert found["lif", 300.0]["rose"] == found["qif", 300.0]["rose"] == 2


def test_shares_by_hand():
    runs = pd.DataFrame(
        {
            "neuron": "lif",
            "multiple": 1.0,
            "seed": range(4),
            "loss_before": 1.2,
            "loss_after": [0.5, 1.3, None, 1.09],
            "accuracy_after": [0.8, 0.3, None, 0.4],
            "diverged": [False, True, True, False],
        }
    )
    rows = [(0, 0.9, 0.0), (1, 1.5, 0.5), (3, 1.3, 1.0)]  # the third run has no whole epoch
    histories = pd.DataFrame(
        [
            {"neuron": "lif", "multiple": 1.0, "seed": seed, "loss": loss, "silent_share_hidden": silent}
            for seed, loss, silent in rows
        ]
    )
    (found,) = shares(runs, histories, classes=3)["settings"]
    assert (found["runs"], found["diverged"], found["not_finite"]) == (4, 2, 1)
    assert found["share_diverged"] == 0.5
    assert found["share_low"] == pytest.approx(0.0676, abs=1e-4)  # Clopper and Pearson, 2 of 4
    assert found["share_high"] == pytest.approx(0.9324, abs=1e-4)
    assert (found["rose"], found["loss_at_chance"]) == (3, 3)  # ln 3 = 1.0986
    assert found["accuracy"] == pytest.approx(0.5) and found["silent"] == pytest.approx(0.5)


@pytest.mark.parametrize("kind", [FloatingPointError, UnboundedActivityError])
def test_a_loss_that_is_not_finite_counts(file, tmp_path, monkeypatch, kind):
    def failing(trainer, samples, epochs):
        raise kind("The loss is not finite in epoch 1.")

    monkeypatch.setattr("brian_qif.training.trainer.Trainer.train", failing)
    summary = measure_stability(file, tmp_path, **{**SMALL, "seeds": 1, "multiples": (1.0,)})
    assert [row["not_finite"] for row in summary["found"]["models"]] == [1, 1]
    assert pd.read_csv(tmp_path / "runs.csv")["reason"].tolist() == ["The loss is not finite in epoch 1."] * 2


def test_activity_without_bound_is_a_divergence(file, tmp_path):
    numbers = {**SMALL, "seeds": 1, "multiples": (1e12,), "neurons": ("lif",)}
    (found,) = measure_stability(file, tmp_path, plain=True, **numbers)["found"]["models"]
    assert (found["diverged"], found["not_finite"]) == (1, 1)


def test_a_worker_that_has_another_file_says_so(file, study):
    settings = study[1]["settings"]
    with pytest.raises(ValueError, match="train.h5' is another file here than where the study was begun"):
        train_once(str(file), "lif", settings["recipes"]["lif"], 1.0, 0, {**settings, "data": "0" * 64})


def test_multiples_are_plain_numbers_each_once(file, tmp_path):
    numbers = {**SMALL, "seeds": np.int64(1), "epochs": np.int64(1), "neurons": ("lif",)}
    found = measure_stability(file, tmp_path / "one", **{**numbers, "multiples": np.array([0.03, 1.0])})["found"]
    assert [row["multiple"] for row in found["settings"]] == [0.03, 1.0]
    with pytest.raises(ValueError, match="'multiples' differ in six digits, so that each is named; 1.0, 1.0000001 do"):
        measure_stability(file, tmp_path / "two", **{**numbers, "multiples": (1.0, 1.0000001)})
    assert not (tmp_path / "two").exists()


def test_remedies_make_a_difference(file, study, tmp_path):
    summary = measure_stability(file, tmp_path, **{**SMALL, "seeds": 1})
    assert summary["settings"]["recipes"]["lif"]["clip"] > 0
    assert study[1]["settings"]["recipes"]["lif"]["clip"] == study[1]["settings"]["recipes"]["lif"]["floor"] == 0
    kept, plain = (pd.read_csv(folder / "runs.csv") for folder in (tmp_path, study[0]))
    plain = plain[plain["seed"] == 0].reset_index(drop=True)
    assert (kept["loss_before"] == plain["loss_before"]).all() and (kept["loss_after"] != plain["loss_after"]).any()


def test_killed_and_started_again(file, study, tmp_path):
    folder, _ = study
    out = tmp_path / "out"
    numbers = ["--hidden", "4", "--seeds", "2", "--multiples", "0.03", "300", "--epochs", "2", "--plain"]
    config = tmp_path / "config.json"
    config.write_text(json.dumps(CONFIG))
    command = ["stability", "--train", str(file), *numbers, "--config", str(config), "--out", str(out)]
    worker = subprocess.Popen([sys.executable, "-m", "brian_qif.cli", *command], stdout=subprocess.DEVNULL)
    while len(list(out.glob("runs/*.json"))) < 3:
        assert worker.poll() is None
        time.sleep(0.002)
    worker.kill()
    assert worker.wait() == -9
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("runs/*.json")}
    assert 3 <= len(before) < 8 and not (out / "summary.json").exists()
    assert main(command) == 0
    assert all((out / "runs" / name).stat().st_mtime_ns == time for name, time in before.items())
    for name in ("runs.csv", "histories.csv", "summary.json", "report.html"):
        assert (out / name).read_bytes() == (folder / name).read_bytes()


def test_workers_change_no_number(file, study, tmp_path):
    measure_stability(file, tmp_path, plain=True, workers=2, **SMALL)
    assert (tmp_path / "runs.csv").read_bytes() == (study[0] / "runs.csv").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seeds", "0"], "'seeds' has to be at least 1, not 0."),
        (["--multiples", "1", "0"], "Multiples of the step sizes have to be positive and finite, not 0."),
        (["--samples", "25"], "has 24 samples, fewer than the 25 asked for."),
        (["--epochs", "0"], "'epochs' has to be at least 1, not 0."),
        (["--workers", "0", "--seeds", "1"], "'workers' has to be at least 1, or -1 for all cores, not 0."),
        (["--scheduler", "nonsense://"], "No Dask scheduler answers at 'nonsense://'"),
    ],
)
def test_bad_input_is_refused_by_name(file, tmp_path, capsys, arguments, said):
    if "--scheduler" in arguments:
        pytest.importorskip("distributed")
    assert main(["stability", "--train", str(file), "--out", str(tmp_path / "out"), *arguments]) == 2
    assert said in capsys.readouterr().err
