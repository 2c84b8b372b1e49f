"""Show what a file of spike trains holds."""

from __future__ import annotations

import numpy as np

from brian_qif.plotting.trainings import draw_raster
from brian_qif.training.datasets import SpikeDataset


def describe(file):
    """What a file in the layout of the Spiking Heidelberg Digits holds.

    Parameters
    ----------
    file : str or os.PathLike
        The HDF5 file.

    Returns
    -------
    dict
        Texts by their names, in the order in which to show them.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not of the layout; the message says what is wrong.
    """
    with SpikeDataset(file) as dataset:
        spikes, active, ends, shared, twice = [], [], [], [], []
        for index in range(len(dataset)):
            sample = dataset[index]
            spikes.append(len(sample.times))
            active.append(len(np.unique(sample.units)))
            ends.append(sample.times.max(initial=0.0))
            shared.append(len(sample.times) - len(np.unique(sample.times)))
            # Sorted by time and unit, so that equal pairs are neighbours.
            twice.append(int(np.sum((np.diff(sample.times) == 0) & (np.diff(sample.units) == 0))))
        total = max(sum(spikes), 1)
        return {
            "file": str(dataset.path),
            "source": dataset.source or "not said in the file",
            "samples": str(len(dataset)),
            "classes": f"{dataset.n_classes}: {_counts(dataset.labels, dataset.class_names)}",
            "speakers": f"{len(set(dataset.speakers))}: {_counts(dataset.speakers)}",
            "units": f"{dataset.n_units}, of which a sample uses {_spread(active)}",
            "spikes per sample": _spread(spikes),
            "last spike (s)": _spread(ends, "{:.3f}"),
            "spikes at the time of another": f"{sum(shared) / total:.1%}",
            "twice the same unit at one time": f"{sum(twice)} in {np.count_nonzero(twice)} samples",
            "samples without a spike": str(spikes.count(0)),
        }


def _spread(values, pattern="{:.0f}"):
    low, middle, high = (pattern.format(value) for value in (min(values), np.median(values), max(values)))
    return f"{middle} (median), {low} to {high}"


def _counts(values, names=None):
    present, counts = np.unique(values, return_counts=True)
    shown = present if names is None else [names[value] if value < len(names) else value for value in present]
    return ", ".join(f"{name} ({count})" for name, count in zip(shown, counts, strict=True))


def draw_sample(file, index, out):
    """Draw the spikes of one sample.

    Parameters
    ----------
    file : str or os.PathLike
        The HDF5 file.
    index : int
        Which sample, counted from 0.
    out : str or os.PathLike
        The picture, in a format that matplotlib knows by its ending.

    Raises
    ------
    ValueError
        If the file is wrong or has no such sample.
    """
    with SpikeDataset(file) as dataset:
        if not 0 <= index < len(dataset):
            raise ValueError(f"'{file}' has the samples 0 to {len(dataset) - 1}, no sample {index}.")
        sample = dataset[index]
        name = dataset.class_names[sample.label] if sample.label < len(dataset.class_names) else sample.label
        title = f"{dataset.path.name}, sample {index}: '{name}', speaker {sample.speaker}, {len(sample.times)} spikes"
        draw_raster(
            sample.times, sample.units, dataset.n_units, out, title + (", SYNTHETIC" if dataset.synthetic else "")
        )


def add_arguments(parser):
    """Give a parser the arguments of ``brian-qif data info``."""
    parser.add_argument("file", metavar="FILE", help="HDF5 file (SHD layout)")
    parser.add_argument("--raster", type=int, metavar="N", help="draw the spikes of sample N, counted from 0")
    parser.add_argument("--out", default="raster.png", metavar="PNG", help="the picture (default: %(default)s)")


def run(arguments):
    """Carry out ``brian-qif data info``; the table to show."""
    found = describe(arguments.file)
    width = max(len(name) for name in found)
    text = "\n".join(f"{name:<{width}}  {value}" for name, value in found.items())
    if arguments.raster is None:
        return text
    draw_sample(arguments.file, arguments.raster, arguments.out)
    return f"{text}\nDrawn into '{arguments.out}'."
