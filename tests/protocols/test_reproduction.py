"""The reproduction in small: its table and report, that it goes on, and that it reports what diverged."""

import html
import json
import re
import shutil

import h5py
import pandas as pd
import pytest

from brian_qif import Trainer
from brian_qif.cli import main
from brian_qif.protocols import reproduction
from brian_qif.protocols.reproduction import Size, reproduce
from tests.training.spike_files import write_pattern_file

pytest.importorskip("optuna")
TINY = Size(4, trials=2, search_epochs=1, seeds=2, epochs=2, grid=3, lines=1, studied_samples=3)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduction")
    paths = []
    for seed, name, speakers in ((0, "train.h5", (0, 1, 2)), (1, "test.h5", (0, 7))):
        paths.append(write_pattern_file(folder / name, seed, 30, speakers=speakers))
        with h5py.File(paths[-1], "a") as file:
            file.attrs["units"] = 12
            file.attrs["source"] = "patterns <made> for tests"
    return {"train": paths[0], "test": paths[1]}


@pytest.fixture(scope="module")
def reproduced(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduced") / "out"
    return reproduce(**files, out=folder, size=TINY), folder


def test_the_table_is_that_of_the_runs(reproduced):
    results, folder = reproduced
    runs = pd.read_csv(folder / "runs.csv")
    assert list(zip(runs["neuron"], runs["seed"], strict=True)) == [("lif", 0), ("lif", 1), ("qif", 0), ("qif", 1)]
    for _, run in runs.iterrows():
        summary = json.loads((folder / run["folder"] / "summary.json").read_text("utf-8"))
        assert run["accuracy"] == pytest.approx(summary["test_accuracy"], rel=1e-12)
        assert run["accuracy_unknown_speakers"] == pytest.approx(summary["test_accuracy_unknown_speakers"], rel=1e-12)
    for _, row in results.iterrows():
        own = runs[runs["neuron"] == row["neuron"]]["accuracy"]
        assert row["accuracy_mean"] == pytest.approx(own.mean(), rel=1e-12)
        assert row["accuracy_sd"] == pytest.approx(own.std(ddof=1), rel=1e-12)
        assert (row["runs"], row["share_diverged"]) == (2, 0)


def test_the_final_trainings_use_what_the_search_chose(reproduced):
    _, folder = reproduced
    for neuron in ("lif", "qif"):
        best = json.loads((folder / neuron / "search" / "best.json").read_text("utf-8"))
        for seed in range(2):
            settings = json.loads((folder / neuron / f"seed_{seed}" / "settings.json").read_text("utf-8"))
            assert best.items() <= settings.items()


def test_the_report_needs_no_other_file_and_begins_with_the_data(reproduced):
    results, folder = reproduced
    text = (folder / "report.html").read_text("utf-8")
    said = "Data: train.h5 and test.h5: patterns &lt;made&gt; for tests"
    assert said in text.splitlines()[0]
    assert text.index("<p") == text.index(f'<p class="data">{said}</p>')
    assert text.count("data:image/png;base64,") >= 3
    assert re.findall(r'(?:src|href)="(?!data:)', text) == []
    for _, row in results.iterrows():
        assert f"{row['accuracy_mean']:.3f} ± {row['accuracy_sd']:.3f}" in text
    assert "78.9%" in text and "71.3%" in text and "arXiv:2606.03935" in text


def no_studies(*_):
    return {"perturbation": {}, "stability": {}}


def test_the_studies_are_in_the_report(reproduced):
    _, folder = reproduced
    text = html.unescape((folder / "report.html").read_text("utf-8"))
    summary = json.loads((folder / "landscape" / "summary.json").read_text("utf-8"))
    assert all(statement in text for statement in summary["statements"])
    assert all((folder / neuron / "perturbation" / "report.html").exists() for neuron in ("lif", "qif"))
    for neuron in ("lif", "qif"):
        found = json.loads((folder / neuron / "stability" / "summary.json").read_text("utf-8"))["found"]
        assert [row["multiple"] for row in found["settings"]] == [1, 3, 10]
    for title in ("Loss landscapes", "One input spike later", "Trainings that diverge"):
        assert f"<h2>{title}</h2>" in text


def test_interrupted_it_goes_on_where_it_stopped(reproduced, files, tmp_path, monkeypatch):
    train, made = reproduction.train_on_recordings, []
    monkeypatch.setattr(reproduction, "run_studies", no_studies)

    def interrupted(*arguments, **keywords):
        if len(made) == 1:
            raise KeyboardInterrupt
        made.append(arguments[2])
        return train(*arguments, **keywords)

    monkeypatch.setattr(reproduction, "train_on_recordings", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reproduce(**files, out=tmp_path, size=TINY)
    kept = (tmp_path / "lif" / "seed_0" / "summary.json").stat().st_mtime_ns
    monkeypatch.setattr(reproduction, "train_on_recordings", train)
    results = reproduce(**files, out=tmp_path, size=TINY)
    assert (tmp_path / "lif" / "seed_0" / "summary.json").stat().st_mtime_ns == kept
    same = [name for name in results if "seconds" not in name]
    pd.testing.assert_frame_equal(results[same], reproduced[0][same])


def test_trainings_that_diverge_are_counted_and_not_averaged(reproduced, files, tmp_path, monkeypatch):
    train = Trainer.train

    def diverging(trainer, *arguments, **keywords):
        if trainer.seed == 1:
            raise FloatingPointError("The loss is not finite")
        return train(trainer, *arguments, **keywords)

    monkeypatch.setattr(Trainer, "train", diverging)
    monkeypatch.setattr(reproduction, "run_studies", no_studies)
    results = reproduce(**files, out=tmp_path, size=TINY)
    assert list(results["share_diverged"]) == [0.5, 0.5]
    assert results["accuracy_sd"].isna().all()
    runs = pd.read_csv(tmp_path / "runs.csv")
    assert list(runs["diverged"]) == [False, True, False, True]
    assert "50%" in (tmp_path / "report.html").read_text("utf-8")
    assert list(reproduce(**files, out=tmp_path, size=TINY)["share_diverged"]) == [0.5, 0.5]


def test_what_is_refused(reproduced, files, tmp_path, capsys):
    other = Size(**{**vars(TINY), "epochs": 3})
    with pytest.raises(ValueError, match="belongs to a run with other settings: epochs was 2, now 3"):
        reproduce(**files, out=reproduced[1], size=other)
    with h5py.File(shutil.copy(files["test"], tmp_path / "turned.h5"), "a") as file:
        file["extra/keys"][:] = file["extra/keys"][:][::-1]
    with pytest.raises(ValueError, match="turned.h5' calls class 0 'two', but '.*train.h5' calls it 'zero'"):
        reproduce(files["train"], tmp_path / "turned.h5", tmp_path / "out", size=TINY)
    with pytest.raises(ValueError, match="There is no size 'huge'; there are smoke, laptop, full"):
        reproduce(**files, out=tmp_path / "out", size="huge")
    assert main(["reproduce", "--train", str(files["train"]), "--out", str(tmp_path / "out")]) == 2
    assert "'train' is given without 'test'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
