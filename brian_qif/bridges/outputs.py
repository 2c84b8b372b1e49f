"""What of a trial a bridge hands to another library: arrays of a fixed shape, with the way back from slopes by them.

An output is a loss (:class:`brian_qif.gradients.losses.Loss`) whose value is the scalar product of the array with a
given one, its ``label``: the gradient of that value is a vector-Jacobian product of the array.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from brian2 import NeuronGroup, Quantity
from brian2.units.fundamentalunits import DIMENSIONLESS

from brian_qif.arguments import whole_number, yes_or_no
from brian_qif.gradients.losses import CrossEntropyLoss, Evaluation, SpikeFunctionLoss, group_name_of
from brian_qif.gradients.state_loss import StateLoss
from brian_qif.plan.reader import NetworkReading
from brian_qif.solvers.sweeps import Record, Request


class SpikeTimes:
    """The first spike times of neurons, in seconds, shape (count, neurons).

    Parameters
    ----------
    group : `brian2.NeuronGroup`
        A spiking group.
    count : int
        How many spikes of each neuron.
    neurons : sequence of int, optional
        Which neurons, by default all.
    pseudospikes : bool
        For QIF neurons that spike at infinity: spikes that do not come within the trial count where they would come
        beyond it (:mod:`brian_qif.gradients.pseudospikes`).

    Notes
    -----
    Without pseudospikes, a spike that does not come counts as coming at the end of the trial, and its slope is exactly
    zero.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_qif.bridges.outputs import SpikeTimes
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network()
    >>> output = SpikeTimes(neurons, count=2)  # for spiking_function of the bridges to JAX and torch
    >>> output.shape
    (2, 2)
    """

    dimensions = DIMENSIONLESS

    def __init__(
        self, group: NeuronGroup, count: int = 1, neurons: Sequence[int] | None = None, pseudospikes: bool = False
    ):
        group_name_of(group, "SpikeTimes")
        count = whole_number(count, "count of SpikeTimes", 1, 2**31 - 1)
        chosen = np.arange(len(group)) if neurons is None else np.atleast_1d(np.asarray(neurons))
        whole = chosen.ndim == 1 and chosen.size > 0 and np.issubdtype(chosen.dtype, np.integer)
        if not whole or np.any((chosen < 0) | (chosen >= len(group))) or len(np.unique(chosen)) < len(chosen):
            raise ValueError(
                f"neurons of SpikeTimes are different indices from 0 to {len(group) - 1} of '{group.name}'; "
                f"{neurons!r} was given."
            )
        self.group, self.neurons, self.shape = group, chosen, (count, len(chosen))
        self.pseudospikes = count if yes_or_no(pseudospikes, "pseudospikes of SpikeTimes") else 0

    def _loss(self, function) -> SpikeFunctionLoss:
        return SpikeFunctionLoss(self.group, function, pseudospikes=self.pseudospikes)

    def check(self, reading: NetworkReading) -> None:
        self._loss(_nothing).check(reading)

    def request(self, reading: NetworkReading, duration: float) -> Request:
        return self._loss(_nothing).request(reading, duration)

    def evaluate(
        self, reading: NetworkReading, record: Record, duration: float, label: np.ndarray | None = None
    ) -> Evaluation:
        """Value, seeds and times; ``label`` has the slopes by the times, by default ones."""
        times = np.full(self.shape, reading.plan.start + duration)
        slopes = np.ones(self.shape) if label is None else np.reshape(label, self.shape)

        def function(t, i):
            by_time = np.zeros(len(t))
            for column, neuron in enumerate(self.neurons):
                own = np.flatnonzero(i == neuron)[: self.shape[0]]
                times[: len(own), column] = t[own]
                by_time[own] = slopes[: len(own), column]
            return np.sum(times * slopes), by_time

        return self._loss(function).evaluate(reading, record, duration)._replace(output=times.ravel())


class ReadoutVoltage:
    """The average of the voltage of a readout over the trial, or its largest value, shape (neurons,).

    Parameters
    ----------
    group : `brian2.NeuronGroup`
        Leaky neurons without a threshold.
    weight_time, gain, output
        As for `brian_qif.CrossEntropyLoss`, whose softmax is given the same numbers.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_qif.bridges.outputs import ReadoutVoltage
    >>> from brian_qif.models import LeakyIntegratorGroup
    >>> output = ReadoutVoltage(LeakyIntegratorGroup(3, tau_m=20*ms, tau_s=10*ms), weight_time=30*ms)
    >>> output.shape
    (3,)
    """

    dimensions = DIMENSIONLESS

    def __init__(
        self,
        group: NeuronGroup,
        weight_time: Quantity | None = None,
        gain: float | Quantity = 1.0,
        output: str = "average",
    ):
        group_name_of(group, "ReadoutVoltage")
        self.loss = CrossEntropyLoss(group, weight_time=weight_time, gain=gain, output=output)
        self.shape = (len(group),)

    def check(self, reading: NetworkReading) -> None:
        self.loss.check(reading)

    def request(self, reading: NetworkReading, duration: float) -> Request:
        return self.loss.request(reading, duration)

    def evaluate(
        self, reading: NetworkReading, record: Record, duration: float, label: np.ndarray | None = None
    ) -> Evaluation:
        """Value, seeds and voltages; ``label`` has the slopes by the voltages, by default ones."""
        voltages = self.loss.outputs(reading, record, duration)
        slopes = np.ones(self.shape) if label is None else np.reshape(label, self.shape)
        seeds = self.loss.seeds(reading, record, duration, slopes)
        return Evaluation(float(np.sum(voltages * slopes)), seeds, voltages)


class StateValues:
    """A state variable of a group at given times, in SI units, shape (times, neurons).

    Parameters
    ----------
    group : `brian2.NeuronGroup`
    name : str
        The voltage or a synaptic current of the group's equations.
    times : `brian2.Quantity`
        Times within the trial, one or several; see `brian_qif.StateLoss`.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_qif.bridges.outputs import StateValues
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network()
    >>> output = StateValues(neurons, "v", [5, 10, 15]*ms)
    >>> output.shape
    (3, 2)
    """

    dimensions = DIMENSIONLESS

    def __init__(self, group: NeuronGroup, name: str, times: Quantity):
        group_name_of(group, "StateValues")
        self.arguments = (group, name, times)
        self.shape = (len(self._loss().times), len(group))

    def _loss(self, function=None) -> StateLoss:
        return StateLoss(*self.arguments, function=function)

    def check(self, reading: NetworkReading) -> None:
        self._loss().check(reading)

    def request(self, reading: NetworkReading, duration: float) -> Request:
        return self._loss().request(reading, duration)

    def evaluate(
        self, reading: NetworkReading, record: Record, duration: float, label: np.ndarray | None = None
    ) -> Evaluation:
        """Value, seeds and states; ``label`` has the slopes by the states, by default ones."""
        slopes = np.ones(self.shape) if label is None else np.reshape(label, self.shape)
        return self._loss(lambda x: (np.sum(x * slopes), slopes)).evaluate(reading, record, duration)


def _nothing(t, i):
    """A function of spikes with the slope zero."""
    return 0.0, np.zeros(len(t))
