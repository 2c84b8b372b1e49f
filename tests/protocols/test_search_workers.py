"""Workers that share the trials of a search, and take over what one of them leaves behind."""

import os
import signal
import subprocess
import sys
import threading
import time

import pandas as pd
import pytest

from tests.training.spike_files import write_pattern_file

optuna = pytest.importorskip("optuna")
from brian_qif.protocols import search_study  # noqa: E402  (needs optuna)


def open_study(folder, heartbeat=1):
    storage = search_study.open_storage(f"sqlite:///{folder / 'study.db'}", heartbeat)
    return search_study.open_study(storage, "shared", {"a": 1}, {"x": 0.5}, 1, seed=0), storage


def tried(trial):
    time.sleep(0.02)
    return trial.suggest_float("x", 0, 1)


def nothing(study, trial):
    pass


def test_workers_that_begin_together_finish_exactly_the_wanted_number(tmp_path):
    study, _ = open_study(tmp_path)
    workers = [
        threading.Thread(target=search_study.carry_out, args=(*open_study(tmp_path), tried, 9, nothing))
        for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    finished = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    assert len(finished) == 9
    values = [trial.params["x"] for trial in finished]
    assert len(set(values)) == 9


def test_workers_that_make_the_same_database(tmp_path):
    address, opened = f"sqlite:///{tmp_path / 'new.db'}", []
    code = f"from brian_qif.protocols.search_study import open_storage; open_storage({address!r}, 1)"
    workers = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for worker in workers:
        _, output = worker.communicate(timeout=120)
        opened.append((worker.returncode, output))
    assert [returncode for returncode, _ in opened] == [0, 0, 0, 0], opened


def test_a_trial_whose_worker_died_at_its_very_beginning(tmp_path):
    study, storage = open_study(tmp_path)
    with pytest.warns(UserWarning, match="Heartbeat of storage"):
        study.ask()
    search_study.carry_out(study, storage, tried, 2, nothing)
    states = [trial.state.name for trial in study.trials]
    assert sorted(states) == ["COMPLETE", "COMPLETE", "FAIL"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_fifty_trials_although_a_worker_is_killed(tmp_path):
    train = write_pattern_file(tmp_path / "train.h5", 0, 30, speakers=(0, 1, 2))
    command = [sys.executable, "-m", "brian_qif.cli", "search", "--train", str(train), "--out", str(tmp_path)]
    command += [
        "--inputs",
        "12",
        "--hidden",
        "4",
        "--epochs",
        "1",
        "--threads",
        "1",
        "--trials",
        "50",
        "--heartbeat",
        "1",
    ]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
    lines = 0
    while lines < 5:
        line = workers[0].stdout.readline()
        assert line, workers[0].wait()
        lines += line.startswith("Trial ")
    os.kill(workers[0].pid, signal.SIGKILL)
    workers[0].communicate()
    output, _ = workers[1].communicate(timeout=120)
    assert workers[1].returncode == 0, output
    table = pd.read_csv(tmp_path / "trials.csv")
    assert table["state"].isin(["complete", "pruned"]).sum() == 50
    assert set(table["state"]) <= {"complete", "pruned", "fail"}
    assert len(table) - 50 == (table["state"] == "fail").sum() <= 2
    assert table["worker"].nunique() == 2
    retried = table[table["retry_of"].notna()]
    for _, trial in retried.iterrows():
        lost = table[table["number"] == trial["retry_of"]].iloc[0]
        assert (lost["state"], lost["tau_m"]) == ("fail", trial["tau_m"])


@pytest.mark.parametrize("reports", [False, True])
def test_a_worker_that_slept_while_its_trial_was_given_to_another(tmp_path, reports):
    """It finds its trial failed when it wakes up, and goes on with the next."""
    study, storage = open_study(tmp_path)

    def slept(trial):
        value = tried(trial)
        if trial.number == 0:
            study.tell(0, state=optuna.trial.TrialState.FAIL)
            if reports:
                trial.report(value, 1)
        return value

    search_study.carry_out(study, storage, slept, 2, nothing)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE", "COMPLETE"]


def test_what_goes_wrong_in_a_trial_is_not_swallowed(tmp_path):
    study, storage = open_study(tmp_path)

    def fail(trial):
        raise ValueError("a file was damaged")

    with pytest.raises(ValueError, match="a file was damaged"):
        search_study.carry_out(study, storage, fail, 2, nothing)
