"""Searches: what they leave behind, that they go on, and what they refuse."""

import json
import sys

import pandas as pd
import pytest
from brian2 import prefs

from brian_qif.cli import main
from brian_qif.equations.surrogate import SHAPES
from brian_qif.plotting.studies import draw_importance
from brian_qif.protocols.recipes import RECIPES, recipe_of
from brian_qif.protocols.search import search_settings
from brian_qif.protocols.search_space import Choice, search_space, searched_recipe, start_of
from brian_qif.protocols.shd_training import train_on_recordings
from brian_qif.solvers.sweeps import UnboundedActivityError
from tests.training.spike_files import write_pattern_file

optuna = pytest.importorskip("optuna")
from brian_qif.protocols import search_report, search_study  # noqa: E402  (needs optuna)

SMALL = {"inputs": 12, "hidden": 4, "epochs": 1, "threads": 1}
ARGUMENTS = ["--inputs", "12", "--hidden", "4", "--epochs", "1", "--threads", "1"]


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    return write_pattern_file(tmp_path_factory.mktemp("search") / "train.h5", 0, 30, speakers=(0, 1, 2))


@pytest.fixture(scope="module")
def searched(train, tmp_path_factory):
    """A search of twelve trials, two epochs each."""
    folder = tmp_path_factory.mktemp("searched")
    return search_settings(train, folder, trials=12, **{**SMALL, "epochs": 2}), folder


def test_what_a_search_leaves_behind(searched):
    found, folder = searched
    names = {"best.json", "parallel.png", "search.json", "slices.png", "study.db", "trials.csv"}
    assert {path.name for path in folder.iterdir()} - {"importance.png"} == names
    assert {"study.db", *found["files"]} == {path.name for path in folder.iterdir()}
    assert json.loads((folder / "search.json").read_text("utf-8")) == found
    table = pd.read_csv(folder / "trials.csv")
    assert list(table["number"]) == list(range(12))
    assert set(table["state"]) <= {"complete", "pruned"}
    assert set(search_space(12)) <= set(table)
    complete = table[(table["state"] == "complete") & table["outcome"].isna()]
    assert found["best"]["validation_accuracy"] == complete["validation_accuracy"].max()
    for name in ("parallel.png", "slices.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def study_of(function, trials):
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: function(trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)), trials)
    return study


def test_importance_tells_what_decides(tmp_path):
    found = search_report.importances(study_of(lambda x, y: x, 40), ["x", "y"])
    assert list(found) == ["x", "y"]
    assert sum(found.values()) == pytest.approx(1, rel=1e-12)
    assert found["x"] > 0.8
    draw_importance(found, tmp_path / "importance.png")
    assert (tmp_path / "importance.png").read_bytes().startswith(b"\x89PNG")


def test_importance_is_not_told_where_nothing_tells_it():
    assert search_report.importances(study_of(lambda x, y: x, 9), ["x", "y"]) == {}
    assert search_report.importances(study_of(lambda x, y: 0.5, 40), ["x", "y"]) == {}
    assert search_report.importances(study_of(lambda x, y: float(x > 0.01), 40), ["x", "y"]) == {}


def test_the_first_trial_is_the_models_own_recipe(searched):
    _, folder = searched
    first = pd.read_csv(folder / "trials.csv").iloc[0]
    for name, value in start_of("qif", 12).items():
        assert first[name] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("neuron", ["lif", "qif"])
@pytest.mark.parametrize("inputs", [70, 700])
def test_every_recipe_lies_within_the_same_limits(neuron, inputs):
    for more in ({}, {"solver": "clock"}, {"solver": "clock", "surrogate": True}):
        start = start_of(neuron, inputs, **more)
        assert list(start) == list(search_space(inputs, **more))
        for name, limits in search_space(inputs, **more).items():
            value = start[name]
            assert value in limits.values if isinstance(limits, Choice) else limits.low <= value <= limits.high
    assert searched_recipe(neuron, inputs, start_of(neuron, inputs)) == recipe_of(neuron, inputs=inputs)


def test_a_clock_adds_what_only_it_can_search():
    assert set(search_space(70, "clock")) - set(search_space(70)) == {"tau_s"}
    assert set(search_space(70, "clock", True)) - set(search_space(70, "clock")) == {"surrogate", "surrogate_slope"}
    assert search_space(70, "clock", True)["surrogate"].values == tuple(SHAPES)


def test_virtual_times_take_the_place_of_a_grid():
    assert searched_recipe("qif", 70, {"virtual_times": 16}).time_step == 0
    assert searched_recipe("qif", 70, {"virtual_times": 0}).time_step == RECIPES["qif"].time_step > 0


def test_a_search_with_surrogates(train, tmp_path, capsys):
    """It says how to train with what it found, and that training takes the surrogate."""
    before = prefs["codegen.target"]
    prefs["codegen.target"] = "numpy"
    clock = ["--solver", "clock", "--dt", "2"]
    try:
        more = ["--trials", "2", "--out", str(tmp_path / "s"), "--surrogate", "--neuron", "lif"]
        assert main(["search", "--train", str(train), *more, *clock, *ARGUMENTS]) == 0
        assert "--neuron lif --solver clock --device runtime --dt 2 --config" in capsys.readouterr().out
        table = pd.read_csv(tmp_path / "s" / "trials.csv")
        assert set(table["surrogate"]) <= set(SHAPES) and table["surrogate_slope"].nunique() == 2
        more = ["--config", str(tmp_path / "s" / "best.json"), "--out", str(tmp_path / "t"), "--neuron", "lif"]
        assert main(["train", "--train", str(train), "--validate", "0.2", *more, *clock, *ARGUMENTS]) == 0
    finally:
        prefs["codegen.target"] = before
    settings = json.loads((tmp_path / "t" / "settings.json").read_text("utf-8"))
    assert f"surrogate through spikes ({settings['surrogate']}, slope" in settings["solver"]


def test_the_best_configuration_trains_to_the_same_accuracy(searched, train, tmp_path):
    """What a search holds out is what ``--validate`` does, so training again gives the bits of the trial."""
    found, folder = searched
    config = folder / "best.json"
    summary = train_on_recordings(
        train=train, out=tmp_path / "out", validate=0.2, config=config, **{**SMALL, "epochs": 2}
    )
    assert summary["test_accuracy"] == found["best"]["validation_accuracy"]
    assert json.loads(config.read_text("utf-8")).items() <= summary["settings"].items()


def test_a_study_goes_on_as_if_it_had_not_stopped(searched, train, tmp_path):
    for trials in (3, 7):
        found = search_settings(train, tmp_path, trials=trials, **{**SMALL, "epochs": 2})
    assert sum(found["trials"].values()) == 7
    names = list(search_space(12))
    whole, broken = (pd.read_csv(folder / "trials.csv")[names] for folder in (searched[1], tmp_path))
    pd.testing.assert_frame_equal(whole.iloc[:7], broken)


def test_another_study_of_the_same_name_is_refused(searched, train, capsys):
    _, folder = searched
    assert main(["search", "--train", str(train), "--out", str(folder), *ARGUMENTS]) == 2
    assert "'study qif' belongs to a run with other settings: epochs was 2, now 1" in capsys.readouterr().err


def test_whole_speakers_are_held_out_unless_samples_are_wanted(train, tmp_path):
    lines = []
    search_settings(train, tmp_path / "a", trials=1, report=lines.append, **SMALL)
    assert lines[0].startswith("Held out: 10 samples of speaker ")
    search_settings(train, tmp_path / "b", trials=1, split="sample", report=lines.append, **SMALL)
    held_out = [line for line in lines if line.startswith("Held out")]
    assert held_out[1].startswith("Held out: 6 samples of speakers ")


def test_a_trial_is_given_up(train, tmp_path, monkeypatch):
    monkeypatch.setattr(optuna.Trial, "should_prune", lambda self: True)
    found = search_settings(train, tmp_path, trials=2, **{**SMALL, "epochs": 3})
    assert found["trials"] == {"pruned": 2}
    assert found["best"] is None
    assert set(pd.read_csv(tmp_path / "trials.csv")["epochs"]) == {1}


@pytest.mark.parametrize("kind", [FloatingPointError, UnboundedActivityError])
def test_a_training_that_diverges_counts_as_nothing(train, tmp_path, monkeypatch, kind):
    def diverge(*arguments, **keywords):
        raise kind("The loss is not finite")

    monkeypatch.setattr("brian_qif.training.trainer.Trainer.train", diverge)
    found = search_settings(train, tmp_path, trials=2, **SMALL)
    assert found["trials"] == {"diverged": 2}
    assert found["best"] is None
    assert not (tmp_path / "best.json").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--trials", "0"), "'trials' has to be at least 1, not 0"),
        (("--epochs", "0"), "'epochs' has to be at least 1, not 0"),
        (("--heartbeat", "0"), "'heartbeat' has to be at least 1, not 0"),
        (("--seed", "-1"), "'seed' has to be at least 0, not -1"),
        (("--surrogate",), "The event-driven solver is exact and has no surrogate; take the solver 'clock' for one"),
        (("--validate", "1.5"), "has to lie between 0 and 1, not be 1.5"),
        (("--storage", "somewhere"), "The storage 'somewhere' is no address of a database"),
        (("--storage", "sqlite:////nowhere/at/all.db"), "cannot be opened: unable to open database file"),
        (("--storage", "redis://host"), "cannot be opened: Can't load plugin"),
    ],
)
def test_settings_that_make_no_sense(train, tmp_path, capsys, more, message):
    assert main(["search", "--train", str(train), "--out", str(tmp_path), *ARGUMENTS, *more]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1


def test_a_password_is_not_shown():
    with pytest.raises(OSError, match=r"nodriver://me:\*\*\*@host/name' cannot be opened") as caught:
        search_study.open_storage("nodriver://me:secret@host/name", 1)
    assert "secret" not in str(caught.value)


def test_without_optuna_the_command_says_what_to_install(train, tmp_path, capsys, monkeypatch):
    for name in ("search_study", "search_report"):
        monkeypatch.delitem(sys.modules, f"brian_qif.protocols.{name}", raising=False)
        monkeypatch.delattr(f"brian_qif.protocols.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(["search", "--train", str(train), "--out", str(tmp_path), *ARGUMENTS]) == 2
    assert "A search needs Optuna: pip install 'brian_qif[search]'." in capsys.readouterr().err
