"""Losses on the first spike of each neuron."""

from __future__ import annotations

from typing import Any

import numpy as np
from brian2 import NeuronGroup, Quantity, second
from brian2.units.fundamentalunits import DIMENSIONLESS

from brian_qif.arguments import check_dimensions, plain_number, single_time
from brian_qif.gradients.losses import Evaluation, checked_label, cross_entropy, group_name_of, require_spiking
from brian_qif.gradients.pseudospikes import Pseudospikes
from brian_qif.plan.reader import NetworkReading
from brian_qif.solvers.sweeps import Record, Request, Seeds


class _FirstSpikeLoss:
    """What losses on first spikes share: the times, and seeds from the slopes by them."""

    def __init__(self, group: NeuronGroup, pseudospikes: bool):
        self.group_name, self.pseudospikes = group_name_of(group, type(self).__name__), bool(pseudospikes)
        self._known: tuple[NetworkReading, Pseudospikes] | None = None

    def _beyond(self, reading: NetworkReading) -> Pseudospikes | None:
        """What is known before a trial, kept from one sample to the next of the same reading."""
        if not self.pseudospikes:
            return None
        known = self._known
        if known is None or known[0] is not reading:
            known = reading, Pseudospikes(reading, reading.node(self.group_name), type(self).__name__)
            self._known = known
        return known[1]

    def check(self, reading: NetworkReading) -> None:
        require_spiking(reading, self.group_name, type(self).__name__)
        self._beyond(reading)

    def request(self, reading: NetworkReading, duration: float) -> Request:
        beyond = self._beyond(reading)
        return Request(duration) if beyond is None else Request(duration, samples=beyond.samples(duration))

    def evaluate(self, reading: NetworkReading, record: Record, duration: float, label: Any = None) -> Evaluation:
        node, beyond = reading.node(self.group_name), self._beyond(reading)
        times, units = record.spike_times[node], record.spike_units[node]
        spiking, first = np.unique(units, return_index=True)  # times ascend: the first occurrence is the first spike
        latency = np.full(reading.plan.nodes[node].size, reading.plan.start + duration)
        latency[spiking] = times[first]
        silent = np.ones(len(latency), dtype=bool)
        silent[spiking] = False
        # Where every neuron spikes, no pseudospike counts.
        trial = beyond.after(record, duration) if beyond is not None and silent.any() else None
        if trial is not None:
            latency[silent] = trial.times(1)[0][silent]
        value, slope, output = self._value(latency, reading.plan.start, duration, label)
        seeds = Seeds() if trial is None else trial.seeds(np.where(silent, slope, 0.0)[None, :])
        seeds.spike_times[node] = np.zeros(len(times))
        seeds.spike_times[node][first] = slope[spiking]
        return Evaluation(float(value), seeds, output)

    def _value(self, latency, start, duration, label):
        """The loss, its slope by each neuron's first spike time, and its output."""
        raise NotImplementedError


class SpikeTimeLoss(_FirstSpikeLoss):
    """Squared distance of each neuron's first spike from its target, summed over the neurons.

    Parameters
    ----------
    group : `brian2.NeuronGroup`
        A spiking group.
    target : `brian2.Quantity`
        Target time of each neuron, or one for all.
    pseudospikes : bool
        Whether a neuron without a spike counts with its first spike beyond the end of the trial, see
        :mod:`brian_qif.gradients.pseudospikes`; for QIF neurons that spike at infinity.

    Notes
    -----
    The value has the unit second**2. Without pseudospikes, a neuron that does not spike counts as spiking at the end of
    the trial, with a slope of exactly zero: there is no spike whose time could change.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_qif import SpikeGradient, SpikeTimeLoss
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network()
    >>> loss = SpikeTimeLoss(neurons, target=[12, 18]*ms)
    >>> value, slopes = SpikeGradient(network, loss, [synapses.w])(40*ms)
    >>> print(value)
    41.44947925 ms^2
    """

    dimensions = (second**2).dim

    def __init__(self, group: NeuronGroup, target: Quantity, pseudospikes: bool = False):
        check_dimensions(target, second, "The target of a SpikeTimeLoss is a time")
        super().__init__(group, pseudospikes)
        self.target = np.array(target, dtype=float)
        if not np.all(np.isfinite(self.target)):
            raise ValueError("The target of a SpikeTimeLoss contains a value that is not a finite time.")
        if self.target.ndim > 1 or (self.target.ndim == 1 and len(self.target) != len(group)):
            raise ValueError(
                f"The target of a SpikeTimeLoss has shape {self.target.shape}; '{group.name}' has {len(group)} "
                "neurons: give one time per neuron, or one for all."
            )

    def _value(self, latency, start, duration, label):
        distance = latency - (self.target if label is None else label)
        return np.sum(distance**2), 2 * distance, latency


class FirstSpikeCrossEntropyLoss(_FirstSpikeLoss):
    """Softmax cross-entropy on the first spike times of one neuron per class: the right one is to spike first.

    With ``t_k`` the time of neuron k's first spike from the start of a trial of length T, the value is
    ``-log softmax(-t/time_scale)[label] + early*(exp(t[label]/T) - 1)``.

    Parameters
    ----------
    group : `brian2.NeuronGroup`
        A spiking group with one neuron per class.
    label : int, optional
        The class of the trial. Training gives the label of each sample instead.
    time_scale : `brian2.Quantity`, optional
        How far apart spikes have to be to count; by default the length of the trial.
    early : float
        Weight of the term that rewards an early spike of the right neuron.
    pseudospikes : bool
        Whether a neuron without a spike counts with its first spike beyond the end of the trial, see
        :mod:`brian_qif.gradients.pseudospikes`; for QIF neurons that spike at infinity. Without them it counts as
        spiking at the end, with a slope of exactly zero.

    Notes
    -----
    Value dimensionless; value and gradient exact up to rounding.

    References
    ----------
    Klos & Memmesheimer, arXiv:2309.14523.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_qif import FirstSpikeCrossEntropyLoss, SpikeGradient
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network()
    >>> loss = FirstSpikeCrossEntropyLoss(neurons, label=0, time_scale=5*ms)
    >>> value, slopes = SpikeGradient(network, loss, [synapses.w])(40*ms)
    >>> round(value, 6)
    0.895697
    """

    dimensions = DIMENSIONLESS

    def __init__(
        self,
        group: NeuronGroup,
        label: int | None = None,
        time_scale: Quantity | None = None,
        early: float = 0.0,
        pseudospikes: bool = False,
    ):
        super().__init__(group, pseudospikes)
        if time_scale is not None:
            if not single_time(time_scale, "time_scale of a FirstSpikeCrossEntropyLoss is a time") > 0:
                raise ValueError(f"time_scale of a FirstSpikeCrossEntropyLoss must be positive; it is {time_scale}.")
        if not 0 <= plain_number(early, "early of a FirstSpikeCrossEntropyLoss") < np.inf:
            raise ValueError(f"early of a FirstSpikeCrossEntropyLoss must be 0 or more; it is {early}.")
        self.classes, self.early = len(group), float(early)
        self.time_scale = None if time_scale is None else float(time_scale)
        self.label = None if label is None else checked_label(label, self.classes, self.group_name)

    def _value(self, latency, start, duration, label):
        label = self.label if label is None else checked_label(label, self.classes, self.group_name)
        if label is None:
            raise ValueError("FirstSpikeCrossEntropyLoss needs a label: FirstSpikeCrossEntropyLoss(outputs, label=3).")
        scale = duration if self.time_scale is None else self.time_scale
        outputs = -(latency - start) / scale
        value, by_output = cross_entropy(outputs, label)
        slope = -by_output / scale
        growth = self.early * np.exp((latency[label] - start) / duration)
        slope[label] += growth / duration
        return value + growth - self.early, slope, outputs
