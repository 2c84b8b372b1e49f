"""Spikes beyond the end of the trial, for QIF neurons that spike at infinity.

A neuron's state at the end of the trial tells when it would spike next if its input stayed as it is. Such a pseudospike
takes over smoothly from the spike that leaves the trial, so a loss of spike times has no jump there, and neurons
without spikes get a gradient (Klos & Memmesheimer, arXiv:2309.14523).

With V and I the state at the end T, in normal form, tau_m its time constant, and x a pseudo-input,

    s = sqrt(a log(1 + exp((I + x)/a))),  phi = tau_m (atan((V - 1/2)/s) + pi/2)/s,  Theta = pi tau_m/s,

a = 10, the k-th pseudospike is at T + k Theta - phi. The pseudo-input stands for spikes that are still on their way: of
every presynaptic neuron w times the number of those that have left it, plus w phi/Theta, which is 1 just before it
spikes and 0 just after.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from brian_qif.plan.network_plan import VOLTAGE, NeuronNode, Pathway
from brian_qif.plan.reader import NetworkReading
from brian_qif.solvers.sweeps import Record, Seeds

_SOFTNESS = 10.0


@dataclass
class _Layer:
    """One group at the end of the trial: state, drive with its pseudo-input, phase and period."""

    voltage: np.ndarray
    drive: np.ndarray
    speed: np.ndarray
    phase: np.ndarray
    period: np.ndarray

    @property
    def share(self) -> np.ndarray:
        """How much of the way to the next spike is done."""
        return self.phase / self.period


@dataclass
class _Incoming:
    """A pathway onto a group, and what of it a trial may leave on its way."""

    index: int
    pathway: Pathway
    delayed: bool  # whether spikes that have left may not have arrived
    phased: bool  # whether the source is between two spikes of its own

    def on_the_way(self, trial: PseudospikeTrial) -> np.ndarray | None:
        """For each synapse, how much of a spike is still to come; None where nothing can be."""
        pathway = self.pathway
        share = trial.state[pathway.source].share[pathway.pre] if self.phased else None
        if not self.delayed:
            return share
        record, end = trial.record, trial.end
        times, units = record.spike_times[pathway.source], record.spike_units[pathway.source]
        pending = np.zeros(len(pathway.pre))
        for synapse, (neuron, delay) in enumerate(zip(pathway.pre, pathway.delays, strict=True)):
            own = times[units == neuron]
            pending[synapse] = np.count_nonzero((own <= end) & (own + delay >= end))
        return pending if share is None else pending + share


class Pseudospikes:
    """Pseudospikes of one group: what is known of them before a trial. It does not change; threads may share it.

    Parameters
    ----------
    reading : `NetworkReading`
    node : int
        The group.
    loss : str
        The name of the loss that asks, for messages.
    """

    def __init__(self, reading: NetworkReading, node: int, loss: str):
        self.plan, self.node = reading.plan, node
        if not _has_phase(self.plan.nodes[node]):
            raise NotImplementedError(
                f"{loss}: '{self.plan.nodes[node].name}' does not spike at infinity; pseudospikes are known for QIF "
                "neurons that do, such as brian_qif.models.QIFGroup. Use pseudospikes=False."
            )
        self.layers = _upstream(reading.plan, node)
        for k in self.layers:
            self._check(k, loss)
        self.incoming = {
            k: [
                _Incoming(index, pathway, bool(np.any(pathway.delays > 0)), pathway.source in self.layers)
                for index, pathway in enumerate(self.plan.pathways)
                if pathway.target == k
            ]
            for k in self.layers
        }

    def _check(self, k: int, loss: str) -> None:
        name = self.plan.nodes[k].name
        (component,) = (members for members in self.plan.components if k in members)
        own = any(p.source == k and p.target == k for p in self.plan.pathways)
        if len(component) > 1 or own:
            raise NotImplementedError(
                f"{loss}: pseudospikes need layers without feedback, and '{name}' hears itself. Use pseudospikes=False."
            )
        if any(p.target == k and p.port == VOLTAGE for p in self.plan.pathways):
            raise NotImplementedError(
                f"{loss}: pseudospikes need synapses that act on a current; some act on the voltage of '{name}'. "
                "Use pseudospikes=False."
            )

    def samples(self, duration: float) -> dict[int, np.ndarray]:
        """The states that are needed, for a request."""
        return {k: np.array([self.plan.start + duration]) for k in self.layers}

    def after(self, record: Record, duration: float) -> PseudospikeTrial:
        """Those of one trial."""
        return PseudospikeTrial(self, record, self.plan.start + duration)


class PseudospikeTrial:
    """Pseudospikes after one trial, and the way back from slopes by their times.

    Parameters
    ----------
    beyond : `Pseudospikes`
    record : `Record`
    end : float
        The end of the trial, in seconds.
    """

    def __init__(self, beyond: Pseudospikes, record: Record, end: float):
        self.beyond, self.record, self.end = beyond, record, end
        self.state: dict[int, _Layer] = {}
        for k in beyond.layers:
            node = beyond.plan.nodes[k]
            sample = record.samples[k][-1]
            drive = np.sum(sample[1:], axis=0) + node.drive + self._pseudo_input(k)
            speed = np.sqrt(_SOFTNESS * np.logaddexp(0, drive / _SOFTNESS))
            phase = node.tau_m * (np.arctan((sample[0] - 0.5) / speed) + np.pi / 2) / speed
            self.state[k] = _Layer(sample[0], drive, speed, phase, np.pi * node.tau_m / speed)

    def times(self, count: int) -> np.ndarray:
        """Times of the first ``count`` pseudospikes, shape (count, neurons)."""
        layer = self.state[self.beyond.node]
        return self.end + np.arange(1, count + 1)[:, None] * layer.period - layer.phase

    def _pseudo_input(self, k: int) -> np.ndarray:
        total = np.zeros(self.beyond.plan.nodes[k].size)
        for incoming in self.beyond.incoming[k]:
            on_the_way = incoming.on_the_way(self)
            if on_the_way is not None:
                total += np.bincount(incoming.pathway.post, incoming.pathway.weights * on_the_way, len(total))
        return total

    def seeds(self, slope: np.ndarray) -> Seeds:
        """Seeds of the reverse sweep from the slopes by the times, an array of their shape."""
        plan = self.beyond.plan
        orders = np.arange(1, len(slope) + 1)[:, None]
        by_share = {k: np.zeros(plan.nodes[k].size) for k in self.beyond.layers}
        seeds = Seeds()
        for k in reversed(self.beyond.layers):
            layer, node = self.state[k], plan.nodes[k]
            # The time is end + order*period - phase; the share is phase/period.
            by_period = -by_share[k] * layer.phase / layer.period**2
            by_phase = by_share[k] / layer.period
            if k == self.beyond.node:
                by_period = by_period + np.sum(orders * slope, axis=0)
                by_phase = by_phase - np.sum(slope, axis=0)
            ratio = (layer.voltage - 0.5) / layer.speed
            rise = node.tau_m / (layer.speed**2 * (1 + ratio**2))
            fraction = _fraction(ratio)
            by_speed = -by_period * layer.period / layer.speed
            by_speed -= by_phase * (layer.phase / layer.speed + node.tau_m * fraction / layer.speed**2)
            by_drive = by_speed / (2 * layer.speed * (1 + np.exp(-layer.drive / _SOFTNESS)))
            sample = np.zeros_like(self.record.samples[k])
            sample[-1, 0], sample[-1, 1:] = by_phase * rise, by_drive
            seeds.samples[k] = sample
            by_tau_m = (by_period * layer.period + by_phase * layer.phase) / node.tau_m
            seeds.models[k] = {"tau_m": by_tau_m, "drive": by_drive}
            self._through_synapses(k, by_drive, by_share, seeds)
        return seeds

    def _through_synapses(self, k, by_drive, by_share, seeds) -> None:
        for incoming in self.beyond.incoming[k]:
            on_the_way = incoming.on_the_way(self)
            if on_the_way is None:
                continue
            pathway, onto = incoming.pathway, by_drive[incoming.pathway.post]
            if incoming.phased:
                by_share[pathway.source] += np.bincount(pathway.pre, onto * pathway.weights, pathway.source_size)
            seeds.weights[incoming.index] = onto * on_the_way


def _fraction(ratio: np.ndarray) -> np.ndarray:
    """x/(1 + x^2), zero at infinity."""
    finite = np.isfinite(ratio)
    safe = np.where(finite, ratio, 0.0)
    return np.where(finite, safe / (1 + safe**2), 0.0)


def _has_phase(node) -> bool:
    return isinstance(node, NeuronNode) and node.spikes_at_infinity


def _upstream(plan, node: int) -> list[int]:
    """A group and all those before it that spike at infinity, in the order in which spikes pass through them."""
    found, new = set(), {node}
    while new:
        found |= new
        new = {p.source for p in plan.pathways if p.target in found and _has_phase(plan.nodes[p.source])} - found
    return [k for members in plan.components for k in members if k in found]
