"""The reverse sweep in plain NumPy (docs/mathematics.md, "The adjoint").

Components are taken in reverse order and their events backwards. The states of one block of events are computed
again from its checkpoint, with the arithmetic of the forward sweep, so that they are the same bits.
"""

from __future__ import annotations

import numpy as np

from brian_qif.plan.network_plan import SourceNode
from brian_qif.solvers.reference_events import BLOCK, EventNetwork
from brian_qif.solvers.sweeps import Record, Seeds, Slopes, Wanted


class ReverseSweep:
    """One reverse sweep over one recorded trial."""

    def __init__(self, network: EventNetwork, record: Record, seeds: Seeds, wanted: Wanted):
        self.network, self.plan = network, network.plan
        self.history, self.wanted = record.history, wanted
        self.rates, self.average_seeds = self.history.request.averages, seeds.averages
        # Slope with respect to each spike time: the loss's own, to which every arrival adds its share.
        self.spike_slopes = [
            np.array(seeds.spike_times[k], dtype=float) if k in seeds.spike_times else np.zeros(len(times))
            for k, times in enumerate(record.spike_times)
        ]
        self.slopes = Slopes(
            weights={k: np.zeros(len(self.plan.pathways[k].pre)) for k in wanted.weights},
            delays={k: np.zeros(len(self.plan.pathways[k].pre)) for k in wanted.delays},
        )

    def run(self) -> Slopes:
        for component in reversed(self.history.components):
            adjoints = {k: np.zeros_like(self.network.neurons[k].initial_state()) for k in component.members}
            for block in reversed(range(len(component.checkpoints))):
                adjoints = self._reverse_block(component, block, adjoints)
            for k in component.members:
                if k in self.wanted.initial:
                    self.slopes.initial[k] = self.network.neurons[k].initial_slopes(adjoints[k])
        for k, node in enumerate(self.plan.nodes):
            if isinstance(node, SourceNode) and k in self.wanted.spike_times:
                self.slopes.spike_times[k] = self.spike_slopes[k]
        return self.slopes

    def _reverse_block(self, component, block, adjoints):
        """Take the adjoints from the end of a block of events to its beginning."""
        first = block * BLOCK
        events = component.events[first : first + BLOCK]
        time = component.events[first - 1].time if first > 0 else self.plan.start
        states = {k: state.copy() for k, state in component.checkpoints[block].items()}
        factors = {k: self.network.neurons[k].rescale(state) for k, state in states.items()}
        tape = []
        for event in events:
            before, step = states, event.time - time
            states = self.network.flow(before, step)
            tape.append((time, step, before, {k: state.copy() for k, state in states.items()}))
            self.network.apply(event, states)
            time = event.time
        for event, (time, step, before, arrived) in zip(reversed(events), reversed(tape), strict=True):
            self._reverse_event(event, arrived, adjoints)
            adjoints = {k: self._reverse_flow(k, time, step, before[k], adjoint) for k, adjoint in adjoints.items()}
        for k, factor in factors.items():
            if factor is not None:
                adjoints[k][:2] *= factor
        return adjoints

    def _reverse_event(self, event, states, adjoints):
        """``states`` are those just before the event; adjoints are changed in place."""
        if event.fan >= 0:
            self._reverse_arrival(event, states, adjoints)
        elif event.neuron >= 0:
            seed = self.spike_slopes[event.node][event.spike] + self._average_slope(event)
            self.network.neurons[event.node].spike_adjoint(states[event.node], event.neuron, adjoints[event.node], seed)

    def _average_slope(self, event):
        """A later spike prolongs the part of an averaged voltage before its reset."""
        if event.node not in self.average_seeds:
            return 0.0
        node = self.plan.nodes[event.node]
        weight = np.exp(-self.rates[event.node] * (event.time - self.plan.start))
        return self.average_seeds[event.node][event.neuron] * weight * (node.threshold - node.reset)

    def _reverse_arrival(self, event, states, adjoints):
        pathway, synapses = self.plan.pathways[event.pathway], self.network.synapses(event)
        target, targets = pathway.target, pathway.post[synapses]
        if event.pathway in self.wanted.weights:
            self.slopes.weights[event.pathway][synapses] += adjoints[target][-1, targets]
        per_weight = self.network.neurons[target].arrival_slopes(states[target], adjoints[target], targets)
        by_time = per_weight * pathway.weights[synapses]
        if event.pathway in self.wanted.delays:
            self.slopes.delays[event.pathway][synapses] += by_time
        self.spike_slopes[event.node][event.spike] += np.sum(by_time)

    def _reverse_flow(self, k, time, step, state, adjoint):
        neurons = self.network.neurons[k]
        before = neurons.flow_adjoint(state, step, adjoint)
        if k in self.average_seeds and step > 0:
            rate = self.rates[k]
            of_v, of_current = neurons.average_coefficients(step, rate)
            weight = np.exp(-rate * (time - self.plan.start)) * self.average_seeds[k]
            before[0] += weight * of_v
            before[1] += weight * of_current
        return before
