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
@pytest.mark.parametrize("neuron", ["lif", "qif"])
def test_accuracy_of_the_defaults_on_known_speakers(recordings, tmp_path, neuron):
    """``brian-qif train`` with its defaults, three seeds; prints what it found."""
    files = {"train": recordings / "fsdd_train.h5", "test": recordings / "fsdd_test.h5"}
    known, unknown, seconds = [], [], []
    for seed in range(3):
        summary = train_on_recordings(out=tmp_path / str(seed), neuron=neuron, seed=seed, **files)
        known.append(summary["test_accuracy_known_speakers"])
        unknown.append(summary["test_accuracy_unknown_speakers"])
        seconds.append(summary["seconds"])
        print(f"\n{neuron} seed {seed}: known {known[-1]:.3f}, unknown {unknown[-1]:.3f}, {seconds[-1]:.0f} s")
    print(f"{neuron}: known {np.mean(known):.3f} +- {np.std(known):.3f}, unknown {np.mean(unknown):.3f}")
    assert np.mean(known) >= 0.82
