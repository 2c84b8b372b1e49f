"""How the step size changes in the course of a training."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ConstantSchedule:
    """The full step size from the first step to the last."""

    def __call__(self, progress):
        """The factor on the step size, which is always 1."""
        return 1.0


@dataclass(frozen=True)
class CosineSchedule:
    """The step size falls along half a cosine, from its full value to a share of it.

    Parameters
    ----------
    final : float
        The share that is left at the end, between 0 and 1.

    Raises
    ------
    ValueError
        If the share is not between 0 and 1.
    """

    final: float = 0.0

    def __post_init__(self):
        if not 0 <= self.final <= 1:
            raise ValueError(f"The final share of the step size has to lie between 0 and 1, not {self.final}.")

    def __call__(self, progress):
        """The factor on the step size.

        Parameters
        ----------
        progress : float
            The share of all steps that is done, from 0 to 1.

        Returns
        -------
        float
            Between ``final`` and 1.
        """
        return self.final + (1.0 - self.final) * 0.5 * (1.0 + math.cos(math.pi * progress))
