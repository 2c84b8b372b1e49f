"""A loss on numbers of spikes, which surrogate gradients alone can descend."""

from __future__ import annotations

from typing import Any

import numpy as np
from brian2 import NeuronGroup
from brian2.units.fundamentalunits import DIMENSIONLESS

from brian_qif.arguments import plain_number
from brian_qif.gradients.losses import Evaluation, checked_label, cross_entropy, group_name_of, require_spiking
from brian_qif.plan.reader import NetworkReading
from brian_qif.solvers.sweeps import Record, Request, Seeds


class SpikeCountCrossEntropyLoss:
    """Softmax cross-entropy on the numbers of spikes of one neuron per class: the right one is to spike most.

    The output of neuron k is ``gain`` times the number of its spikes in the trial.

    Parameters
    ----------
    group : `brian2.NeuronGroup`
        A spiking group with one neuron per class.
    label : int, optional
        The class of the trial. Training gives the label of each sample instead.
    gain : float
        Factor before the softmax.

    Notes
    -----
    Value dimensionless. A number of spikes is constant until it jumps, so its exact derivative is zero wherever there
    is one. A gradient needs ``ClockSolver(surrogate=...)``, where every step counts as a spike by a smooth amount;
    other solvers give the value alone, and `SpikeGradient` refuses them.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_qif import ClockSolver, SpikeCountCrossEntropyLoss, SpikeGradient
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network("lif")
    >>> loss = SpikeCountCrossEntropyLoss(neurons, label=0)
    >>> solver = ClockSolver(surrogate="superspike", dt=0.5*ms)
    >>> value, slopes = SpikeGradient(network, loss, [synapses.w], solver)(40*ms)
    >>> round(value, 4), slopes[0][:2].round(4)  # the second neuron spikes once more than the first
    (1.3133, array([-0.3785,  0.2982]))
    """

    dimensions = DIMENSIONLESS
    needs_surrogate = True

    def __init__(self, group: NeuronGroup, label: int | None = None, gain: float = 1.0):
        self.group_name, self.classes = group_name_of(group, "SpikeCountCrossEntropyLoss"), len(group)
        if not 0 < plain_number(gain, "gain of a SpikeCountCrossEntropyLoss") < np.inf:
            raise ValueError(f"gain of a SpikeCountCrossEntropyLoss must be positive and finite; it is {gain}.")
        self.gain = float(gain)
        self.label = None if label is None else checked_label(label, self.classes, self.group_name)

    def check(self, reading: NetworkReading) -> None:
        require_spiking(reading, self.group_name, "SpikeCountCrossEntropyLoss")

    def request(self, reading: NetworkReading, duration: float) -> Request:
        return Request(duration)

    def evaluate(self, reading: NetworkReading, record: Record, duration: float, label: Any = None) -> Evaluation:
        label = self.label if label is None else checked_label(label, self.classes, self.group_name)
        if label is None:
            raise ValueError("SpikeCountCrossEntropyLoss needs a label: SpikeCountCrossEntropyLoss(outputs, label=3).")
        node = reading.node(self.group_name)
        outputs = self.gain * np.bincount(record.spike_units[node], minlength=self.classes)
        value, slope = cross_entropy(outputs, label)
        return Evaluation(value, Seeds(counts={node: self.gain * slope}), outputs)
