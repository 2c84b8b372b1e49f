"""Writing labelled spike trains in the layout of the Spiking Heidelberg Digits."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import h5py
import numpy as np


def write_spike_file(
    path: str | os.PathLike,
    samples: Iterable[tuple],
    class_names: Sequence[str],
    n_units: int,
    source: str,
    attributes: dict | None = None,
    time_type: type = np.float16,
) -> int:
    """Write spike trains into an HDF5 file.

    The file appears under its name when it is whole.

    Parameters
    ----------
    path : str or os.PathLike
        The file; its folder is made where it is missing.
    samples : iterable of tuple
        Times in seconds, units, label and speaker of each sample.
    class_names : sequence of str
        The name of each class.
    n_units : int
        The number of input neurons.
    source : str
        Where the spikes come from. It begins with ``SYNTHETIC`` where nobody spoke.
    attributes : dict, optional
        More about the making, text or numbers.
    time_type : dtype
        Of the times: float16 as in the published files (half a millisecond at one second), or a more exact one.

    Returns
    -------
    int
        The number of samples.

    Raises
    ------
    FileExistsError
        If there is such a file already.

    Examples
    --------
    >>> import numpy as np
    >>> from brian_qif.data.spike_file import write_spike_file
    >>> from brian_qif.training.datasets import SpikeDataset
    >>> samples = [(np.array([0.25, 0.5]), np.array([1, 0]), label, 0) for label in (0, 1)]
    >>> write_spike_file("own.h5", samples, class_names=["low", "high"], n_units=2, source="an example")
    2
    >>> with SpikeDataset("own.h5") as dataset:
    ...     dataset[1].times, dataset[1].label
    (array([0.25, 0.5 ]), 1)
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"There is a file '{path}' already; choose another name.")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    unit_type = np.uint16 if n_units <= 1 << 16 else np.uint32
    labels, speakers = [], []
    try:
        with h5py.File(unfinished, "w") as file:
            times = file.create_dataset(
                "spikes/times", (0,), h5py.vlen_dtype(time_type), maxshape=(None,), chunks=(64,)
            )
            units = file.create_dataset(
                "spikes/units", (0,), h5py.vlen_dtype(unit_type), maxshape=(None,), chunks=(64,)
            )
            for index, (when, where, label, speaker) in enumerate(samples):
                times.resize((index + 1,))
                units.resize((index + 1,))
                times[index], units[index] = np.asarray(when, time_type), np.asarray(where, unit_type)
                labels.append(label)
                speakers.append(speaker)
            file["labels"] = np.array(labels, np.uint16)
            file["extra/speaker"] = np.array(speakers, np.uint16)
            file["extra/keys"] = np.array([name.encode() for name in class_names])
            file.attrs.update({"source": source, "units": n_units, **(attributes or {})})
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return len(labels)
