"""The reverse sweep in plain NumPy (docs/mathematics.md, "The adjoint").

Components are taken in reverse order and their events backwards. The states of one block of events are computed
again from its checkpoint, with the arithmetic of the forward sweep, so that they are the same bits.
"""

from __future__ import annotations

import numpy as np

from brian_qif.plan.network_plan import SourceNode
from brian_qif.solvers.numeric import NumericNeurons
from brian_qif.solvers.reference_events import (
    ARRIVAL,
    BLOCK,
    RELEASE,
    SAMPLE,
    SPIKE,
    SPIKE_AT_ONCE,
    EventNetwork,
)
from brian_qif.solvers.sweeps import Record, Seeds, Slopes, Wanted, no_model_slopes

# Integrals over a step, for slopes by the parameters of a model: sixteen nodes on half a time constant leave rounding.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_PANEL = 0.5


class ReverseSweep:
    """One reverse sweep over one recorded trial."""

    def __init__(self, network: EventNetwork, record: Record, seeds: Seeds, wanted: Wanted):
        self.network, self.plan = network, network.plan
        self.history, self.wanted = record.history, wanted
        self.rates, self.average_seeds = self.history.request.averages, seeds.averages
        self.sample_seeds, self.peak_seeds = seeds.samples, seeds.peaks
        # Slope with respect to each spike time: the loss's own, to which every arrival adds its share.
        self.spike_slopes = [
            np.array(seeds.spike_times[k], dtype=float) if k in seeds.spike_times else np.zeros(len(times))
            for k, times in enumerate(record.spike_times)
        ]
        self.slopes = Slopes(
            weights={k: np.zeros(len(self.plan.pathways[k].pre)) for k in wanted.weights},
            delays={k: np.zeros(len(self.plan.pathways[k].pre)) for k in wanted.delays},
            models={k: no_model_slopes(self.plan.nodes[k]) for k in wanted.models},
        )

    def run(self) -> Slopes:
        for component in reversed(self.history.components):
            adjoints = {k: np.zeros_like(self.network.neurons[k].initial_state()) for k in component.members}
            for block in reversed(range(len(component.checkpoints))):
                adjoints = self._reverse_block(component, block, adjoints)
            for k in component.members:
                if k in self.wanted.initial:
                    self._reverse_peaks_at_start(component, k, adjoints[k])
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
        for position in reversed(range(len(events))):
            event, (time, step, before, arrived) = events[position], tape[position]
            self._reverse_event(event, arrived, adjoints)
            adjoints = {k: self._reverse_flow(k, time, step, before[k], adjoint) for k, adjoint in adjoints.items()}
            for k, peaks in component.peaks.items():
                self._reverse_peaks(component, k, peaks, first + position, step, before[k], adjoints[k])
        for k, factor in factors.items():
            if factor is not None:
                adjoints[k][:2] *= factor
        return adjoints

    def _reverse_event(self, event, states, adjoints):
        """``states`` are those just before the event; adjoints are changed in place."""
        if event.kind == ARRIVAL:
            self._reverse_arrival(event, states, adjoints)
            return
        if event.kind not in (SPIKE, SPIKE_AT_ONCE, RELEASE, SAMPLE):
            return
        k, neurons = event.node, self.network.neurons[event.node]
        state, adjoint, models = states[k], adjoints[k], self.slopes.models.get(k)
        if event.kind == SPIKE:
            seed = self.spike_slopes[k][event.spike] + self._average_slope(event)
            neurons.spike_adjoint(state, event.neuron, adjoint, seed, models)
        elif event.kind == SPIKE_AT_ONCE:
            seed = self.spike_slopes[k][event.spike]
            slope = neurons.spike_at_once_adjoint(state, event.neuron, adjoint, seed, models)
            self._add_time_slope(event.cause, event.neuron, slope)
        elif event.kind == RELEASE:
            slope = neurons.release_adjoint(state, event.neuron, adjoint)
            self.spike_slopes[k][event.spike] += slope
            if models is not None:
                models.refractory[event.neuron] += slope
        elif k in self.sample_seeds:
            seed = self.sample_seeds[k][event.spike]
            neurons.seed_voltage(state, adjoint, seed[0])
            neurons.currents(adjoint)[...] += seed[1:]

    def _reverse_peaks(self, component, k, peaks, number, step, state, adjoint):
        """Seeds of the peaks within the step that ends with an event; ``adjoint`` is changed in place."""
        for n, peak in enumerate(peaks):
            if peak.event == number and k in self.peak_seeds:
                adjoint += self._reverse_peak(k, peak, n, state, self.peak_seeds[k][n])
                if peak.elapsed >= step:
                    rise = self.network.neurons[k].rate(self.network.flow({k: state}, step)[k])[n]
                    self._reverse_cut(component.events[number:], k, n, self.peak_seeds[k][n] * rise)

    def _reverse_peak(self, k, peak, neuron, state, slope):
        neurons, seed = self.network.neurons[k], np.zeros_like(state)
        seed[0, neuron] = slope
        if k in self.slopes.models:
            self._integrate_rates(
                k, peak.elapsed, state, lambda x, here: neurons.flow_adjoint(here, peak.elapsed - x, seed)
            )
        return neurons.flow_adjoint(state, peak.elapsed, seed)

    def _reverse_cut(self, events, k, neuron, slope):
        """Where an arrival ends a rise, the peak is at its time; of several arrivals at one time, the first counts."""
        for event in events:
            if event.time > events[0].time:
                return
            if event.kind == ARRIVAL and self.plan.pathways[event.pathway].target == k:
                if neuron in self.plan.pathways[event.pathway].post[self.network.synapses(event)]:
                    self._add_time_slope(event, neuron, slope)
                    return

    def _reverse_peaks_at_start(self, component, k, adjoint):
        for n, peak in enumerate(component.peaks.get(k, ())):
            if peak.event < 0 and k in self.peak_seeds:
                adjoint[0, n] += self.peak_seeds[k][n]

    def _average_slope(self, event):
        """A later spike prolongs the part of an averaged voltage before its reset."""
        if event.node not in self.average_seeds:
            return 0.0
        neurons = self.network.neurons[event.node]
        weight = np.exp(-self.rates[event.node] * (event.time - self.plan.start))
        fall = neurons.threshold[event.neuron] - neurons.reset[event.neuron]
        return self.average_seeds[event.node][event.neuron] * weight * fall

    def _add_time_slope(self, arrival, neuron, slope):
        """The slope with respect to the time of an arrival at one neuron: its spike's, and its delay's."""
        self.spike_slopes[arrival.node][arrival.spike] += slope
        if arrival.pathway in self.wanted.delays:
            synapses = self.network.synapses(arrival)
            onto = synapses[self.plan.pathways[arrival.pathway].post[synapses] == neuron]
            self.slopes.delays[arrival.pathway][onto[-1]] += slope

    def _reverse_arrival(self, event, states, adjoints):
        pathway, synapses = self.plan.pathways[event.pathway], self.network.synapses(event)
        targets = pathway.post[synapses]
        one_by_one = self.network.neurons[pathway.target].order_matters(pathway.port)
        if not one_by_one or len(np.unique(targets)) == len(targets):
            self._reverse_synapses(event, synapses, states[pathway.target], adjoints)
            return
        # Synapses of one fan onto the same variable act one after the other.
        tape, state = [], states[pathway.target].copy()
        for synapse in synapses:
            tape.append((np.array([synapse]), state.copy()))
            self.network.arrive(pathway, tape[-1][0], state)
        for synapse, state in reversed(tape):
            self._reverse_synapses(event, synapse, state, adjoints)

    def _reverse_synapses(self, event, synapses, state, adjoints):
        pathway = self.plan.pathways[event.pathway]
        targets, weights = pathway.post[synapses], pathway.weights[synapses]
        neurons, adjoint = self.network.neurons[pathway.target], adjoints[pathway.target]
        if event.pathway in self.wanted.weights:
            slopes = neurons.weight_slopes(state, pathway.port, adjoint, targets)
            self.slopes.weights[event.pathway][synapses] += slopes
        by_time = neurons.arrival_slopes(state, pathway.port, adjoint, targets, weights)
        if event.pathway in self.wanted.delays:
            self.slopes.delays[event.pathway][synapses] += by_time
        self.spike_slopes[event.node][event.spike] += np.sum(by_time)
        neurons.arrival_adjoint(pathway.port, adjoint, targets, weights)

    def _reverse_flow(self, k, time, step, state, adjoint):
        if isinstance(self.network.neurons[k], NumericNeurons):
            return self.network.neurons[k].flow_adjoint(state, step, adjoint, self.slopes.models.get(k))
        if k in self.slopes.models and step > 0:
            self._add_model_slopes(k, time, step, state, adjoint)
        return self._adjoint_before(k, time, step, state, adjoint)

    def _adjoint_before(self, k, time, step, state, adjoint):
        neurons = self.network.neurons[k]
        before = neurons.flow_adjoint(state, step, adjoint)
        if k in self.average_seeds and step > 0:
            rate = self.rates[k]
            of_v, of_current = neurons.average_coefficients(step, rate)
            weight = np.exp(-rate * (time - self.plan.start)) * self.average_seeds[k]
            before[0] += weight * of_v
            neurons.currents(before)[...] += weight * of_current
        return before

    def _add_model_slopes(self, k, time, step, state, adjoint):
        self._integrate_rates(
            k, step, state, lambda x, here: self._adjoint_before(k, time + x, step - x, here, adjoint)
        )

    def _integrate_rates(self, k, step, state, adjoint_at):
        """The integral over a step of the adjoint times the derivative of the vector field by each parameter.

        ``adjoint_at`` gives the adjoint from the time elapsed and the state then.
        """
        neurons, node, slopes = self.network.neurons[k], self.plan.nodes[k], self.slopes.models[k]
        fastest = min(np.min(node.tau_m), np.min(node.tau_s, initial=np.inf))
        panels = max(1, int(np.ceil(step / (_PANEL * fastest))))
        for panel in range(panels):
            for x, weight in zip(_NODES, _WEIGHTS, strict=True):
                elapsed = (panel + (1 + x) / 2) * step / panels
                here = neurons.flow(state, elapsed)
                by_tau_m, by_tau_s, by_drive = neurons.rate_slopes(here, adjoint_at(elapsed, here))
                factor = weight / 2 * step / panels
                slopes.tau_m += factor * by_tau_m
                slopes.tau_s += factor * by_tau_s
                slopes.drive += factor * by_drive
