"""Optimisers whose step sizes carry the unit of their parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from brian2 import Quantity, get_dimensions
from brian2.units.fundamentalunits import DIMENSIONLESS, DimensionMismatchError

from brian_qif.arguments import plain_number


class Adam:
    """Adam (adaptive moment estimation) with decoupled weight decay and bounds.

    A step changes every value by about ``learning_rate`` at most, whatever the size of its slope, so the step size
    has the unit of the parameter.

    Parameters
    ----------
    learning_rate : float, Quantity or list of these
        The step size, in the unit of the parameter: one for all parameters, or a list with one for each.
    beta_1, beta_2 : float
        The decay of the running means of the slope and of its square, per step.
    epsilon : float
        Added to the root of the mean square slope (a number, in the SI unit of the slope).
    weight_decay : float or list of float
        The share of itself that every value loses at each step, times the schedule's factor: one for all parameters, or
        a list with one for each. It does not enter the slope (decoupled decay).
    bounds : tuple or list of (tuple or None), optional
        A pair (low, high) in the unit of the parameter, with None for an open end: one for all parameters, or a list
        with a pair or None for each. A step that would pass a bound ends on it.

    Raises
    ------
    ValueError
        If a number lies outside the range in which it makes sense.

    References
    ----------
    Kingma & Ba (2015), Adam: a method for stochastic optimization, arXiv:1412.6980;
    Loshchilov & Hutter (2019), Decoupled weight decay regularization, arXiv:1711.05101

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_qif import Adam
    >>> optimiser = Adam([0.1, 1*ms], bounds=[None, (1*ms, None)])  # of weights and of time constants
    >>> optimiser = Adam(0.1, beta_2=0.99)
    """

    def __init__(
        self,
        learning_rate: float | Quantity | Sequence = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float | Sequence[float] = 0.0,
        bounds: tuple | list | None = None,
    ):
        several = isinstance(weight_decay, (list, tuple)) and len(weight_decay) > 0
        decays: list = list(weight_decay) if several else [weight_decay]  # type: ignore[arg-type]
        for name, value in (("beta_1", beta_1), ("beta_2", beta_2), *[("weight_decay", decay) for decay in decays]):
            if not 0 <= plain_number(value, f"'{name}'") < 1:
                raise ValueError(f"'{name}' has to be at least 0 and below 1, not {value}.")
        if not 0 < plain_number(epsilon, "'epsilon'") < np.inf:
            raise ValueError(f"'epsilon' has to be positive, not {epsilon}.")
        self.learning_rate = learning_rate
        self.beta_1, self.beta_2 = float(beta_1), float(beta_2)
        self.epsilon = float(epsilon)
        self.weight_decay = [float(decay) for decay in decays] if several else float(decays[0])
        self.bounds = bounds
        self._rates: list | None = None

    def prepare(self, shapes: Sequence, dimensions: Sequence | None = None, names: Sequence[str] | None = None) -> None:
        """Fit the settings to the parameters, and forget all earlier steps.

        Parameters
        ----------
        shapes : list of int or tuple
            The shape of each parameter.
        dimensions : list of brian2 Dimension, optional
            The dimensions of each; dimensionless where they are not given.
        names : list of str, optional
            What to call them in messages.

        Raises
        ------
        DimensionMismatchError
            If a step size or a bound has another unit than its parameter.
        ValueError
            If a list has not one entry for each parameter, a step size is not positive and finite, or a low bound
            is above its high one.
        """
        count = len(shapes)
        dimensions = [DIMENSIONLESS] * count if dimensions is None else dimensions
        names = [f"parameter {k}" for k in range(count)] if names is None else names
        several_rates = isinstance(self.learning_rate, (list, tuple)) or np.ndim(self.learning_rate) > 0
        rates = _one_each(self.learning_rate, several_rates, count, "step size")
        self._decays = _one_each(self.weight_decay, isinstance(self.weight_decay, list), count, "weight decay")
        bounds = _one_each(self.bounds, isinstance(self.bounds, list), count, "pair of bounds")
        self._rates = [_step_size(rate, *which) for rate, *which in zip(rates, dimensions, names, strict=True)]
        self._limits = [_limits(pair, *which) for pair, *which in zip(bounds, dimensions, names, strict=True)]
        self._steps = 0
        self._mean = [np.zeros(shape) for shape in shapes]
        self._square = [np.zeros(shape) for shape in shapes]

    def step(self, values: Sequence[np.ndarray], slopes: Sequence[np.ndarray], factor: float = 1.0) -> list[np.ndarray]:
        """Take one step downhill.

        Parameters
        ----------
        values, slopes : list of numpy.ndarray
            The parameters and their slopes, in SI units, one array for each.
        factor : float
            The schedule's factor on the step sizes and on the weight decay.

        Returns
        -------
        list of numpy.ndarray
            The new values. The arrays given are left as they are.

        Raises
        ------
        RuntimeError
            If :meth:`prepare` was not called.
        """
        if self._rates is None:
            raise RuntimeError("The optimiser does not know its parameters yet: call prepare(shapes) first.")
        self._steps += 1
        correction_1 = 1.0 - self.beta_1**self._steps
        correction_2 = 1.0 - self.beta_2**self._steps
        changed = []
        for k, (value, slope) in enumerate(zip(values, slopes, strict=True)):
            mean, square = self._mean[k], self._square[k]
            mean += (1.0 - self.beta_1) * (slope - mean)
            square += (1.0 - self.beta_2) * (slope * slope - square)
            direction = (mean / correction_1) / (np.sqrt(square / correction_2) + self.epsilon)
            new = value * (1.0 - factor * self._decays[k]) - factor * self._rates[k] * direction
            changed.append(np.clip(new, *self._limits[k]))
        return changed

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint has to keep: a dict of arrays, copied."""
        arrays = {"steps": np.array(self._steps)}
        for k, (mean, square) in enumerate(zip(self._mean, self._square, strict=True)):
            arrays[f"mean_{k}"], arrays[f"square_{k}"] = mean.copy(), square.copy()
        return arrays

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what :meth:`state` gave.

        Raises
        ------
        ValueError
            If it belongs to parameters of other sizes.
        """
        count = len(self._mean)
        for kind, kept in (("mean", self._mean), ("square", self._square)):
            for k in range(count):
                array = arrays.get(f"{kind}_{k}")
                if array is None or np.shape(array) != kept[k].shape:
                    raise ValueError(
                        f"The optimiser's saved state does not fit: parameter {k} has {kept[k].size} values."
                    )
        self._steps = int(arrays["steps"])
        self._mean = [np.array(arrays[f"mean_{k}"]) for k in range(count)]
        self._square = [np.array(arrays[f"square_{k}"]) for k in range(count)]

    def settings(self) -> dict[str, Any]:
        """The settings as plain text and numbers, for a record of the run."""
        return {
            "name": type(self).__name__,
            "learning_rate": repr(self.learning_rate),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "weight_decay": self.weight_decay,
            "bounds": repr(self.bounds),
        }


def _one_each(setting, several, count, what):
    if not several:
        return [setting] * count
    if len(setting) != count:
        raise ValueError(
            f"There are {count} parameters but {len(setting)} entries in the list with one {what} for each."
        )
    return list(setting)


def _si(value, dimensions, what, name):
    if get_dimensions(value) != dimensions:
        raise DimensionMismatchError(
            f"The {what} of {name} has to have the unit of {name}", get_dimensions(value), dimensions
        )
    return float(np.asarray(value)) if isinstance(value, Quantity) else float(value)


def _step_size(rate, dimensions, name):
    size = _si(rate, dimensions, "step size", name)
    if not 0 < size < np.inf:
        raise ValueError(f"The step size of {name} has to be positive and finite, not {size}.")
    return size


def _limits(pair, dimensions, name):
    low, high = (None, None) if pair is None else pair
    low = -np.inf if low is None else _si(low, dimensions, "lower bound", name)
    high = np.inf if high is None else _si(high, dimensions, "upper bound", name)
    if not low <= high:
        raise ValueError(f"The lower bound of {name} lies above its upper bound.")
    return low, high
