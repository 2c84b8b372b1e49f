"""Make synthetic spoken digits: espeak-ng speaks, the auditory chain hears."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from brian_qif import __version__
from brian_qif.data.hearing import hear
from brian_qif.data.speech import WORDS, Variability, Voice, find_synthesiser, speak
from brian_qif.data.spike_file import write_spike_file
from brian_qif.training.progress import Progress

UNSEEN = (4, 5)  # speakers of the test file only, as in the Spiking Heidelberg Digits
SOURCE = (
    "SYNTHETIC: digits spoken by espeak-ng through the auditory chain of Cramer et al. (2022);"
    " nobody spoke, and these are not the Spiking Heidelberg Digits"
)
NAMES = "synthetic_digits_train.h5", "synthetic_digits_test.h5"
_TOGETHER = 8  # words per call of the chain


def synthesise_digits(out, speakers=12, takes=40, channels=700, every=1, seed=0, jobs=None, report=None):
    """Write a training file and a test file of synthetic spoken digits, in the layout of the SHD.

    Speakers 4 and 5 are heard in the test file only. One take in twenty, but at least one, of every other speaker's
    words is in the test file too.

    Parameters
    ----------
    out : str or os.PathLike
        The folder for both files.
    speakers : int
        The number of voices, at least 6.
    takes : int
        How often each of them speaks each of the 20 words, at least 2.
    channels : int
        The number of channels of the auditory chain.
    every : int
        Only every so many-th channel is kept, which thins the spikes. Channels are not merged: that would put two
        spikes of one unit into one time step.
    seed : int
        Decides everything random.
    jobs : int, optional
        Processes that work side by side, by default one per core. They change no bit of the outcome, as long as
        espeak-ng says the same whenever it is asked the same. A script that calls this with more than one has to do so
        below ``if __name__ == "__main__"``.
    report : None, 'text', 'stderr' or callable
        Where progress is reported.

    Returns
    -------
    dict
        The number of samples per file name.

    Raises
    ------
    FileNotFoundError
        If espeak-ng is not installed.
    FileExistsError
        If there is such a file already.
    ValueError
        If a number makes no sense.
    """
    least = {"speakers": (speakers, 6), "takes": (takes, 2), "channels": (channels, 2), "every": (every, 1)}
    for name, (value, minimum) in {**least, "seed": (seed, 0), "jobs": (jobs or 1, 1)}.items():
        if value < minimum:
            raise ValueError(f"'{name}' has to be at least {minimum}, not {value}.")
    find_synthesiser()
    folder = Path(out)
    for name in NAMES:
        if (folder / name).exists():
            raise FileExistsError(f"There is a file '{folder / name}' already; choose another folder.")
    units = -(-channels // every)
    command = (
        f"brian-qif data synthesise --speakers {speakers} --takes {takes} --channels {channels} --every {every}"
        f" --seed {seed}"
    )
    attributes = {"command": command, "version": __version__}
    progress = Progress(report)
    counts = {}
    for name, utterances in zip(NAMES, divide(speakers, takes, seed), strict=True):
        samples = _samples(utterances, channels, every, seed, jobs, progress, name)
        counts[name] = write_spike_file(folder / name, samples, WORDS, units, SOURCE, attributes)
    return counts


def divide(speakers, takes, seed=0):
    """Which utterances are in the training file and which in the test file.

    Parameters
    ----------
    speakers, takes, seed
        See `synthesise_digits`.

    Returns
    -------
    training, test : numpy.ndarray
        One row per utterance, in random order: speaker, word, take.
    """
    every = np.stack(np.meshgrid(range(speakers), range(len(WORDS)), range(takes), indexing="ij"), -1).reshape(-1, 3)
    test = np.isin(every[:, 0], UNSEEN) | (every[:, 2] < max(1, round(takes / 20)))
    generator = np.random.default_rng([seed, 1])
    return generator.permutation(every[~test]), generator.permutation(every[test])


def _samples(utterances, channels, every, seed, jobs, progress, name):
    """Times, units, label and speaker of each utterance, in their order."""
    progress.start()
    batches = [utterances[start : start + _TOGETHER] for start in range(0, len(utterances), _TOGETHER)]
    tasks = [(batch.tolist(), channels, every, seed) for batch in batches]
    done = 0
    jobs = jobs or os.cpu_count()
    # Processes that are started anew inherit no threads, whatever the system.
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) if jobs > 1 else nullcontext()
    with pool:
        for samples in (pool.map if jobs > 1 else map)(_speak_and_hear, tasks):
            yield from samples
            done += len(samples)
            progress.update(f"{name}: {done} of {len(utterances)} words", done / len(utterances))


def _speak_and_hear(task):
    batch, channels, every, seed = task
    variability = Variability()
    generators = [np.random.default_rng([seed, 2, *utterance]) for utterance in batch]
    sounds = [
        speak(word, Voice.of_speaker(speaker, seed, variability), generator, variability)
        for (speaker, word, _), generator in zip(batch, generators, strict=True)
    ]
    found = []
    for (speaker, word, _), (times, units) in zip(batch, hear(sounds, generators, channels), strict=True):
        kept = units % every == 0
        found.append((times[kept], units[kept] // every, word, speaker))
    return found


def add_arguments(parser):
    """Give a parser the arguments of ``brian-qif data synthesise``."""
    parser.add_argument("--out", required=True, metavar="DIR", help=f"folder for {NAMES[0]} and {NAMES[1]}")
    for name, default, text in (
        ("speakers", 12, "voices, at least 6; 4 and 5 are heard in the test file only"),
        ("takes", 40, "how often each voice speaks each of the 20 words"),
        ("channels", 700, "channels of the auditory chain"),
        ("every", 1, "only every N-th channel is kept"),
        ("seed", 0, "decides everything random"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{text} (default: %(default)s)")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes side by side (default: one per core)")


def run(arguments):
    """Carry out ``brian-qif data synthesise``; the lines to show at the end."""
    names = ("out", "speakers", "takes", "channels", "every", "seed", "jobs")
    counts = synthesise_digits(**{name: getattr(arguments, name) for name in names}, report="text")
    written = ", ".join(f"{name} ({count} samples)" for name, count in counts.items())
    return f"SYNTHETIC speech, written into '{arguments.out}': {written}."
