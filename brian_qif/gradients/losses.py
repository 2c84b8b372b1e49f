"""Losses on spike times, states and averaged voltages, each with its exact derivative.

A loss names what it needs from a run and turns it into a value and seeds for the reverse sweep, all as plain
numbers; it knows no solver and no backend.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from brian2 import NeuronGroup, Quantity, get_dimensions, second
from brian2.units.fundamentalunits import DIMENSIONLESS, fail_for_dimension_mismatch

from brian_qif.plan.network_plan import HybridNode, NeuronNode, SourceNode
from brian_qif.plan.reader import NetworkReading
from brian_qif.solvers.sweeps import Record, Request, Seeds


class Evaluation(NamedTuple):
    """A loss of one trial: its value, the seeds for the reverse sweep, and what it calls its output."""

    value: float
    seeds: Seeds
    output: np.ndarray


class Loss(Protocol):
    """A differentiable function of one trial. ``dimensions`` are those of its value."""

    dimensions: object

    def check(self, reading: NetworkReading) -> None:
        """Refuse a network that the loss cannot be used with."""

    def request(self, reading: NetworkReading, duration: float) -> Request:
        """What a trial of that duration (seconds) has to deliver."""

    def evaluate(self, reading: NetworkReading, record: Record, duration: float, label=None) -> Evaluation:
        """Value and seeds of a trial; ``label`` replaces the loss's own target."""


class SpikeTimeLoss:
    """Squared distance of each neuron's first spike from its target, summed over the neurons.

    Parameters
    ----------
    group : `brian2.NeuronGroup`
        A spiking group.
    target : `brian2.Quantity`
        Target time of each neuron, or one for all.

    Notes
    -----
    The value has the unit second**2. A neuron that does not spike counts as spiking at the end of the trial, with a
    slope of exactly zero: there is no spike whose time could change.
    """

    dimensions = (second**2).dim

    def __init__(self, group, target):
        fail_for_dimension_mismatch(target, second, "The target of a SpikeTimeLoss is a time")
        self.group_name = _group_name(group, "SpikeTimeLoss")
        self.target = np.array(target, dtype=float)
        if not np.all(np.isfinite(self.target)):
            raise ValueError("The target of a SpikeTimeLoss contains a value that is not a finite time.")
        if self.target.ndim > 1 or (self.target.ndim == 1 and len(self.target) != len(group)):
            raise ValueError(
                f"The target of a SpikeTimeLoss has shape {self.target.shape}; '{group.name}' has {len(group)} "
                "neurons: give one time per neuron, or one for all."
            )

    def check(self, reading: NetworkReading) -> None:
        _require_spiking(reading, self.group_name, "SpikeTimeLoss")

    def request(self, reading: NetworkReading, duration: float) -> Request:
        return Request(duration)

    def evaluate(self, reading: NetworkReading, record: Record, duration: float, label=None) -> Evaluation:
        node = reading.node(self.group_name)
        times, units = record.spike_times[node], record.spike_units[node]
        spiking, first = np.unique(units, return_index=True)  # times ascend: the first occurrence is the first spike
        latency = np.full(reading.plan.nodes[node].size, reading.plan.start + duration)
        latency[spiking] = times[first]
        distance = latency - (self.target if label is None else label)
        seed = np.zeros(len(times))
        seed[first] = 2 * distance[spiking]
        return Evaluation(float(np.sum(distance**2)), Seeds(spike_times={node: seed}), latency)


class SpikeFunctionLoss:
    """Any function of all spikes of a group.

    Parameters
    ----------
    group : `brian2.NeuronGroup`
        A spiking group.
    function : callable
        ``function(t, i) -> (value, dvalue_dt)`` with the spike times ``t`` in seconds, in time order, and the
        neurons ``i``, both plain arrays; ``dvalue_dt`` has one entry per spike.
    unit : `brian2.Unit`, optional
        Unit of the value; dimensionless by default.

    Notes
    -----
    The gradient is exact if ``dvalue_dt`` is. A spike that appears or vanishes changes the length of ``t``; where the
    function jumps there, no gradient knows of it.
    """

    def __init__(self, group, function, unit=None):
        self.group_name, self.function = _group_name(group, "SpikeFunctionLoss"), function
        if not callable(function):
            raise TypeError(f"A SpikeFunctionLoss needs a function of (t, i); {function!r} cannot be called.")
        self.dimensions = DIMENSIONLESS if unit is None else get_dimensions(unit)

    def check(self, reading: NetworkReading) -> None:
        _require_spiking(reading, self.group_name, "SpikeFunctionLoss")

    def request(self, reading: NetworkReading, duration: float) -> Request:
        return Request(duration)

    def evaluate(self, reading: NetworkReading, record: Record, duration: float, label=None) -> Evaluation:
        node = reading.node(self.group_name)
        times, units = record.spike_times[node], record.spike_units[node]
        value, slope = self.function(times.copy(), units.copy())
        value, slope = float(value), np.array(slope, dtype=float)
        if slope.shape != times.shape:
            raise ValueError(
                f"The function of a SpikeFunctionLoss returned derivatives of shape {slope.shape} "
                f"for {len(times)} spikes; one per spike is needed."
            )
        if not np.isfinite(value) or not np.all(np.isfinite(slope)):
            raise ValueError("The function of a SpikeFunctionLoss returned a value or a derivative that is not finite.")
        return Evaluation(value, Seeds(spike_times={node: slope}), np.array([value]))


class CrossEntropyLoss:
    """Softmax cross-entropy on the voltage of a readout, averaged over the trial.

    The output of neuron k is ``gain * int v_k(t) w(t) dt / int w(t) dt`` with the weight
    ``w(t) = exp(-t/weight_time)``, t counted from the start of the trial; its
    integral between events is taken in closed form.

    Parameters
    ----------
    group : `brian2.NeuronGroup`
        Leaky neurons without a threshold, one per class.
    label : int, optional
        The class of the trial. Training gives the label of each sample instead.
    weight_time : `brian2.Quantity`, optional
        Time constant of the weight; by default the average is plain. With a plain average an output hardly depends on
        *when* an input spike comes, so little gradient goes through spike times.
    gain : float or `brian2.Quantity`, optional
        Factor before the softmax, in the inverse unit of the voltage.

    Notes
    -----
    Value dimensionless; value and gradient exact up to rounding.
    """

    dimensions = DIMENSIONLESS

    def __init__(self, group, label: int | None = None, weight_time=None, gain=1.0):
        name = _group_name(group, "CrossEntropyLoss")
        if weight_time is not None:
            fail_for_dimension_mismatch(weight_time, second, "weight_time of a CrossEntropyLoss is a time")
            if not float(weight_time) > 0:
                raise ValueError(f"weight_time of a CrossEntropyLoss must be positive; it is {weight_time}.")
        fail_for_dimension_mismatch(
            gain * group.v, 1, f"gain of a CrossEntropyLoss must have the inverse unit of the voltage of '{name}'"
        )
        self.group_name, self.classes, self.gain = name, len(group), float(gain)
        self.rate = 0.0 if weight_time is None else 1 / float(weight_time)
        self.label = None if label is None else self._checked(label)

    def _checked(self, label) -> int:
        if int(label) != label or not 0 <= label < self.classes:
            raise ValueError(
                f"The label {label} is not one of the {self.classes} classes 0 to {self.classes - 1} "
                f"of '{self.group_name}'."
            )
        return int(label)

    def check(self, reading: NetworkReading) -> None:
        node = reading.plan.nodes[reading.node(self.group_name)]
        if isinstance(node, HybridNode):
            raise NotImplementedError(
                f"CrossEntropyLoss averages a voltage in closed form, which '{self.group_name}' has not: use a "
                "brian_qif.models.LeakyIntegratorGroup as readout, and EventSolver(numeric=True), which leaves it its "
                "closed form."
            )
        if not isinstance(node, NeuronNode) or node.spikes:
            raise NotImplementedError(
                f"CrossEntropyLoss averages the voltage of neurons without a threshold; '{self.group_name}' spikes: "
                "use a brian_qif.models.LeakyIntegratorGroup as readout."
            )

    def request(self, reading: NetworkReading, duration: float) -> Request:
        return Request(duration, averages={reading.node(self.group_name): self.rate})

    def evaluate(self, reading: NetworkReading, record: Record, duration: float, label=None) -> Evaluation:
        label = self.label if label is None else self._checked(label)
        if label is None:
            raise ValueError("CrossEntropyLoss needs a label: CrossEntropyLoss(readout, label=3).")
        index = reading.node(self.group_name)
        node = reading.plan.nodes[index]
        mass = -np.expm1(-self.rate * duration) / self.rate if self.rate > 0 else duration
        mean = record.averages[index] / mass
        outputs = self.gain * (node.v_offset + node.v_scale * mean)
        shifted = outputs - np.max(outputs)
        log_total = np.log(np.sum(np.exp(shifted)))
        slope = np.exp(shifted - log_total)
        slope[label] -= 1
        by_voltage = self.gain * slope
        own = {"v_offset": [by_voltage], "v_scale": [by_voltage * mean]}
        seeds = Seeds(averages={index: by_voltage * node.v_scale / mass}, coordinates={index: own})
        return Evaluation(float(log_total - shifted[label]), seeds, outputs)


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
    """

    def __init__(self, group, name: str, times, target=None, function=None, unit=None):
        self.group_name, self.name = _group_name(group, "StateLoss"), name
        fail_for_dimension_mismatch(times, second, "The times of a StateLoss are times")
        self.times = np.atleast_1d(np.asarray(times, dtype=float))
        if target is not None and function is not None:
            raise TypeError("A StateLoss takes a target or a function, not both.")
        if function is not None and not callable(function):
            raise TypeError(f"The function of a StateLoss is called with the values; {function!r} cannot be called.")
        if name not in group.equations.diff_eq_names:
            known = ", ".join(sorted(group.equations.diff_eq_names))
            raise ValueError(f"'{group.name}' has no state variable '{name}'; there are {known}.")
        state = group.variables[name].dim
        self.function, self.target = function, None
        if target is not None:
            fail_for_dimension_mismatch(target, Quantity(1, dim=state), "The target of a StateLoss has its unit")
            self.target = np.asarray(target, dtype=float)
            np.broadcast_shapes(self.target.shape, (len(self.times), len(group)))
            self.dimensions = state**2
        else:
            self.dimensions = state if function is None else DIMENSIONLESS if unit is None else get_dimensions(unit)

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

    def evaluate(self, reading: NetworkReading, record: Record, duration: float, label=None) -> Evaluation:
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
            value, slope = self.function(states.copy())
            value, slope = float(value), np.array(slope, dtype=float)
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


def _group_name(group, loss: str) -> str:
    if not isinstance(group, NeuronGroup):
        raise TypeError(f"{loss} needs a NeuronGroup; {group!r} was given.")
    return group.name


def _require_spiking(reading: NetworkReading, name: str, loss: str) -> None:
    node = reading.plan.nodes[reading.node(name)]
    if isinstance(node, SourceNode) or not node.spikes:
        raise NotImplementedError(f"{loss} needs a NeuronGroup that spikes; '{name}' does not follow a threshold.")


def with_dimensions(value, dimensions) -> Quantity | float | np.ndarray:
    """A number or an array with its unit, plain where there is none."""
    return value if dimensions is DIMENSIONLESS else Quantity(value, dim=dimensions)
