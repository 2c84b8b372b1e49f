"""How spike trains are brought to the input neurons: as they are, with fewer neurons, on fewer times, or delayed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from brian_qif.arguments import MOST_NEURONS, check_sample, finite_number, whole_number

if TYPE_CHECKING:
    from brian_qif.training.datasets import SpikeSample

# Between these quantiles of a sample's spike times lies what virtual times stretch over the trial.
_QUANTILES = (0.05, 0.95)


@dataclass(frozen=True)
class SpikeEncoding:
    """Turns a recorded sample into the spikes of the input neurons; the same for training and for predictions.

    Spikes that come to coincide on one neuron remain several spikes at one time unless ``coincident`` limits them. The
    event-driven solver adds them all up, at the cost of one flow per distinct time; a clock-driven simulation refuses
    them, see `separate_copies`.

    Parameters
    ----------
    n_units : int
        The number of recorded channels.
    merge : int
        How many neighbouring channels become one input neuron.
    time_step : float
        Spike times are moved to the middle of steps of this length, in seconds; 0 leaves them as they are.
    virtual_times : int
        Into how many equally spaced times the spikes between the 5 % and the 95 % quantile of a sample's spike times
        are binned; those outside are left out. 0 leaves times as they are.
    virtual_span : float
        Over how many seconds the virtual times are spread.
    coincident : int
        Of the spikes that come to coincide on one input neuron, so many are kept; 0 keeps all of them.
    taps, tap_delay : int, float
        Tapped delay lines: every channel has so many input neurons, and each gets the spikes ``tap_delay`` seconds
        after the one before. What hidden neurons hear at one time so spans ``(taps - 1)*tap_delay`` of the sample, as
        with synapses of several fixed delays. Input neuron ``k*n + c`` is tap k of channel c of n.

    Raises
    ------
    TypeError
        If a number of seconds is none.
    ValueError
        If a number is out of range, or both kinds of times are asked for.

    Examples
    --------
    >>> import numpy as np
    >>> from brian_qif.training.datasets import SpikeSample
    >>> from brian_qif.training.encoding import SpikeEncoding
    >>> encoding = SpikeEncoding(n_units=10, merge=5, taps=2, tap_delay=0.1)
    >>> encoding.n_inputs
    4
    >>> encoded = encoding(SpikeSample(np.array([0.01]), np.array([7]), label=0, speaker=0))
    >>> encoded.times, encoded.units
    (array([0.01, 0.11]), array([1, 3]))
    """

    n_units: int
    merge: int = 1
    time_step: float = 0.0
    virtual_times: int = 0
    virtual_span: float = 0.1
    taps: int = 1
    tap_delay: float = 0.0
    coincident: int = 0

    def __post_init__(self):
        for name in ("n_units", "merge", "virtual_times", "taps", "coincident"):
            object.__setattr__(self, name, whole_number(getattr(self, name), f"'{name}'", 0, MOST_NEURONS))
        for name in ("time_step", "virtual_span", "tap_delay"):
            finite_number(getattr(self, name), f"'{name}'", 0)
        if self.n_units < 1 or not 1 <= self.merge <= self.n_units:
            raise ValueError(f"Of {self.n_units} channels, 1 to {self.n_units} can be merged, not {self.merge}.")
        if not self.virtual_span > 0:
            raise ValueError(f"'virtual_span' has to be positive, not {self.virtual_span}.")
        if self.time_step > 0 and self.virtual_times > 0:
            raise ValueError("Times are put on a grid (time_step) or made virtual (virtual_times), not both.")
        if self.taps < 1 or (self.taps > 1 and not self.tap_delay > 0):
            raise ValueError(
                "A delay line has at least one tap, and several come one positive tap_delay after the other; they are "
                f"{self.taps} and {self.tap_delay} s."
            )

    @property
    def n_inputs(self) -> int:
        """The number of input neurons."""
        return self.taps * self.n_channels

    @property
    def n_channels(self) -> int:
        """The number of channels after merging."""
        return -(-self.n_units // self.merge)

    @property
    def changes(self) -> bool:
        """Whether samples are anything but passed on."""
        return self.merge > 1 or self.time_step > 0 or self.virtual_times > 0 or self.taps > 1 or self.coincident > 0

    def duration_of(self, seconds: float) -> float:
        """When the last spike may come, from when it did in the recorded samples."""
        last = self.virtual_span if self.virtual_times else seconds + self.time_step / 2
        return last + (self.taps - 1) * self.tap_delay

    def __call__(self, sample: SpikeSample) -> SpikeSample:
        """The encoded copy of a sample.

        Parameters
        ----------
        sample : SpikeSample
            Or another dataclass with ``times`` and ``units``.

        Returns
        -------
        SpikeSample
            Of the same class as the sample, its spikes sorted by time and then by unit.
        """
        check_sample(sample)
        if not self.changes:
            return sample
        times, units = sample.times, sample.units // self.merge
        if self.virtual_times and len(times):
            first, last = np.quantile(times, _QUANTILES)
            inside = (times >= first) & (times <= last)
            part = (times[inside] - first) / (last - first) if last > first else np.zeros(np.count_nonzero(inside))
            place = np.minimum((part * self.virtual_times).astype(np.int64), self.virtual_times - 1)
            times, units = self._on_grid(place, units[inside], self.virtual_span / self.virtual_times)
        elif self.time_step:
            times, units = self._on_grid(np.floor(times / self.time_step).astype(np.int64), units, self.time_step)
        else:
            order = np.lexsort((units, times))
            order = order[self._limited(times[order], units[order])]
            times, units = self._tapped(times[order], units[order])
        return replace(sample, times=times, units=units)

    def _on_grid(self, places, units, step):
        """Spikes of all taps in the middle of steps, in order."""
        # One whole number for place and unit sorts faster. (NumPy's divmod takes three times as long as what is here.)
        keys = np.sort(_short(places * self.n_channels + units), kind="stable").astype(np.int64)
        keys = keys[self._limited(keys)]
        places = keys // self.n_channels
        units = keys - places * self.n_channels
        delay = round(self.tap_delay / step)
        if not math.isclose(delay * step, self.tap_delay, rel_tol=1e-9):
            return self._tapped((places + 0.5) * step, units)
        # Counted in steps, spikes of several taps lie on the very same times.
        if self.taps > 1:
            later = np.arange(self.taps)[:, None] * (delay * self.n_inputs + self.n_channels)
            keys = np.sort((places * self.n_inputs + units + later).ravel(), kind="stable")  # merges the taps
            places = keys // self.n_inputs
            units = keys - places * self.n_inputs
        return (places + 0.5) * step, units

    def _limited(self, *sorted_by):
        """Which spikes, in order of these numbers, are among the first ``coincident`` that are alike in all of them."""
        most, count = self.coincident, len(sorted_by[0])
        kept = np.ones(count, bool)
        if 0 < most < count:
            differing = [numbers[most:] != numbers[:-most] for numbers in sorted_by]
            kept[most:] = np.logical_or.reduce(differing) if len(differing) > 1 else differing[0]
        return kept

    def _tapped(self, times, units):
        """The spikes of all taps, from those of the channels after merging, in order."""
        if self.taps == 1:
            return times, units
        taps = np.arange(self.taps)[:, None]
        times = (times + self.tap_delay * taps).ravel()
        units = (units + self.n_channels * taps).ravel()
        # Every tap is in order and later taps have larger units, so that runs which are sorted are merged.
        order = np.argsort(times, kind="stable")
        return times[order], units[order]


def _short(keys):
    """Whole numbers in two bytes, where they fit: NumPy sorts these by their digits, which is fastest."""
    return keys.astype(np.uint16) if keys.min(initial=0) >= 0 and keys.max(initial=0) < 1 << 16 else keys


@dataclass(frozen=True)
class EncodedAugmentation:
    """Changes a recorded sample and then encodes it: the changed spikes come to lie on the encoding's times, too.

    Parameters
    ----------
    augmentation : callable
        ``augmentation(sample, generator)``, such as `SpikeAugmentation` for the recorded channels.
    encoding : SpikeEncoding
        How the changed sample is brought to the input neurons.
    """

    augmentation: Callable
    encoding: SpikeEncoding

    def __post_init__(self):
        for name, what in (("augmentation", "such as SpikeAugmentation(n_units)"), ("encoding", "a SpikeEncoding")):
            if not callable(getattr(self, name)):
                raise TypeError(f"'{name}' is called with a sample, {what}; {getattr(self, name)!r} was given.")

    def __call__(self, sample: SpikeSample, generator: np.random.Generator) -> SpikeSample:
        """The encoded, changed copy of a recorded sample."""
        return self.encoding(self.augmentation(sample, generator))
