"""The forward sweep in plain NumPy.

One component (set of groups that feed back on each other) is carried over the whole trial before the next. All of its
groups advance together from event to event; where a neuron would spike on the way, they go back and advance to the
earliest spike instead.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np

from brian_qif.plan.network_plan import SourceNode
from brian_qif.solvers.checks import given_spikes
from brian_qif.solvers.reference_events import (
    ARRIVAL,
    RELEASE,
    SAMPLE,
    SPIKE,
    SPIKE_AT_ONCE,
    ComponentHistory,
    Event,
    EventNetwork,
    Peak,
    TrialHistory,
)
from brian_qif.solvers.sweeps import Record, Request, check_request, unbounded_activity


@dataclass
class SpikeList:
    """Spikes of one node, in time order."""

    times: list[float] = field(default_factory=list)
    units: list[int] = field(default_factory=list)


class Agenda:
    """What is known to happen to a component, earliest first; at one time, samples after all else, the end last."""

    def __init__(self):
        self._heap, self._count = [], 0

    def add(self, event: Event, rank: int = 0) -> None:
        heapq.heappush(self._heap, (event.time, rank, self._count, event))
        self._count += 1

    def next(self) -> Event:
        return self._heap[0][3]

    def pop(self) -> None:
        heapq.heappop(self._heap)

    def __bool__(self):
        return bool(self._heap)

    def anything_else_at(self, time: float) -> bool:
        """Whether something but a sample or the end comes at this time."""
        return bool(self._heap) and self._heap[0][0] <= time and self._heap[0][1] == 0


# Spikes and parts of steps that take no time, beside some for each neuron.
MOST_STALLED = 1000


class ForwardSweep:
    """One forward sweep."""

    def __init__(self, network: EventNetwork, request: Request, stimuli):
        self.network, self.plan, self.request = network, network.plan, request
        check_request(self.plan, request)
        self.end = self.plan.start + request.duration
        self.samples = {
            k: np.empty((len(times), 1 + len(self.plan.nodes[k].currents), self.plan.nodes[k].size))
            for k, times in request.samples.items()
        }
        self.spikes = [SpikeList() for _ in self.plan.nodes]
        self.averages = {k: np.zeros(self.plan.nodes[k].size) for k in request.averages}
        for k, node in enumerate(self.plan.nodes):
            if isinstance(node, SourceNode):
                times, units = given_spikes(node, *stimuli.get(k, (node.times, node.units)))
                inside = (times >= self.plan.start) & (times <= self.end)
                self.spikes[k] = SpikeList(list(times[inside]), list(units[inside]))

    def run(self) -> Record:
        histories = [self._run_component(members) for members in self.plan.components]
        return Record(
            [np.array(spikes.times, dtype=float) for spikes in self.spikes],
            [np.array(spikes.units, dtype=np.int64) for spikes in self.spikes],
            self.averages,
            TrialHistory(self.request, histories),
            self.samples,
            {k: np.array([peak.value for peak in peaks]) for c in histories for k, peaks in c.peaks.items()},
        )

    def _agenda(self, members) -> Agenda:
        """All that is known to happen to a component: arrivals, samples, the end."""
        agenda, heard = Agenda(), []
        for k, spikes in enumerate(self.spikes):
            if k not in members:
                for spike, (time, unit) in enumerate(zip(spikes.times, spikes.units, strict=True)):
                    heard += self._heard(members, k, spike, time, unit)
        for event in sorted(heard, key=lambda event: event.time):
            agenda.add(event)
        for k in members:
            for number, time in enumerate(self.request.samples.get(k, ())):
                agenda.add(Event(time, SAMPLE, k, number), rank=1)
        agenda.add(Event(self.end), rank=2)
        return agenda

    def _heard(self, members, node, spike, time, unit) -> list[Event]:
        """Arrivals of a spike within the component and the trial."""
        return [
            event
            for event in self.network.arrivals(node, spike, time, unit)
            if self.plan.pathways[event.pathway].target in members and event.time < self.end
        ]

    def _run_component(self, members) -> ComponentHistory:
        history = ComponentHistory(members)
        states = {k: self.network.neurons[k].initial_state() for k in members}
        history.peaks = {k: [Peak(float(v)) for v in states[k][0]] for k in members if k in self.request.peaks}
        agenda, time = self._agenda(members), self.plan.start
        lifted: dict[tuple[int, int], Event] = {}  # neurons that an arrival just now lifted, and the arrival
        stalled, most = 0, MOST_STALLED + 16 * sum(self.plan.nodes[k].size for k in members)
        while agenda:
            upcoming, was = agenda.next(), time
            happening, states = self._advance(members, states, time, upcoming, history)
            time = happening[0].time
            # Coinciding arrivals are many at will; spikes and parts of steps that take no time come from no solution.
            stalled = 0 if time > was else stalled + (happening[0] is not upcoming)
            if stalled > most:
                raise unbounded_activity(time)
            if happening[0] is upcoming:
                agenda.pop()
                if upcoming.kind == SAMPLE:
                    self._sample(upcoming, states)
                lifted |= self._lifted_by(upcoming)
            while lifted and not agenda.anything_else_at(time):
                at_once = self._spikes_at_once(states, lifted, time, history)
                if not at_once:
                    lifted = {}
                happening += at_once
                self._follow(members, at_once, agenda)
            self._follow(members, [e for e in happening if e.kind == SPIKE], agenda)
        return history

    def _follow(self, members, spikes, agenda) -> None:
        """What spikes lead to: arrivals, and the end of the refractory period."""
        for event in spikes:
            for arrival in self._heard(members, event.node, event.spike, event.time, event.neuron):
                agenda.add(arrival)
            period = self.network.refractory(event.node, event.neuron)
            if 0 < period < self.end - event.time:
                agenda.add(Event(event.time + period, RELEASE, event.node, event.spike, event.neuron))

    def _lifted_by(self, event: Event) -> dict[tuple[int, int], Event]:
        if event.kind != ARRIVAL:
            return {}
        pathway, synapses = self.plan.pathways[event.pathway], self.network.synapses(event)
        lifting = self.network.neurons[pathway.target].may_lift(pathway.port, pathway.weights[synapses])
        return {(pathway.target, int(neuron)): event for neuron in pathway.post[synapses[lifting]]}

    def _spikes_at_once(self, states, lifted, time, history) -> list[Event]:
        """Spikes of the neurons that stand above their threshold now that all arrivals of this time are in."""
        found = []
        for k in {node for node, _ in lifted}:
            targets = np.array([neuron for node, neuron in lifted if node == k])
            for neuron in self.network.neurons[k].above_threshold(states[k], targets):
                spike = self._new_spike(k, int(neuron), time)
                event = spike._replace(kind=SPIKE_AT_ONCE, cause=lifted[k, int(neuron)])
                history.open_block(self.network, states)
                history.events.append(event)
                self.network.apply(event, states)
                found.append(event)
        return found

    def _sample(self, event: Event, states) -> None:
        neurons, state = self.network.neurons[event.node], states[event.node]
        self.samples[event.node][event.spike] = [neurons.voltage(state), *neurons.currents(state)]

    def _advance(self, members, states, time, upcoming, history):
        """Carry the states to ``upcoming``, or to what happens before it: spikes, or a halt that cuts a long step."""
        history.open_block(self.network, states)
        step = upcoming.time - time
        parts = max(self.network.neurons[k].steps_needed(states[k], step) for k in members)
        if parts > 1:
            upcoming = Event(time + step / parts)
            step = upcoming.time - time
        after = self.network.flow(states, step)
        crossings = self._crossings(members, states, after, step)
        happening = [upcoming]
        if crossings:
            step = min(min(crossings.values()), step)
            after = self.network.flow(states, step)
            twins = self._crossings(members, states, after, step)
            spiking = [key for key, delay in crossings.items() if delay <= step or key in twins]
            happening = [self._new_spike(*key, time + step) for key in spiking]
        self._average(states, time, step)
        self._find_peaks(states, step, history)
        for position, event in enumerate(happening):
            if position > 0:
                history.open_block(self.network, after)
            history.events.append(event)
            self.network.apply(event, after)
        return happening, after

    def _crossings(self, members, states, after, step) -> dict[tuple[int, int], float]:
        """Time within the step at which each (node, neuron) would spike that does."""
        return {
            (k, neuron): delay
            for k in members
            if self.plan.nodes[k].spikes
            for neuron, delay in self.network.neurons[k].crossings(states[k], after[k], step).items()
        }

    def _new_spike(self, node: int, neuron: int, time: float) -> Event:
        spikes = self.spikes[node]
        spikes.times.append(time)
        spikes.units.append(neuron)
        return Event(time, SPIKE, node, len(spikes.times) - 1, neuron)

    def _average(self, states, time, step):
        for k, rate in self.request.averages.items():
            if k in states and step > 0:
                neurons = self.network.neurons[k]
                of_v, of_current = neurons.average_coefficients(step, rate)
                weight = np.exp(-rate * (time - self.plan.start))
                by_current = np.sum(of_current * neurons.currents(states[k]), axis=0)
                self.averages[k] += weight * (of_v * states[k][0] + by_current)

    def _find_peaks(self, states, step, history):
        """Within a step a voltage is largest at its end or where it turns."""
        for k, peaks in history.peaks.items():
            for neuron in range(len(peaks) if step > 0 else 0):
                for elapsed, value in self.network.neurons[k].turns(neuron, states[k][:, neuron], step):
                    if value > peaks[neuron].value:
                        peaks[neuron] = Peak(value, elapsed, len(history.events))
