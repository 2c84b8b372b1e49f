"""Labelled spike trains from files in the layout of the Spiking Heidelberg Digits (SHD)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from brian2 import Quantity, second

_KEYS = ("spikes/times", "spikes/units", "labels", "extra/speaker", "extra/keys")


@dataclass(frozen=True)
class SpikeSample:
    """One labelled spike train.

    Attributes
    ----------
    times : numpy.ndarray
        Spike times in seconds, float64, ascending.
    units : numpy.ndarray
        The neuron of each spike, int64.
    label : int
        The class to which the sample belongs.
    speaker : int
        Who spoke it.
    """

    times: np.ndarray
    units: np.ndarray
    label: int
    speaker: int


class SpikeDataset:
    """A file of labelled spike trains, in the HDF5 layout of the Spiking Heidelberg Digits.

    The layout is ``spikes/times`` (one variable-length float array of seconds per sample), ``spikes/units``
    (integers, aligned with the times), ``labels``, ``extra/speaker`` and ``extra/keys`` (the names of the classes).
    The whole file is checked when it is opened. A sample is read when it is first asked for and from then on kept
    in memory, as compactly as in the file. Spikes are sorted by time and simultaneous ones by unit, so that their order
    in the file changes nothing, not even where random numbers are drawn spike by spike.

    Parameters
    ----------
    file : str or os.PathLike
        The HDF5 file.
    n_units : int, optional
        The number of input neurons. Found from the data (largest unit + 1) where it is not given.
    n_classes : int, optional
        The number of classes that the readout can tell apart. The number of ``extra/keys`` where it is not given.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not HDF5, is cut short, lacks a key, holds no sample, has arrays whose lengths disagree, a
        negative or non-finite time, a unit outside ``n_units`` or a label outside ``n_classes``. The message names
        the file, what is wrong and where.

    Notes
    -----
    Times are exact: the float16 values of the file, widened to float64.

    References
    ----------
    Cramer, Stradmann, Schemmel & Zenke (2022), The Heidelberg spiking data sets for the systematic evaluation of
    spiking neural networks, https://doi.org/10.1109/TNNLS.2020.3044364
    """

    def __init__(self, file, n_units=None, n_classes=None):
        self.path = Path(file)
        self._file = _open(self.path)
        try:
            self._read_tables()
            self._n_classes = len(self.class_names) if n_classes is None else int(n_classes)
            self._check_labels()
            self._n_units, self._last_times = self._check_spikes(n_units)
        except ValueError:
            self._file.close()
            raise
        self._indices = np.arange(len(self._labels))
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def _read_tables(self):
        for key in _KEYS:
            if key not in self._file:
                raise ValueError(
                    f"'{self.path}' lacks the key '{key}'. A file in the layout of SHD has {', '.join(_KEYS)}."
                )
            if not isinstance(self._file[key], h5py.Dataset):
                raise ValueError(f"In '{self.path}', '{key}' is not a data set.")
        for key in ("spikes/times", "spikes/units"):
            if h5py.check_vlen_dtype(self._file[key].dtype) is None:
                raise ValueError(
                    f"In '{self.path}', '{key}' has to hold one variable-length array per sample,"
                    f" not {self._file[key].dtype}."
                )
        self._attributes = dict(self._file.attrs)
        self._labels = _integers(self._file, "labels", self.path)
        self._speakers = _integers(self._file, "extra/speaker", self.path)
        self.class_names = tuple(_text(name) for name in self._file["extra/keys"][:])
        size = len(self._labels)
        if size == 0:
            raise ValueError(f"'{self.path}' holds no samples.")
        for key in ("spikes/times", "spikes/units", "extra/speaker"):
            if self._file[key].shape != (size,):
                raise ValueError(
                    f"In '{self.path}', 'labels' has {size} entries but '{key}' has the shape {self._file[key].shape}."
                )

    def _check_labels(self):
        outside = np.flatnonzero((self._labels < 0) | (self._labels >= self._n_classes))
        if len(outside):
            raise ValueError(
                f"In '{self.path}', sample {outside[0]} has the label {self._labels[outside[0]]}, but there are"
                f" {self._n_classes} classes (0 to {self._n_classes - 1})."
            )

    def _check_spikes(self, n_units):
        """The number of units and the time of each sample's last spike, after a look at every spike."""
        last_times = np.zeros(len(self._labels))
        largest = -1
        for index in range(len(self._labels)):
            times, units = self._stored(index)
            where = f"In '{self.path}', sample {index}"
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
            last_times[index] = times.max()
            largest = max(largest, int(units.max()))
        if largest < 0:
            raise ValueError(f"'{self.path}' holds no spikes.")
        return (largest + 1 if n_units is None else int(n_units)), last_times

    def _stored(self, index):
        """Times and units of one sample as the file has them."""
        try:
            times, units = self._file["spikes/times"][index], self._file["spikes/units"][index]
        except (OSError, RuntimeError) as error:
            raise ValueError(f"Sample {index} of '{self.path}' cannot be read: {error}.") from error
        if times.dtype.kind != "f" or units.dtype.kind not in "iu":
            raise ValueError(
                f"In '{self.path}', times have to be floating-point numbers and units integers, not {times.dtype}"
                f" and {units.dtype}."
            )
        return times, units

    def __len__(self):
        return len(self._indices)

    def __getitem__(self, position) -> SpikeSample:
        index = int(self._indices[position])
        if index not in self._kept:
            times, units = self._stored(index)
            order = np.lexsort((units, times))
            self._kept[index] = times[order], units[order]
        times, units = self._kept[index]
        return SpikeSample(
            times.astype(np.float64),
            units.astype(np.int64),
            int(self._labels[index]),
            int(self._speakers[index]),
        )

    def __repr__(self):
        return (
            f"<SpikeDataset '{self.path.name}': {len(self)} samples, {self.n_units} units,"
            f" {self.n_classes} classes, {len(set(self.speakers))} speakers>"
        )

    @property
    def n_units(self) -> int:
        """The number of input neurons."""
        return self._n_units

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return self._n_classes

    @property
    def source(self) -> str | None:
        """Where the spikes come from, if the file says so in its attribute ``source``."""
        return None if "source" not in self._attributes else _text(self._attributes["source"])

    @property
    def synthetic(self) -> bool:
        """Whether the file says of itself that nobody spoke: its source begins with ``SYNTHETIC``."""
        return (self.source or "").startswith("SYNTHETIC")

    @property
    def labels(self) -> np.ndarray:
        """The class of each sample."""
        return self._labels[self._indices]

    @property
    def speakers(self) -> np.ndarray:
        """The speaker of each sample."""
        return self._speakers[self._indices]

    @property
    def duration(self) -> Quantity:
        """The time of the last spike in any of the samples."""
        return float(self._last_times[self._indices].max()) * second

    def select(self, indices=None, speakers=None) -> SpikeDataset:
        """A part of the samples.

        Parameters
        ----------
        indices : array_like of int, optional
            Positions in this data set, in the order wanted. All of them where it is not given.
        speakers : collection of int, optional
            Only samples of these speakers.

        Returns
        -------
        SpikeDataset
            It shares the open file with this one.

        Raises
        ------
        ValueError
            If nothing is left.
        IndexError
            If a position lies outside the data set.
        """
        chosen = self._indices if indices is None else self._indices[np.asarray(indices, dtype=np.int64)]
        if speakers is not None:
            chosen = chosen[np.isin(self._speakers[chosen], list(speakers))]
        if len(chosen) == 0:
            raise ValueError(f"No sample of '{self.path}' is left by this selection.")
        part = object.__new__(SpikeDataset)
        part.__dict__.update(self.__dict__)
        part._indices = chosen
        return part

    def close(self):
        """Close the file; no sample that was not yet read can be had afterwards, nor from a selection."""
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


def said_units(file):
    """The number of input neurons that a file of spike trains says it has, in its attribute ``units``.

    Parameters
    ----------
    file : str or os.PathLike
        The HDF5 file.

    Returns
    -------
    int or None
        None if it does not say.
    """
    with _open(Path(file)) as opened:
        said = opened.attrs.get("units")
    return int(said) if isinstance(said, (int, np.integer)) and said > 0 else None


def _open(path):
    if not path.exists():
        raise FileNotFoundError(f"There is no file '{path}'.")
    if path.is_dir():
        raise ValueError(f"'{path}' is a folder, not an HDF5 file.")
    if not h5py.is_hdf5(path):
        raise ValueError(f"'{path}' is not an HDF5 file.")
    try:
        return h5py.File(path, "r")
    except PermissionError:
        raise
    except OSError as error:
        raise ValueError(f"'{path}' is damaged or cut short: {error}.") from error


def _integers(file, key, path):
    values = file[key][:]
    if values.dtype.kind not in "iu":
        raise ValueError(f"In '{path}', '{key}' has to hold integers, not {values.dtype}.")
    if values.ndim != 1:
        raise ValueError(f"In '{path}', '{key}' has the shape {values.shape}; it has to be a list.")
    return values.astype(np.int64)


def _text(name):
    return name.decode("utf-8", errors="replace") if isinstance(name, bytes) else str(name)
