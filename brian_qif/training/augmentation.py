"""Changed copies of the training samples, so that a network learns what the words have in common."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from brian_qif.arguments import MOST_NEURONS, check_sample, finite_number, whole_number

if TYPE_CHECKING:
    from brian_qif.training.datasets import SpikeSample


def merge_channels(sample: SpikeSample, together: int) -> SpikeSample:
    """A copy in which neighbouring input neurons are one.

    Two spikes of neighbours at one time become two spikes of one neuron at that time: an event of multiplicity 2. The
    event-driven solver takes it, each spike adds to the current. A clock-driven simulation does not, see
    `separate_copies`.

    Parameters
    ----------
    sample : SpikeSample
        Or another dataclass with ``times`` and ``units``.
    together : int
        How many neighbours become one, at least 1.

    Returns
    -------
    SpikeSample
        Of the same class as the sample, its spikes sorted by time and then by unit.

    Raises
    ------
    TypeError
        If it is no sample.
    ValueError
        If the number is no whole number, or below 1.

    Examples
    --------
    >>> import numpy as np
    >>> from brian_qif.training.augmentation import merge_channels
    >>> from brian_qif.training.datasets import SpikeSample
    >>> sample = SpikeSample(np.array([0.002, 0.002, 0.005]), np.array([4, 5, 9]), label=0, speaker=0)
    >>> merge_channels(sample, 2).units
    array([2, 2, 4])
    """
    check_sample(sample)
    together = whole_number(together, "'together'", 1, MOST_NEURONS)
    units = sample.units // together
    order = np.lexsort((units, sample.times))
    return replace(sample, times=sample.times[order], units=units[order])


def separate_copies(sample: SpikeSample, n_units: int, step: float) -> tuple[SpikeSample, int]:
    """A copy in which no neuron spikes twice within one time step, for a clock-driven ``SpikeGeneratorGroup``.

    Brian2 refuses two spikes of one neuron in a step when it runs. Here each further spike within a step goes to a copy
    of its neuron: the k-th copy of unit u is the unit ``u + k n_units``, to be connected like u.

    Parameters
    ----------
    sample : SpikeSample
        Or another dataclass with ``times`` and ``units``.
    n_units : int
        The number of input neurons.
    step : float
        The time step in seconds.

    Returns
    -------
    sample : SpikeSample
        Of the same class as the sample.
    copies : int
        How many copies of every neuron there have to be, 1 if none spikes twice.

    Raises
    ------
    TypeError
        If it is no sample, or the step no number.
    ValueError
        If a number is not positive and finite.

    Examples
    --------
    >>> import numpy as np
    >>> from brian_qif.training.augmentation import separate_copies
    >>> from brian_qif.training.datasets import SpikeSample
    >>> sample = SpikeSample(np.array([0.002, 0.002, 0.005]), np.array([2, 2, 4]), label=0, speaker=0)
    >>> separate, copies = separate_copies(sample, n_units=5, step=1e-4)
    >>> separate.units, copies
    (array([2, 7, 4]), 2)
    """
    check_sample(sample)
    n_units = whole_number(n_units, "'n_units'", 1, MOST_NEURONS)
    if not finite_number(step, "'step'", 0) > 0:
        raise ValueError(f"'step' has to be positive, not {step}.")
    # As Brian2 assigns times to steps: what lies on a step up to rounding belongs to it.
    steps = np.floor(sample.times / step + 1e-3).astype(np.int64)
    order = np.lexsort((steps, sample.units))
    same = (np.diff(steps[order], prepend=-1) == 0) & (np.diff(sample.units[order], prepend=-1) == 0)
    place = np.arange(len(order))
    first = np.maximum.accumulate(np.where(same, 0, place)) if len(place) else place
    copy = np.empty(len(order), np.int64)
    copy[order] = place - first
    return replace(sample, units=sample.units + copy * n_units), int(copy.max(initial=0)) + 1


@dataclass(frozen=True)
class SpikeAugmentation:
    """Shifts a sample along the input neurons, stretches it in time, and moves single spikes to neighbouring neurons.

    The first two are like a word spoken at another pitch and another speed; the third ties the weights of neighbouring
    inputs to each other. Every time a sample is used, it is changed anew.

    Parameters
    ----------
    n_units : int
        The number of input neurons. Spikes that are shifted beyond the first or the last are left out.
    shift : int
        The largest shift in either direction, in input neurons.
    stretch : float
        The largest relative change of all spike times, in either direction.
    jitter : float
        The standard deviation of a shift that every spike gets on its own, in input neurons.

    keep : float
        The probability with which each spike is kept.
    warp : float
        The largest relative change of speed within the sample: pieces between four random times are stretched, each
        by a factor of its own, and the last spike of the sample stays where it is.
    time_jitter : float
        The standard deviation of a shift in time that every spike gets on its own, in seconds; never to before 0.

    Raises
    ------
    TypeError
        If a limit is no number.
    ValueError
        If a limit is negative or not finite, stretch or warp is not below 1, or no spike would be kept.

    Examples
    --------
    >>> import numpy as np
    >>> from brian_qif.training.augmentation import SpikeAugmentation
    >>> from brian_qif.training.datasets import SpikeSample
    >>> sample = SpikeSample(np.array([0.01, 0.02]), np.array([5, 6]), label=0, speaker=0)
    >>> change = SpikeAugmentation(n_units=10, shift=2, stretch=0.1)
    >>> changed = change(sample, np.random.default_rng(0))
    >>> changed.units, changed.times.round(4)
    (array([7, 8]), array([0.0095, 0.0191]))
    """

    n_units: int
    shift: int = 0
    stretch: float = 0.0
    jitter: float = 0.0
    keep: float = 1.0
    warp: float = 0.0
    time_jitter: float = 0.0

    def __post_init__(self):
        for name in ("stretch", "jitter", "keep", "warp", "time_jitter"):
            finite_number(getattr(self, name), f"'{name}'")
        for name, least in (("n_units", 1), ("shift", 0)):
            object.__setattr__(self, name, whole_number(getattr(self, name), f"'{name}'", least, MOST_NEURONS))
        if self.jitter < 0 or not 0 <= self.stretch < 1:
            raise ValueError(
                "Stretch and jitter have to be at least 0, and the stretch below 1; they are"
                f" {self.stretch} and {self.jitter}."
            )
        if not 0 <= self.warp < 1 or self.time_jitter < 0 or not 0 < self.keep <= 1:
            raise ValueError(
                "Warp has to be at least 0 and below 1, the jitter of times at least 0, and keep above 0 and at most 1;"
                f" they are {self.warp}, {self.time_jitter} and {self.keep}."
            )

    def __call__(self, sample: SpikeSample, generator: np.random.Generator) -> SpikeSample:
        """A changed copy.

        Parameters
        ----------
        sample : SpikeSample
            Or another dataclass with ``times`` and ``units``.
        generator : numpy.random.Generator
            The source of randomness.

        Returns
        -------
        SpikeSample
            Of the same class as the sample.
        """
        check_sample(sample)
        if not isinstance(generator, np.random.Generator):
            raise TypeError(f"'generator' is a numpy.random.Generator; {generator!r} was given.")
        shift = int(generator.integers(-self.shift, self.shift + 1))
        factor = 1.0 + self.stretch * float(generator.uniform(-1, 1))
        units = sample.units + shift
        if self.jitter > 0:
            units = units + np.rint(self.jitter * generator.standard_normal(len(units))).astype(np.int64)
        inside = (units >= 0) & (units < self.n_units)
        if self.keep < 1:
            inside &= generator.random(len(units)) < self.keep
        times, units = np.ascontiguousarray(sample.times[inside] * factor), units[inside]
        if self.warp > 0 and len(times):
            times = self._warped(times, generator)
        if self.time_jitter > 0:
            times = np.abs(times + self.time_jitter * generator.standard_normal(len(times)))
            order = np.lexsort((units, times))
            times, units = times[order], units[order]
        return replace(sample, times=times, units=units)

    def _warped(self, times, generator):
        end = times.max()
        before = np.concatenate([[0], np.sort(generator.uniform(0, end, 4)), [end]])
        after = np.cumsum(np.diff(before, prepend=0) * (1 + self.warp * generator.uniform(-1, 1, len(before))))
        return np.interp(times, before, after * (end / after[-1]) if end > 0 else after)
