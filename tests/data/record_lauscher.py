"""Record what lauscher, the package of the authors of the auditory chain, makes of a sound.

It needs an environment of its own with lauscher (LGPL; tried with 1.0.1), and four minutes:

    python -m venv lauscher-env
    lauscher-env/bin/pip install lauscher
    PYTHONPATH=. lauscher-env/bin/python tests/data/record_lauscher.py

It rewrites tests/data/lauscher.npz, with which tests/data/test_hearing.py compares.
"""

from pathlib import Path

import numpy as np
from lauscher.audiowaves import MonoAudioWave
from lauscher.helpers import CommandLineArguments
from lauscher.transformations import BasilarMembrane, BushyCell, HairCell, HanningWindow, RmsNormalizer

from tests.data.word import word

CHANNELS, SEEDS = 70, 20


def main():
    CommandLineArguments().num_concurrent_jobs = 1
    windowed = MonoAudioWave(word(), 48000).transform(RmsNormalizer(0.3)).transform(HanningWindow())
    moved = windowed.transform(BasilarMembrane(channels=CHANNELS))
    fired = moved.transform(HairCell())
    counts = []
    for seed in range(SEEDS):
        np.random.seed(seed)  # noqa: NPY002  (the generator that lauscher uses)
        counts.append(np.bincount(np.asarray(fired.transform(BushyCell()).spike_labels, int), minlength=CHANNELS))
    np.savez_compressed(
        Path(__file__).with_name("lauscher.npz"),
        counts=np.array(counts, np.uint16),
        # Every sixteenth step of every seventh channel: enough to compare, small enough to keep.
        probability=np.array(fired.channels)[::7, ::16].astype(np.float32),
    )


if __name__ == "__main__":
    main()
