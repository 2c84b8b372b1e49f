"""How hard a pair of spike files is for simple classifiers (needs scikit-learn).

Usage: python synthetic_difficulty.py TRAIN.h5 TEST.h5
"""

import sys
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brian_qif.training.datasets import SpikeDataset

BINS, CHANNELS = 12, 70


def features(dataset, n_units, duration):
    """Spike counts of all units, and counts in time bins of neighbouring units together."""
    counts, binned = [], []
    per_channel = max(1, n_units // CHANNELS)
    for sample in (dataset[k] for k in range(len(dataset))):
        counts.append(np.bincount(sample.units, minlength=n_units))
        place = np.minimum(sample.times / duration * BINS, BINS - 1).astype(int)
        table = np.zeros((BINS, -(-n_units // per_channel)))
        np.add.at(table, (place, sample.units // per_channel), 1)
        binned.append(table.ravel())
    return np.array(counts), np.sqrt(np.array(binned))


def main(train, test):
    training, tested = SpikeDataset(train), SpikeDataset(test)
    n_units = max(training.n_units, tested.n_units)
    duration = float(training.duration)
    known = np.isin(tested.speakers, np.unique(training.speakers))
    (counts, binned), (test_counts, test_binned) = (features(d, n_units, duration) for d in (training, tested))
    spikes = counts.sum(axis=1)
    print(f"{len(training)} training and {len(tested)} test samples, {spikes.mean():.0f} spikes in {duration:.2f} s")
    warnings.simplefilter("ignore", ConvergenceWarning)
    for name, model, x, y in (
        ("linear, spike counts", LogisticRegression(max_iter=300, C=0.02), counts, test_counts),
        ("MLP-128, time bins", MLPClassifier((128,), alpha=1.0, max_iter=100, random_state=0), binned, test_binned),
    ):
        right = make_pipeline(StandardScaler(), model).fit(x, training.labels).predict(y) == tested.labels
        print(f"{name}: all {right.mean():.3f}, known {right[known].mean():.3f}, unknown {right[~known].mean():.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
