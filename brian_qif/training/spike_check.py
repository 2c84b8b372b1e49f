"""Looks through a file of spike trains, in a process of its own: damaged files can crash the HDF5 library or hang it.

This file is run by its path, so that nothing but h5py and NumPy is loaded. It answers requests, one line of JSON each:
lines with a dot while it works, then one with what it found.
"""

from __future__ import annotations

import json
import sys

import h5py
import numpy as np

KEYS = ("spikes/times", "spikes/units", "labels", "extra/speaker", "extra/keys")
_MEMORY = 2 << 30  # bytes that a damaged file may make the library ask for
_BEAT = 64  # samples between two signs of life


def look_through(path, n_units, n_classes, labelled, alive):
    """What a file of spike trains holds, except for the spikes.

    Parameters
    ----------
    path : str
        The HDF5 file.
    n_units, n_classes : int or None
        The number of input neurons and of classes, where they are known.
    labelled : bool
        Whether labels, speakers and names of classes have to be there. Missing labels and speakers count as -1.
    alive : callable
        Called every now and then.

    Returns
    -------
    dict
        Labels, speakers, names of the classes, time of each sample's last spike, number of units and of classes, and
        what the file says of itself.

    Raises
    ------
    ValueError
        If something is wrong; the message names the file, what it is and where.
    """
    with h5py.File(path, "r") as file:
        _check_layout(file, path, labelled)
        labels, speakers = (
            _integers(file, key, path) if key in file else np.full(len(file[KEYS[0]]), -1, np.int64)
            for key in KEYS[2:4]
        )
        names = [_text(name) for name in file["extra/keys"][:]] if "extra/keys" in file else []
        n_classes = len(names) if n_classes is None else n_classes
        _check_tables(file, path, labels, n_classes)
        largest, last_times = _check_spikes(file, path, len(labels), n_units, alive)
        said = file.attrs.get("units")
        return {
            "labels": labels.tolist(),
            "speakers": speakers.tolist(),
            "class_names": names,
            "last_times": last_times,
            "n_units": largest + 1 if n_units is None else n_units,
            "n_classes": n_classes,
            "source": _text(file.attrs["source"]) if "source" in file.attrs else None,
            "said_units": int(said) if isinstance(said, (int, np.integer)) and said > 0 else None,
        }


def _check_layout(file, path, labelled):
    for key in KEYS:
        if key not in file:
            if not labelled and key not in KEYS[:2]:
                continue
            raise ValueError(f"'{path}' lacks the key '{key}'. A file in the layout of SHD has {', '.join(KEYS)}.")
        if not isinstance(file[key], h5py.Dataset):
            raise ValueError(f"In '{path}', '{key}' is not a data set.")
    for key in KEYS[:2]:
        if h5py.check_vlen_dtype(file[key].dtype) is None:
            raise ValueError(
                f"In '{path}', '{key}' has to hold one variable-length array per sample, not {file[key].dtype}."
            )
    if "extra/keys" in file and file["extra/keys"].ndim != 1:
        raise ValueError(f"In '{path}', 'extra/keys' has the shape {file['extra/keys'].shape}; it has to be a list.")


def _check_tables(file, path, labels, n_classes):
    size = len(labels)
    if size == 0:
        raise ValueError(f"'{path}' holds no samples.")
    for key in ("spikes/times", "spikes/units", "extra/speaker"):
        if key in file and file[key].shape != (size,):
            raise ValueError(f"In '{path}', 'labels' has {size} entries but '{key}' has the shape {file[key].shape}.")
    outside = np.flatnonzero((labels < 0) | (labels >= n_classes))
    if "labels" in file and len(outside):
        raise ValueError(
            f"In '{path}', sample {outside[0]} has the label {labels[outside[0]]}, but there are {n_classes} classes"
            f" (0 to {n_classes - 1})."
        )


def _check_spikes(file, path, size, n_units, alive):
    """The largest unit and the time of each sample's last spike, after a look at every spike."""
    last_times, largest = [0.0] * size, -1
    for index in range(size):
        if index % _BEAT == 0:
            alive()
        times, units = _stored(file, path, index)
        where = f"In '{path}', sample {index}"
        if len(times) != len(units):
            raise ValueError(f"{where} has {len(times)} spike times but {len(units)} units.")
        if len(times) == 0:
            continue
        wrong = np.flatnonzero(~((times >= 0) & (times < np.inf)))
        if len(wrong):
            value = float(times[wrong[0]])
            problem = f"the negative time {value:g} s" if value < 0 else f"the time {value:g}"
            raise ValueError(f"{where} has a spike at {problem} (spike {wrong[0]}); times start at 0 s.")
        wrong = np.flatnonzero((units < 0) | (units >= (np.inf if n_units is None else n_units)))
        if len(wrong):
            network = "units start at 0" if n_units is None else f"the network has {n_units} inputs"
            raise ValueError(f"{where} has a spike of unit {units[wrong[0]]} (spike {wrong[0]}), but {network}.")
        last_times[index] = float(times.max())
        largest = max(largest, int(units.max()))
    if largest < 0:
        raise ValueError(f"'{path}' holds no spikes.")
    return largest, last_times


def _stored(file, path, index):
    """Times and units of one sample as the file has them."""
    try:
        times, units = file["spikes/times"][index], file["spikes/units"][index]
    except (OSError, RuntimeError, MemoryError) as error:
        raise ValueError(f"Sample {index} of '{path}' cannot be read: {error}.") from error
    if times.dtype.kind != "f" or units.dtype.kind not in "iu":
        raise ValueError(
            f"In '{path}', times have to be floating-point numbers and units integers, not {times.dtype}"
            f" and {units.dtype}."
        )
    return times, units


def _integers(file, key, path):
    if file[key].dtype.kind not in "iu":
        raise ValueError(f"In '{path}', '{key}' has to hold integers, not {file[key].dtype}.")
    if file[key].ndim != 1:
        raise ValueError(f"In '{path}', '{key}' has the shape {file[key].shape}; it has to be a list.")
    return file[key][:].astype(np.int64)


def _text(name):
    return name.decode("utf-8", errors="replace") if isinstance(name, bytes) else str(name)


def _limit_memory():
    if sys.platform != "linux":
        return  # elsewhere the system does not count, or not in this way
    import resource

    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _answer(request):
    try:
        return {"found": look_through(**request, alive=lambda: print(".", flush=True))}
    except ValueError as error:
        return {"wrong": str(error)}
    except (OSError, RuntimeError, KeyError, MemoryError, TypeError, OverflowError) as error:
        # What h5py raises where the file's own structure is broken.
        return {"wrong": f"'{request['path']}' is damaged or cut short: {str(error).strip(chr(39))}."}


if __name__ == "__main__":
    _limit_memory()
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), flush=True)
