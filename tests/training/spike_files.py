"""Small files in the layout of the Spiking Heidelberg Digits, made for the tests."""

import h5py
import numpy as np


def write_spike_file(path, times, units, labels, speakers=None, keys=(b"zero", b"one", b"two"), omit=None):
    """Write a file; ``omit`` names a key that is left out."""
    with h5py.File(path, "w") as file:
        variable = {
            "spikes/times": (times, h5py.vlen_dtype(np.float16)),
            "spikes/units": (units, h5py.vlen_dtype(np.int64)),
        }
        for key, (rows, dtype) in variable.items():
            if key == omit:
                continue
            data = file.create_dataset(key, (len(rows),), dtype=dtype)
            for index, row in enumerate(rows):
                data[index] = np.asarray(row, dtype=np.float16 if key == "spikes/times" else np.int64)
        plain = {
            "labels": np.asarray(labels, dtype=np.uint16),
            "extra/speaker": np.asarray([0] * len(labels) if speakers is None else speakers, dtype=np.uint16),
            "extra/keys": np.array(keys),
        }
        for key, values in plain.items():
            if key != omit:
                file[key] = values
    return path


def pattern_samples(generator, count, n_units=12, n_classes=3):
    """Spike trains in which the class decides which third of the units fires early: times, units, labels."""
    labels = generator.integers(n_classes, size=count)
    times, units = [], []
    for label in labels:
        favoured = np.arange(n_units) % n_classes == label
        onset = np.where(favoured, 0.002, 0.02)[:, None] + generator.uniform(0, 0.012, (n_units, 2))
        order = np.argsort(onset.ravel())
        times.append(onset.ravel()[order])
        units.append(np.repeat(np.arange(n_units), 2)[order])
    return times, units, labels


def write_pattern_file(path, seed, count, speakers=(0, 1)):
    """A file of such spike trains, spoken in turn by the speakers."""
    times, units, labels = pattern_samples(np.random.default_rng(seed), count)
    return write_spike_file(path, times, units, labels, np.resize(speakers, count))
