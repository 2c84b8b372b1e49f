"""Losses on spike times and on averaged voltages, each with its exact derivative.

A loss names what it needs from a run and turns it into a value and seeds for the reverse sweep, all as plain
numbers; it knows no solver and no backend.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from brian2 import NeuronGroup, Quantity, get_dimensions, second
from brian2.units.fundamentalunits import DIMENSIONLESS, fail_for_dimension_mismatch

from brian_qif.plan.network_plan import NeuronNode
from brian_qif.plan.reader import NetworkReading
from brian_qif.solvers.sweeps import Record, Seeds


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

    def averages(self, reading: NetworkReading) -> dict[int, float]:
        """Averages that the loss needs, as in :class:`~brian_qif.solvers.sweeps.Request`."""

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

    def averages(self, reading: NetworkReading) -> dict[int, float]:
        return {}

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

    def averages(self, reading: NetworkReading) -> dict[int, float]:
        return {}

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
        if not isinstance(node, NeuronNode) or node.spikes:
            raise NotImplementedError(
                f"CrossEntropyLoss averages the voltage of neurons without a threshold; '{self.group_name}' spikes: "
                "use a brian_qif.models.LeakyIntegratorGroup as readout."
            )

    def averages(self, reading: NetworkReading) -> dict[int, float]:
        return {reading.node(self.group_name): self.rate}

    def evaluate(self, reading: NetworkReading, record: Record, duration: float, label=None) -> Evaluation:
        label = self.label if label is None else self._checked(label)
        if label is None:
            raise ValueError("CrossEntropyLoss needs a label: CrossEntropyLoss(readout, label=3).")
        index = reading.node(self.group_name)
        node = reading.plan.nodes[index]
        mass = -np.expm1(-self.rate * duration) / self.rate if self.rate > 0 else duration
        scale = self.gain * node.v_scale / mass
        outputs = self.gain * node.v_offset + scale * record.averages[index]
        shifted = outputs - np.max(outputs)
        log_total = np.log(np.sum(np.exp(shifted)))
        slope = np.exp(shifted - log_total)
        slope[label] -= 1
        return Evaluation(float(log_total - shifted[label]), Seeds(averages={index: slope * scale}), outputs)


def _group_name(group, loss: str) -> str:
    if not isinstance(group, NeuronGroup):
        raise TypeError(f"{loss} needs a NeuronGroup; {group!r} was given.")
    return group.name


def _require_spiking(reading: NetworkReading, name: str, loss: str) -> None:
    node = reading.plan.nodes[reading.node(name)]
    if not isinstance(node, NeuronNode) or not node.spikes:
        raise NotImplementedError(f"{loss} needs a NeuronGroup that spikes; '{name}' does not follow a threshold.")


def with_dimensions(value, dimensions) -> Quantity | float | np.ndarray:
    """A number or an array with its unit, plain where there is none."""
    return value if dimensions is DIMENSIONLESS else Quantity(value, dim=dimensions)
