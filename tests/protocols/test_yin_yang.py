"""The examples on the Yin-Yang set, with a few samples: what they write, and that finished runs are kept."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brian_qif.protocols.yin_yang import MAP_SIZE, run_example, table_of, yin_yang_sets

EXAMPLES = Path(__file__).parent.parent.parent / "docs" / "examples"


@pytest.mark.parametrize("paper", ["Wunderlich_2021", "Goltz_2021"])
def test_an_example_runs_alone_and_keeps_its_runs(paper, quick_folder, capsys):
    out = quick_folder / "out"
    options = ["--samples", "40", "--epochs", "1", "--out", str(out)]
    command = [sys.executable, EXAMPLES / f"{paper}.py", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=quick_folder)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(out / "results.csv")
    assert list(table["neuron"]) == ["lif", "qif"] and set(table["epochs"]) == {1}
    assert np.all((table["mean"] >= 0) & (table["mean"] <= 100))
    assert (out / f"{paper}.png").stat().st_size > 5000
    run = json.loads((out / "runs" / "qif_0.json").read_text())
    assert len(run["map"]) == MAP_SIZE**2 and set(run["map"]) <= {0, 1, 2}
    # What is kept needs no network.
    again = run_example(None, None, (paper, 90.0, 1.0), "", 1, options)
    assert "2 of 2 are there already." in capsys.readouterr().out
    np.testing.assert_allclose(again["mean"], table["mean"])
    with pytest.raises(ValueError, match="epochs was 1, now 2"):
        run_example(None, None, (paper, 90.0, 1.0), "", 1, [*options, "--epochs", "2"])


def test_the_table_is_over_seeds():
    runs = [
        {"neuron": "lif", "test_accuracy": [0.5, last], "validation_accuracy": 0.9, "hidden_spikes": 1, "seconds": 2}
        for last in (0.9, 0.94, 0.98)
    ]
    (row,) = table_of(runs).to_dict("records")
    assert row["seeds"] == 3 and row["epochs"] == 2
    # 90, 94 and 98 have the mean 94 and the standard deviation 4.
    np.testing.assert_allclose([row["mean"], row["spread"], row["lowest"], row["highest"]], [94, 4, 90, 98])


def test_sets_are_different_points():
    sets = yin_yang_sets(lambda points, labels: points, 30)
    assert [len(sets[name]) for name in ("training", "validation", "test")] == [30, 30, 30]
    assert len(np.unique(np.concatenate(list(sets.values())), axis=0)) == 90
    assert len(yin_yang_sets(lambda points, labels: points)["test"]) == 1000


def test_refusals(capsys):
    with pytest.raises(ValueError, match="one sample or more, not 0"):
        yin_yang_sets(None, 0)
    with pytest.raises(SystemExit):
        run_example(None, None, ("Paper_2021", 90.0, 1.0), "", 1, ["--seeds", "0"])
    assert "it has to be at least 1, not 0" in capsys.readouterr().err
