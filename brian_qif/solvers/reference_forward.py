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
from brian_qif.solvers.reference_events import ComponentHistory, Event, EventNetwork, TrialHistory
from brian_qif.solvers.sweeps import Record, Request


@dataclass
class SpikeList:
    """Spikes of one node, in time order."""

    times: list[float] = field(default_factory=list)
    units: list[int] = field(default_factory=list)


class ForwardSweep:
    """One forward sweep."""

    def __init__(self, network: EventNetwork, request: Request, stimuli, sample_times):
        self.network, self.plan, self.request = network, network.plan, request
        self.end = self.plan.start + request.duration
        self.sample_times = sample_times
        self.samples: dict[int, list[np.ndarray]] = {k: [] for k in network.neurons}
        self.spikes = [SpikeList() for _ in self.plan.nodes]
        self.averages = {k: np.zeros(self.plan.nodes[k].size) for k in request.averages}
        for k, node in enumerate(self.plan.nodes):
            if isinstance(node, SourceNode):
                times, units = stimuli.get(k, (node.times, node.units))
                inside = (times >= self.plan.start) & (times <= self.end)
                self.spikes[k] = SpikeList(list(times[inside]), list(units[inside]))

    def run(self) -> Record:
        histories = [self._run_component(members) for members in self.plan.components]
        return Record(
            [np.array(spikes.times, dtype=float) for spikes in self.spikes],
            [np.array(spikes.units, dtype=np.int64) for spikes in self.spikes],
            self.averages,
            TrialHistory(self.request, histories, self.samples),
        )

    def _queue(self, members) -> list[tuple[float, int, Event]]:
        """All that is known to happen to a component, as a heap: arrivals, times of interest, the end."""
        events = []
        for k, spikes in enumerate(self.spikes):
            if k not in members:
                for spike, (time, unit) in enumerate(zip(spikes.times, spikes.units, strict=True)):
                    events += self._heard(members, k, spike, time, unit)
        # After the arrivals, so that a sample at the time of an arrival sees its effect.
        events += [Event(time) for time in (*self.sample_times, self.end)]
        events.sort(key=lambda event: event.time)
        return [(event.time, position, event) for position, event in enumerate(events)]

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
        queue = self._queue(members)
        time, pushed = self.plan.start, len(queue)
        while queue:
            upcoming = queue[0][2]
            happening, states = self._advance(members, states, time, upcoming, history)
            time = happening[0].time
            if happening[0] is upcoming:
                heapq.heappop(queue)
                if upcoming.node is None and len(self.sample_times):
                    for k in members:
                        self.samples[k].append(states[k].copy())
            for event in happening:
                if event.neuron >= 0:
                    for arrival in self._heard(members, event.node, event.spike, event.time, event.neuron):
                        heapq.heappush(queue, (arrival.time, pushed, arrival))
                        pushed += 1
        return history

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
        return Event(time, node, len(spikes.times) - 1, neuron)

    def _average(self, states, time, step):
        for k, rate in self.request.averages.items():
            if k in states and step > 0:
                of_v, of_current = self.network.neurons[k].average_coefficients(step, rate)
                weight = np.exp(-rate * (time - self.plan.start))
                self.averages[k] += weight * (of_v * states[k][0] + of_current * states[k][1])
