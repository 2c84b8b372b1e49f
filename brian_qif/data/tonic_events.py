"""Data sets of tonic, cochleas and event cameras among them, as files of spike trains."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from brian_qif.data.spike_file import write_spike_file

_MICROSECOND = 1e-6
_FIELDS = {"x": 0, "y": 1, "p": 2}  # and their places in tonic's sensor_size


def convert_tonic(
    dataset: Sequence,
    path: str | os.PathLike,
    class_names: Sequence[str] | None = None,
    speakers: Sequence[int] | None = None,
    sensor_size: tuple[int, int, int] | None = None,
) -> int:
    """Write a data set of tonic into a file for `SpikeDataset`.

    Parameters
    ----------
    dataset : tonic.Dataset
        Or any sequence of pairs: events, a structured array with ``t`` in microseconds and ``x``, for cameras ``y``
        and ``p`` too, and a label, a number. tonic itself is not needed.
    path : str or os.PathLike
        The HDF5 file to be written.
    class_names : sequence of str, optional
        By default the data set's ``classes``, else the numbers of the labels.
    speakers : sequence of int, optional
        Who made each sample, so that data can be split by it. 0 where it is not known.
    sensor_size : tuple of int, optional
        Width, height and number of polarities, by default the data set's ``sensor_size``.

    Returns
    -------
    int
        The number of samples. The unit of an event is ``(p * height + y) * width + x``.

    Raises
    ------
    ValueError
        If an event has other fields or lies outside the sensor, or labels are not numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from brian_qif.data.tonic_events import convert_tonic
    >>> events = np.array([(1000, 3), (2500, 0)], dtype=[("t", int), ("x", int)])
    >>> convert_tonic([(events, 0), (events, 1)], "gestures.h5", sensor_size=(4, 1, 1))
    2
    """
    size = sensor_size or getattr(dataset, "sensor_size", None)
    if size is None or len(size) != 3:
        raise ValueError(f"'sensor_size' has to be width, height and number of polarities, not {size}.")
    labels = [_label(dataset[index][1], index) for index in range(len(dataset))]
    names = class_names if class_names is not None else getattr(dataset, "classes", None)
    names = [str(name) for name in (range(max(labels, default=0) + 1) if names is None else names)]
    if labels and max(labels) >= len(names):
        raise ValueError(f"There is the label {max(labels)}, but 'class_names' has {len(names)} names.")
    if speakers is not None and len(speakers) != len(labels):
        raise ValueError(f"There are {len(labels)} samples but {len(speakers)} speakers.")
    people = np.zeros(len(labels), int) if speakers is None else speakers
    samples = ((*_spikes(dataset[index][0], size, index), labels[index], people[index]) for index in range(len(labels)))
    source = f"tonic: {type(dataset).__name__}"
    return write_spike_file(path, samples, names, int(np.prod(size)), source, time_type=np.float32)


def _label(label, index):
    if isinstance(label, (int, np.integer)) and label >= 0:
        return int(label)
    raise ValueError(f"Sample {index} has the label {label!r}, which is no number from 0 on.")


def _spikes(events, size, index):
    fields = events.dtype.names or ()
    if not {"t", "x"} <= set(fields):
        raise ValueError(f"The events of sample {index} have the fields {fields}; they need 't' and 'x'.")
    places = {name: np.zeros(len(events), np.int64) for name in _FIELDS}
    for name, axis in _FIELDS.items():
        # Where there is one polarity only, its value says nothing.
        if name in fields and size[axis] > 1:
            places[name] = events[name].astype(np.int64)
            if np.any((places[name] < 0) | (places[name] >= size[axis])):
                raise ValueError(f"Sample {index} has an event with '{name}' outside 0 to {size[axis] - 1}.")
    units = (places["p"] * size[1] + places["y"]) * size[0] + places["x"]
    return events["t"] * _MICROSECOND, units
