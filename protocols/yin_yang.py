"""Trainings on the Yin-Yang set over several seeds and both models, their table and picture.

The examples by paper bring the network, the loss and the settings; here is what they share. Every finished run is kept.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from brian_qif.data.yin_yang import yin_yang
from brian_qif.files import write_atomically
from brian_qif.plotting.yin_yang import draw_yin_yang
from brian_qif.protocols.parallel import claim_folder, run_pieces

# Of the data: training, validation and test are the same points for every run.
_SEEDS = {"training": 1, "validation": 2, "test": 3}
_SIZES = {"training": 5000, "validation": 1000, "test": 1000}
# Places of the picture along each coordinate.
MAP_SIZE = 41


def yin_yang_sets(encode, samples=None):
    """The three sets as spike trains.

    Parameters
    ----------
    encode : callable
        ``encode(points, labels)`` gives the samples, such as `latency_samples` with its times.
    samples : int, optional
        The number of training samples, 5000 where it is not given. There are 1000 each for validation and test, or as
        many as for training if these are fewer.

    Returns
    -------
    dict of str to list of SpikeSample
        By the names "training", "validation" and "test".

    Raises
    ------
    ValueError
        If there is not one sample.
    """
    samples = _SIZES["training"] if samples is None else samples
    if samples < 1:
        raise ValueError(f"A training needs one sample or more, not {samples}.")
    return {name: encode(*yin_yang(min(size, samples), _SEEDS[name])) for name, size in _SIZES.items()}


def train_one(prepare, encode, neuron, seed, epochs, samples):
    """Train one network, and test it after every epoch.

    Parameters
    ----------
    prepare : callable
        ``prepare(neuron, seed, samples)`` gives the `Trainer` of a network with its initial weights, from the training
        samples.
    encode : callable
        See `yin_yang_sets`.
    neuron : 'lif' or 'qif'
    seed, epochs, samples : int
        Of the initial weights and the order of the samples; how often each is learned; and how many there are.

    Returns
    -------
    dict
        As JSON can hold it: ``test_accuracy`` after every epoch, ``validation_accuracy`` after the last,
        ``hidden_spikes`` per neuron and sample of the last epoch, ``map``: what the trained network takes each place of
        the picture for, row by row from the bottom, and ``seconds``. The test set decides nothing.
    """
    begin, sets = time.perf_counter(), yin_yang_sets(encode, samples)
    trainer = prepare(neuron, seed, sets["training"])
    accuracies = []
    history = trainer.train(
        sets["training"], epochs, after_epoch=lambda trainer: accuracies.append(trainer.evaluate(sets["test"]).accuracy)
    )
    return {
        "neuron": neuron,
        "seed": seed,
        "test_accuracy": accuracies,
        "validation_accuracy": trainer.evaluate(sets["validation"]).accuracy,
        "hidden_spikes": float(history["rate_hidden"].iloc[-1] * float(trainer.duration)),
        "map": trainer.evaluate(encode(_places(), np.zeros(MAP_SIZE**2, dtype=int))).predictions.tolist(),
        "seconds": time.perf_counter() - begin,
    }


def _places():
    """The places of the picture, row by row from the bottom; those outside the disc are encoded all the same."""
    line = np.linspace(0, 1, MAP_SIZE)
    return np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)


def table_of(runs):
    """One row per model: accuracies on the test set after the last epoch, in percent, over the seeds.

    Parameters
    ----------
    runs : list of dict
        What `train_one` gave.

    Returns
    -------
    pandas.DataFrame
        ``spread`` is the standard deviation over the seeds (of a sample; not a number for one seed).
    """
    rows = []
    for neuron in dict.fromkeys(run["neuron"] for run in runs):
        own = [run for run in runs if run["neuron"] == neuron]
        last = pd.Series([100 * run["test_accuracy"][-1] for run in own])
        rows.append(
            {
                "neuron": neuron,
                "seeds": len(own),
                "epochs": len(own[0]["test_accuracy"]),
                "mean": last.mean(),
                "spread": last.std(),
                "lowest": last.min(),
                "highest": last.max(),
                "validation_mean": np.mean([100 * run["validation_accuracy"] for run in own]),
                "hidden_spikes": np.mean([run["hidden_spikes"] for run in own]),
                "seconds": np.mean([run["seconds"] for run in own]),
            }
        )
    return pd.DataFrame(rows)


def run_example(prepare, encode, published, description, epochs, arguments=None):
    """The command of an example: trainings, a table and a picture.

    Parameters
    ----------
    prepare, encode
        See `train_one`; functions of a module.
    published : tuple
        The name of the paper, its mean test accuracy and the spread, in percent.
    description : str
        What ``--help`` says first.
    epochs : int
        How many there are by default.
    arguments : list of str, optional
        Of the command line; by default those of the process.

    Returns
    -------
    pandas.DataFrame
        The table.

    Raises
    ------
    ValueError
        If the folder holds runs with other settings.
    """
    paper = published[0]
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--neuron", choices=("lif", "qif", "both"), default="both", help="model; both by default")
    parser.add_argument("--seeds", type=_count, default=1, help="runs of each model, with the seeds from 0 on")
    parser.add_argument("--epochs", type=_count, default=epochs, help=f"times each sample is learned; {epochs}")
    parser.add_argument("--samples", type=_count, default=_SIZES["training"], help="training samples; 5000")
    parser.add_argument("--workers", type=int, default=1, help="runs at a time; -1: one per core")
    parser.add_argument("--out", default=paper, help=f"folder of runs and results, another after a change; {paper}")
    given = parser.parse_args(arguments)
    settings = {"paper": paper, "epochs": given.epochs, "samples": given.samples}
    folder = claim_folder(given.out, settings)
    neurons = ("lif", "qif") if given.neuron == "both" else (given.neuron,)
    pieces = {
        f"{neuron}_{seed}": (neuron, seed, given.epochs, given.samples)
        for seed in range(given.seeds)
        for neuron in neurons
    }
    function = partial(train_one, prepare, encode)
    found = run_pieces(function, pieces, Path(folder) / "runs", workers=given.workers, report="text")
    runs = sorted(found.values(), key=lambda run: run["neuron"])
    table = table_of(runs)
    write_atomically(Path(folder) / "results.csv", table.to_csv(index=False, float_format="%.2f").encode())
    draw_yin_yang(runs, published, Path(folder) / f"{paper}.png")
    print(table.round(2).to_string(index=False))
    print(f"Published: {published[1]} +- {published[2]} %. Results are in '{folder}'.")
    return table


def _count(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"it has to be at least 1, not {number}")
    return number
