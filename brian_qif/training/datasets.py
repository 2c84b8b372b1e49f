"""Labelled spike trains from files in the layout of the Spiking Heidelberg Digits (SHD)."""

from __future__ import annotations

import operator
import os
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass

import h5py
import numpy as np
from brian2 import Quantity, second
from numpy.typing import ArrayLike

from brian_qif.arguments import MOST_NEURONS, path_of, plain_number, whole_number, whole_numbers
from brian_qif.gradients.batch import sorted_spikes
from brian_qif.training.encoding import SpikeEncoding
from brian_qif.training.safe_reading import look_through, unpacked

_MEMORY = 1 << 30  # bytes of samples that are kept
_OVERHEAD = 300  # bytes that Python needs for a sample, whatever its length


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
    speaker : int, optional
        Who spoke it, where somebody did.
    """

    times: np.ndarray
    units: np.ndarray
    label: int
    speaker: int | None = None


class SpikeDataset:
    """A file of labelled spike trains, in the HDF5 layout of the Spiking Heidelberg Digits.

    The layout is ``spikes/times`` (one variable-length float array of seconds per sample), ``spikes/units``
    (integers, aligned with the times), ``labels``, ``extra/speaker`` and ``extra/keys`` (the names of the classes).
    The whole file is checked when it is opened, by another process, which a damaged file may crash. A sample is read
    when it is asked for and kept in memory, as compactly as in the file, as long as there is room. A file packed by
    gzip, as the SHD are published, is unpacked into a temporary one. Spikes are sorted by time and simultaneous ones by
    unit, so that their order in the file changes nothing, not even where random numbers are drawn spike by spike.

    Parameters
    ----------
    file : str or os.PathLike
        The HDF5 file, or one packed by gzip.
    n_units : int, optional
        The number of input neurons. Found from the data (largest unit + 1) where it is not given.
    n_classes : int, optional
        The number of classes that the readout can tell apart. The number of ``extra/keys`` where it is not given.
    memory : int
        How many bytes of samples are kept in memory, 1 GiB by default; the others are read again.
    labelled : bool
        Whether labels, speakers and names of classes have to be there. Where they need not and are not, labels and
        speakers are -1.
    encoding : SpikeEncoding, optional
        How samples are brought to the input neurons. Its ``n_units`` are the channels of the file.

    Raises
    ------
    TypeError
        If the file is no path, the encoding is none, or the memory no number.
    FileNotFoundError
        If there is no such file.
    ValueError
        If a number is no whole one, the file is not HDF5, is cut short, lacks a key, holds no sample, has arrays whose
        lengths disagree, a negative or non-finite time, a unit outside ``n_units`` or a label outside ``n_classes``.
        The message names the file, what is wrong and where.

    Notes
    -----
    Times are exact: the float16 values of the file, widened to float64.

    References
    ----------
    Cramer, Stradmann, Schemmel & Zenke (2022), The Heidelberg spiking data sets for the systematic evaluation of
    spiking neural networks, https://doi.org/10.1109/TNNLS.2020.3044364

    Examples
    --------
    >>> from brian_qif.data.embedded import embedded_files
    >>> from brian_qif.training.datasets import SpikeDataset
    >>> dataset = SpikeDataset(embedded_files()[0])
    >>> len(dataset), dataset.n_units, dataset.n_classes
    (800, 70, 20)
    >>> dataset[0].times.shape
    (490,)
    >>> training, validation = dataset.split(0.2)
    >>> len(training), len(validation)
    (640, 160)
    >>> len(dataset.select(range(10)))
    10
    >>> dataset.close()
    """

    def __init__(
        self,
        file: str | os.PathLike,
        n_units: int | None = None,
        n_classes: int | None = None,
        memory: float = _MEMORY,
        labelled: bool = True,
        encoding: SpikeEncoding | None = None,
    ):
        self.path = path_of(file, "'file'")
        n_units, n_classes = (
            None if number is None else whole_number(number, f"'{name}'", 1, MOST_NEURONS)
            for name, number in (("n_units", n_units), ("n_classes", n_classes))
        )
        if not plain_number(memory, "'memory'") >= 0:
            raise ValueError(f"'memory' is a number of bytes, 0 or more; {memory!r} was given.")
        if not isinstance(encoding, (SpikeEncoding, type(None))):
            raise TypeError(f"'encoding' is a SpikeEncoding or None; {encoding!r} was given.")
        readable, self._remove = unpacked(self.path)
        try:
            if not h5py.is_hdf5(readable):
                raise ValueError(f"'{self.path}' is not an HDF5 file.")
            found = look_through(readable, n_units, n_classes, labelled)
            self._file = h5py.File(readable, "r")
            self._spikes = self._file["spikes/times"], self._file["spikes/units"]
        except BaseException:
            self._remove()
            raise
        self._n_units, self._n_classes = found["n_units"], found["n_classes"]
        self._labels = np.array(found["labels"], np.int64)
        self._speakers = np.array(found["speakers"], np.int64)
        self._last_times = np.array(found["last_times"])
        self._source, self._said_units = found["source"], found["said_units"]
        self.class_names = tuple(found["class_names"])
        self._indices = np.arange(len(self._labels))
        self._kept, self._encoding = _Kept(memory), encoding
        if encoding is not None and encoding.n_units != self._n_units:
            self.close()
            raise ValueError(f"The encoding is for {encoding.n_units} channels; '{self.path}' has {self._n_units}.")

    def __len__(self):
        return len(self._indices)

    def __getitem__(self, position) -> SpikeSample:
        try:
            index = int(self._indices[operator.index(position)])
        except TypeError:
            raise TypeError(
                f"A sample is asked for by its position, a whole number, and several by select; {position!r} was given."
            ) from None
        spikes = self._kept.get(index)
        if spikes is None:
            spikes = sorted_spikes(*(rows[index] for rows in self._spikes))
            self._kept.put(index, spikes)
        times, units = spikes
        sample = SpikeSample(
            times.astype(np.float64),
            units.astype(np.int64),
            int(self._labels[index]),
            int(self._speakers[index]),
        )
        return sample if self._encoding is None else self._encoding(sample)

    def __repr__(self):
        return (
            f"<SpikeDataset '{self.path.name}': {len(self)} samples, {self.n_units} units,"
            f" {self.n_classes} classes, {len(set(self.speakers))} speakers>"
        )

    @property
    def n_units(self) -> int:
        """The number of input neurons."""
        return self._n_units if self._encoding is None else self._encoding.n_inputs

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return self._n_classes

    @property
    def source(self) -> str | None:
        """Where the spikes come from, if the file says so in its attribute ``source``."""
        return self._source

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
        """The time of the last spike in any of the samples, or after it where an encoding moves spikes."""
        last = float(self._last_times[self._indices].max())
        return (last if self._encoding is None else self._encoding.duration_of(last)) * second

    def select(self, indices: ArrayLike | None = None, speakers: Collection[int] | None = None) -> SpikeDataset:
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
        TypeError
            If positions or speakers are no whole numbers.
        ValueError
            If nothing is left.
        IndexError
            If a position lies outside the data set.
        """
        chosen = self._indices if indices is None else self._indices[whole_numbers(indices, "Positions")]
        if speakers is not None:
            chosen = chosen[np.isin(self._speakers[chosen], whole_numbers(speakers, "Speakers"))]
        if len(chosen) == 0:
            raise ValueError(f"No sample of '{self.path}' is left by this selection.")
        part = object.__new__(SpikeDataset)
        part.__dict__.update(self.__dict__)
        part._indices = chosen
        return part

    def as_recorded(self) -> SpikeDataset:
        """The same samples without the encoding.

        Returns
        -------
        SpikeDataset
            It shares the open file with this one.
        """
        recorded = object.__new__(SpikeDataset)
        recorded.__dict__.update(self.__dict__)
        recorded._encoding = None
        return recorded

    def split(self, share: float = 0.2, by: str = "speaker", seed: int = 0) -> tuple[SpikeDataset, SpikeDataset]:
        """Hold out a part of the samples, for choosing settings.

        A part drawn from all samples holds no unknown speaker, and accuracy on it says little about new ones. So whole
        speakers are held out, where there are at least two.

        Parameters
        ----------
        share : float
            The share that is held out, rounded to whole speakers but at least one, or to whole samples.
        by : 'speaker' or 'sample'
            What is held out. Samples are, too, where there is one speaker only.
        seed : int
            Decides which.

        Returns
        -------
        training, validation : SpikeDataset
            They share the open file with this one.

        Raises
        ------
        TypeError
            If the share is no number.
        ValueError
            If the share leaves one part empty.
        """
        if not isinstance(by, str) or by not in ("speaker", "sample"):
            raise ValueError(f"Data are split by 'speaker' or by 'sample', not by {by!r}.")
        refuse_no_share(share)
        generator = np.random.default_rng([whole_number(seed, "The seed", 0), 3])
        speakers = np.unique(self.speakers)
        if by == "speaker" and len(speakers) > 1:
            number = min(max(1, round(share * len(speakers))), len(speakers) - 1)
            held_out = np.isin(self.speakers, generator.permutation(speakers)[:number])
        else:
            held_out = np.zeros(len(self), bool)
            held_out[generator.permutation(len(self))[: max(1, round(share * len(self)))]] = True
        return self.select(np.flatnonzero(~held_out)), self.select(np.flatnonzero(held_out))

    def close(self) -> None:
        """Close the file; no sample that was not yet read can be had afterwards, nor from a selection."""
        self._file.close()
        self._remove()

    def __enter__(self) -> SpikeDataset:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class _Kept:
    """Samples that were read, the most recently used ones, as far as the memory goes."""

    def __init__(self, memory):
        self._memory, self._used = memory, 0
        self._samples: OrderedDict[int, tuple[np.ndarray, np.ndarray]] = OrderedDict()

    def get(self, index):
        spikes = self._samples.get(index)
        if spikes is not None:
            self._samples.move_to_end(index)
        return spikes

    def put(self, index, spikes):
        self._samples[index] = spikes
        self._used += _size(spikes)
        while self._used > self._memory:
            self._used -= _size(self._samples.popitem(last=False)[1])


def _size(spikes):
    return sum(array.nbytes for array in spikes) + _OVERHEAD


def said_units(file, labelled=True):
    """The number of input neurons that a file of spike trains says it has, in its attribute ``units``.

    Parameters
    ----------
    file : str or os.PathLike
        The HDF5 file.
    labelled : bool
        See `SpikeDataset`.

    Returns
    -------
    int or None
        None if it does not say.

    Raises
    ------
    FileNotFoundError, ValueError
        See `SpikeDataset`.
    """
    with SpikeDataset(file, labelled=labelled) as dataset:
        return dataset._said_units


def refuse_no_share(share):
    """Refuse a share to be held out that is no number between 0 and 1."""
    if not 0 < plain_number(share, "The share that is held out") < 1:
        raise ValueError(f"The share that is held out has to lie between 0 and 1, not be {share}.")
