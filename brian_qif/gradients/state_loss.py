"""A loss on the state of neurons at given times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from brian2 import NeuronGroup, Quantity, second

from brian_qif.arguments import check_dimensions
from brian_qif.gradients.losses import Evaluation, group_name_of, unit_dimensions, value_and_slope
from brian_qif.plan.reader import NetworkReading
from brian_qif.solvers.sweeps import Record, Request, Seeds


class StateLoss:
    """A function of a state variable at given times.

    Parameters
    ----------
    group : `brian2.NeuronGroup`
    name : str
        The voltage or a synaptic current of the group's equations.
    times : `brian2.Quantity`
        Times within the trial, one or several. A time at which a spike arrives, or at which a neuron is reset, is read
        just after it.
    target : `brian2.Quantity`, optional
        The value is the sum of the squared distances from it; it has the shape (times, neurons) or one that broadcasts
        to it.
    function : callable, optional
        ``function(x) -> (value, dvalue_dx)`` of the values ``x`` in SI units, shape (times, neurons), plain arrays.
    unit : `brian2.Unit`, optional
        Unit of the value of ``function``; dimensionless by default.

    Notes
    -----
    Without ``target`` and ``function`` the value is the sum of the values: for one neuron and one time, its gradient is
    the sensitivity of the state. Value and gradient are exact up to rounding.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_qif import SpikeGradient, StateLoss
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network()
    >>> loss = StateLoss(neurons, "v", 8*ms, target=[1, 1])
    >>> value, slopes = SpikeGradient(network, loss, [synapses.w])(40*ms)
    >>> round(float(value), 6)
    0.49714
    """

    def __init__(
        self,
        group: NeuronGroup,
        name: str,
        times: Quantity,
        target: Quantity | float | np.ndarray | None = None,
        function: Callable[[np.ndarray], tuple[float, np.ndarray]] | None = None,
        unit: Quantity | None = None,
    ):
        self.group_name, self.name = group_name_of(group, "StateLoss"), name
        check_dimensions(times, second, "The times of a StateLoss are times")
        self.times = np.atleast_1d(np.asarray(times, dtype=float))
        if self.times.ndim != 1 or not len(self.times):
            raise ValueError(
                f"A StateLoss needs one time or a row of them; an array of shape {self.times.shape} was given."
            )
        if target is not None and function is not None:
            raise TypeError("A StateLoss takes a target or a function, not both.")
        if function is not None and not callable(function):
            raise TypeError(f"The function of a StateLoss is called with the values; {function!r} cannot be called.")
        if not isinstance(name, str) or name not in group.equations.diff_eq_names:
            known = ", ".join(sorted(group.equations.diff_eq_names))
            raise ValueError(f"'{group.name}' has no state variable '{name}'; there are {known}.")
        state = group.variables[name].dim
        self.function = function
        self.target: Any = None
        if target is not None:
            check_dimensions(target, Quantity(1, dim=state), "The target of a StateLoss has its unit")
            self.target, shape = np.asarray(target, dtype=float), (len(self.times), len(group))
            self._check_target(shape)
            self.dimensions = state**2
        else:
            self.dimensions = state if function is None else unit_dimensions(unit, "StateLoss")

    def _check_target(self, shape: tuple[int, int]) -> None:
        try:
            fits = np.broadcast_shapes(self.target.shape, shape) == shape
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(
                f"The target of a StateLoss has shape {self.target.shape}; for its times and neurons it is {shape}, or "
                "one that broadcasts to it."
            )
        if not np.all(np.isfinite(self.target)):
            raise ValueError("The target of a StateLoss contains a value that is not finite.")

    def check(self, reading: NetworkReading) -> None:
        read = reading.neurons.get(reading.node(self.group_name))
        if read is None or self.name not in read.state_names:
            raise NotImplementedError(f"The solver has no state '{self.name}' of '{self.group_name}'.")

    def request(self, reading: NetworkReading, duration: float) -> Request:
        start, end = reading.plan.start, reading.plan.start + duration
        outside = self.times[~((self.times >= start) & (self.times <= end))]
        if len(outside):
            raise ValueError(f"The time {outside[0]} s of a StateLoss lies outside the trial, {start} s to {end} s.")
        return Request(duration, samples={reading.node(self.group_name): np.sort(self.times)})

    def evaluate(self, reading: NetworkReading, record: Record, duration: float, label: Any = None) -> Evaluation:
        index = reading.node(self.group_name)
        node, row = reading.plan.nodes[index], reading.neurons[index].state_names.index(self.name)
        scale = node.v_scale if row == 0 else node.current_scale[row - 1]
        order = np.argsort(self.times, kind="stable")
        raw = np.empty_like(record.samples[index][:, row])
        raw[order] = record.samples[index][:, row]
        states = scale * raw + (node.v_offset if row == 0 else 0.0)
        value, slope = self._value(states, self.target if label is None else label)
        seed = np.zeros_like(record.samples[index])
        seed[:, row] = (slope * scale)[order]
        by_scale = np.sum(slope * raw, axis=0)
        if row == 0:
            own = {"v_offset": [np.sum(slope, axis=0)], "v_scale": [by_scale]}
        else:
            own = {"current_scale": [by_scale * (k == row - 1) for k in range(len(node.currents))]}
        return Evaluation(value, Seeds(samples={index: seed}, coordinates={index: own}), states.ravel())

    def _value(self, states: np.ndarray, target) -> tuple[float, np.ndarray]:
        if self.function is not None:
            value, slope = value_and_slope(self.function(states.copy()), "StateLoss")
            if slope.shape != states.shape:
                raise ValueError(
                    f"The function of a StateLoss returned derivatives of shape {slope.shape} for values of shape "
                    f"{states.shape}."
                )
        elif target is not None:
            value, slope = float(np.sum((states - target) ** 2)), 2 * (states - target)
        else:
            value, slope = float(np.sum(states)), np.ones_like(states)
        if not np.isfinite(value) or not np.all(np.isfinite(slope)):
            raise ValueError(f"The StateLoss of '{self.group_name}' has a value or a derivative that is not finite.")
        return value, slope
