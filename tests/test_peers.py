"""The comparison with other packages runs with what is always there; nothing is said of its times."""

import numpy as np
import pytest

from tests.benchmarks.peers import ours
from tests.benchmarks.peers.__main__ import main
from tests.benchmarks.peers.measuring import available
from tests.benchmarks.peers.ours import make_task, prepare
from tests.benchmarks.peers.task import DURATION, Setup, Sizes, Task

TINY = Sizes(inputs=20, hidden=6, outputs=3, spikes=120, batch=2)
SIZES = [word for name, value in vars(TINY).items() for word in (f"--{name}", str(value))]


def test_the_page_is_written_with_ours_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(ours, "SETUPS", ours.SETUPS[:2])
    file = tmp_path / "benchmarks.md"
    main(["--only", "--repetitions", "1", "--out", str(file), *SIZES])
    text = file.read_text()
    assert "20-6-3 neurons" in text
    assert "LIF, averaged voltages" in text
    assert [line.split(" | ")[3] for line in text.splitlines() if "| brian_qif |" in line] == ["float64", "float32"]
    assert "Not measured" not in text


def test_peers_that_are_not_there_are_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "norse" else object())
    names, missing = available({})
    assert "ours" in names and "norse_peer" not in names and "spikegd_peer" not in names
    assert missing == ["Norse: norse not installed", "spikegd: no checkout given"]


@pytest.mark.parametrize("readout", ["average", "first spike"])
@pytest.mark.parametrize("neuron", ["lif", "qif"])
def test_a_task_is_read_as_it_was_written(tmp_path, neuron, readout):
    task = make_task(TINY, neuron, readout)
    task.save(tmp_path / "task.npz")
    again = Task.load(tmp_path / "task.npz")
    assert again.sizes == TINY and (again.most_hidden, again.most_outputs) == (task.most_hidden, task.most_outputs)
    one, other = (prepare(Setup("", neuron, readout, "", "", "float64"), each)(2) for each in (task, again))
    assert np.array_equal(one.first, other.first) and np.array_equal(one.last, other.last)
    assert np.any(one.first)
    mean = one.hidden_spikes * TINY.hidden
    assert 0 < mean <= task.most_hidden <= TINY.batch * mean


def test_no_spike_is_lost_in_bins():
    counts = make_task(TINY, "lif", "average").binned(1e-3)
    assert counts.shape == (round(DURATION / 1e-3), TINY.batch, TINY.inputs)
    assert counts.sum() == TINY.batch * TINY.spikes
