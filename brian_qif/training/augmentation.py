"""Changed copies of the training samples, so that a network learns what the words have in common."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


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

    Raises
    ------
    ValueError
        If a limit is negative or the stretch is not below 1.
    """

    n_units: int
    shift: int = 0
    stretch: float = 0.0
    jitter: float = 0.0

    def __post_init__(self):
        if self.shift < 0 or self.jitter < 0 or not 0 <= self.stretch < 1:
            raise ValueError(
                "Shift, stretch and jitter have to be at least 0, and the stretch below 1; they are"
                f" {self.shift}, {self.stretch} and {self.jitter}."
            )

    def __call__(self, sample, generator):
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
        shift = int(generator.integers(-self.shift, self.shift + 1))
        factor = 1.0 + self.stretch * float(generator.uniform(-1, 1))
        units = sample.units + shift
        if self.jitter > 0:
            units = units + np.rint(self.jitter * generator.standard_normal(len(units))).astype(np.int64)
        inside = (units >= 0) & (units < self.n_units)
        return replace(sample, times=np.ascontiguousarray(sample.times[inside] * factor), units=units[inside])
