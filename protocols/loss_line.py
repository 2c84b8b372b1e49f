"""The network along a line through parameter space: the loss, its slope and all spikes at any point of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from brian_qif.gradients.spike_gradient import SpikeGradient
from brian_qif.solvers.sweeps import GrazingSpikeError


@dataclass(frozen=True)
class Moment:
    """The network at one point of a line: the loss, its slope along the line, and all spikes.

    ``trains`` maps the name of each spiking group to (times, units), in seconds. The slope is NaN where it was not
    asked for, and infinite where a spike only grazes its threshold.
    """

    position: float
    loss: float
    slope: float
    trains: dict[str, tuple[np.ndarray, np.ndarray]]

    def counts(self):
        """The number of spikes of every neuron that has any, by (group, neuron)."""
        return self._counts

    @cached_property
    def _counts(self):
        found = Counter()
        for name, (_, units) in self.trains.items():
            numbers = np.bincount(units)
            found.update({(name, int(unit)): int(numbers[unit]) for unit in np.flatnonzero(numbers)})
        return found

    def times_of(self, group, neuron):
        """The spike times of one neuron."""
        times, units = self.trains[group]
        return times[units == neuron]


class LossLine:
    """The loss of one sample along a line ``values + s direction``.

    Parameters
    ----------
    gradient : SpikeGradient
        The network, the loss and the parameters.
    stimulus : brian2.SpikeGeneratorGroup
        The group whose spikes the sample replaces.
    duration : float
        The length of the trial in seconds.
    sample : SpikeSample
        Spikes and label.
    values, direction : list of numpy.ndarray
        One array for each parameter, in SI units.

    Examples
    --------
    >>> import numpy as np
    >>> from brian2 import ms
    >>> from brian_qif import SpikeGradient, SpikeTimeLoss
    >>> from brian_qif.protocols.loss_line import LossLine
    >>> from brian_qif.training.datasets import SpikeSample
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network()
    >>> gradient = SpikeGradient(network, SpikeTimeLoss(neurons, 12*ms), [synapses.w])
    >>> sample = SpikeSample(np.array([2e-3, 5e-3]), np.array([0, 1]), label=12e-3, speaker=0)
    >>> line = LossLine(gradient, stimulus, 0.04, sample, gradient.values(), [np.ones(6)])
    >>> moment = line(0.5)
    >>> moment.position, sorted(moment.counts().values())
    (0.5, [1, 1])
    """

    def __init__(self, gradient: SpikeGradient, stimulus, duration, sample, values, direction):
        self.gradient, self.reading, self.duration = gradient, gradient.read(), float(duration)
        self.sample, self.values, self.direction = sample, values, direction
        plan = self.reading.plan
        self._stimuli = {self.reading.node(stimulus): (sample.times + plan.start, sample.units)}
        self._spiking = {node.name: k for k, node in enumerate(plan.nodes) if getattr(node, "spikes", False)}

    def __call__(self, position: float, with_slope=True) -> Moment:
        """The network at a point."""
        moved = [value + position * part for value, part in zip(self.values, self.direction, strict=True)]
        reading = self.gradient.with_values(self.reading, moved)
        prepared = self.gradient.solver.prepare(reading.plan)
        record = prepared.forward(self.gradient.loss.request(reading, self.duration), self._stimuli)
        found = self.gradient.loss.evaluate(reading, record, self.duration, self.sample.label)
        slope = np.nan
        if with_slope:
            try:
                slopes = self.gradient.carry_back(reading, prepared, record, found.seeds, self.duration)
                slope = sum(float(np.sum(slope * part)) for slope, part in zip(slopes, self.direction, strict=True))
            except GrazingSpikeError:
                slope = np.inf
        trains = {name: (record.spike_times[k], record.spike_units[k]) for name, k in self._spiking.items()}
        return Moment(position, float(found.value), slope, trains)
