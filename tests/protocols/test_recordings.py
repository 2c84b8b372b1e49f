"""Training on real recordings; the folder is given by the variable BRIAN_QIF_DATA."""

import numpy as np
import pytest

from brian_qif.protocols.shd_training import train_on_recordings

CHANCE = 0.1


@pytest.mark.parametrize("neuron", ["lif", "qif"])
def test_a_small_network_learns_recorded_digits(recordings, tmp_path, neuron):
    """Thirty-two hidden neurons, two epochs: far above chance on words and voices never heard."""
    files = {"train": recordings / "fsdd_train.h5", "test": recordings / "fsdd_test.h5"}
    summary = train_on_recordings(out=tmp_path / "out", neuron=neuron, hidden=32, epochs=2, seed=0, **files)
    assert summary["samples"] == {"train": 1800, "test": 700, "test_known_speakers": 200}
    assert summary["test_accuracy_known_speakers"] > 3 * CHANCE
    assert summary["test_accuracy_unknown_speakers"] > 2 * CHANCE


@pytest.mark.long
@pytest.mark.parametrize(
    ("data", "least_known", "least_unknown"), [("fsdd", 0.82, 0.55), ("synthetic_digits", 0.95, 0.8)]
)
@pytest.mark.parametrize("neuron", ["lif", "qif"])
def test_accuracy_of_the_defaults(recordings, tmp_path, neuron, data, least_known, least_unknown):
    """``brian-qif train`` with its defaults, the mean of three seeds."""
    files = {"train": recordings / f"{data}_train.h5", "test": recordings / f"{data}_test.h5"}
    runs = [train_on_recordings(out=tmp_path / str(seed), neuron=neuron, seed=seed, **files) for seed in range(3)]
    assert np.mean([run["test_accuracy_known_speakers"] for run in runs]) >= least_known
    assert np.mean([run["test_accuracy_unknown_speakers"] for run in runs]) >= least_unknown
