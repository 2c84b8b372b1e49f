"""Changed copies of the training samples, so that a network learns what the words have in common."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class ShiftAndStretch:
    """Shifts a sample along the input neurons and stretches it in time.

    Like a word spoken at another pitch and at another speed. Every time a sample is used, it is changed anew.

    Parameters
    ----------
    n_units : int
        The number of input neurons. Spikes that are shifted beyond the first or the last are left out.
    shift : int
        The largest shift in either direction, in input neurons.
    stretch : float
        The largest relative change of all spike times, in either direction.

    Raises
    ------
    ValueError
        If the shift is negative or the stretch is not between 0 and 1.
    """

    n_units: int
    shift: int = 0
    stretch: float = 0.0

    def __post_init__(self):
        if self.shift < 0 or not 0 <= self.stretch < 1:
            raise ValueError(
                f"A shift has to be at least 0 and a stretch at least 0 and below 1, not {self.shift} and"
                f" {self.stretch}."
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
        inside = (units >= 0) & (units < self.n_units)
        return replace(sample, times=np.ascontiguousarray(sample.times[inside] * factor), units=units[inside])
