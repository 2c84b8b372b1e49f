"""The event-driven sweeps in plain NumPy: the reference that every other backend is compared with.

One component (set of groups that feed back on each other) is carried over the whole trial before the next. All of its
groups advance together from event to event; where a neuron would spike on the way, they go back and advance to the
earliest spike instead. The record of events and a checkpoint of the state every ``BLOCK`` events are all that
the reverse sweep needs.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from brian_qif.plan.network_plan import NetworkPlan, NeuronNode, SourceNode
from brian_qif.solvers.linear import LinearNeurons
from brian_qif.solvers.quadratic import QuadraticNeurons
from brian_qif.solvers.sweeps import Record, Request, Seeds, Slopes, Wanted

BLOCK = 64
MOST_EVENTS = 10_000_000


class Event(NamedTuple):
    """What happens at ``time``: nothing (``node`` is None), a spike (``neuron`` >= 0) or an arrival.

    ``node`` and ``spike`` name the spike that happens or that arrives; ``pathway`` and ``fan`` lead to the
    synapses through which it arrives.
    """

    time: float
    node: int | None = None
    spike: int = -1
    neuron: int = -1
    pathway: int = -1
    fan: int = -1


@dataclass
class ComponentHistory:
    """Events of one component in order, and the states (one per group) before every ``BLOCK``-th of them."""

    members: tuple[int, ...]
    events: list[Event] = field(default_factory=list)
    checkpoints: list[dict[int, np.ndarray]] = field(default_factory=list)

    def open_block(self, network: ReferenceNetwork, states: dict[int, np.ndarray]) -> None:
        """Before every ``BLOCK``-th event, keep a copy of the states and rescale them in place."""
        if len(self.events) >= MOST_EVENTS:
            raise RuntimeError(f"More than {MOST_EVENTS} events in one trial: the network's activity has no bound.")
        if len(self.events) % BLOCK == 0:
            self.checkpoints.append({k: state.copy() for k, state in states.items()})
            for k, state in states.items():
                network.neurons[k].rescale(state)


@dataclass
class SpikeList:
    """Spikes of one node, in time order."""

    times: list[float] = field(default_factory=list)
    units: list[int] = field(default_factory=list)


class ReferenceNetwork:
    """A plan, ready for the sweeps in NumPy."""

    def __init__(self, plan: NetworkPlan):
        self.plan = plan
        self.neurons = {
            k: (QuadraticNeurons if node.kind == "qif" else LinearNeurons)(node)
            for k, node in enumerate(plan.nodes)
            if isinstance(node, NeuronNode)
        }
        self.outgoing = {
            k: [n for n, pathway in enumerate(plan.pathways) if pathway.source == k] for k in range(len(plan.nodes))
        }

    def forward(self, request: Request, stimuli=None, sample_times=()) -> Record:
        """Simulate one trial; see :class:`~brian_qif.solvers.sweeps.PreparedNetwork`.

        ``sample_times`` (ascending) asks for the states at these times as well: ``record.history.samples``.
        """
        return _Trial(self, request, stimuli or {}, list(sample_times)).run()

    def reverse(self, record: Record, seeds: Seeds, wanted: Wanted) -> Slopes:
        """Carry the seeds back; see :class:`~brian_qif.solvers.sweeps.PreparedNetwork`."""
        from brian_qif.solvers.reference_reverse import ReverseSweep

        return ReverseSweep(self, record, seeds, wanted).run()

    def arrivals(self, node: int, spike: int, time: float, unit: int):
        """One event for each fan of the neuron that spiked."""
        for k in self.outgoing[node]:
            pathway = self.plan.pathways[k]
            for fan in range(pathway.fan_pointer[unit], pathway.fan_pointer[unit + 1]):
                yield Event(time + pathway.fan_delay[fan], node, spike, pathway=k, fan=fan)

    def apply(self, event: Event, states: dict[int, np.ndarray]) -> None:
        """Change the states by what happens at an event."""
        if event.fan >= 0:
            pathway = self.plan.pathways[event.pathway]
            synapses = self.synapses(event)
            self.neurons[pathway.target].arrive(
                states[pathway.target], pathway.post[synapses], pathway.weights[synapses]
            )
        elif event.neuron >= 0:
            self.neurons[event.node].spike(states[event.node], event.neuron)

    def synapses(self, event: Event) -> np.ndarray:
        """The synapses of the fan through which a spike arrives."""
        pathway = self.plan.pathways[event.pathway]
        return pathway.order[pathway.fan_start[event.fan] : pathway.fan_start[event.fan + 1]]

    def flow(self, states: dict[int, np.ndarray], step: float) -> dict[int, np.ndarray]:
        return {k: self.neurons[k].flow(state, step) for k, state in states.items()}


@dataclass
class TrialHistory:
    """What the reverse sweep reads: the request, and the history of each component."""

    request: Request
    components: list[ComponentHistory]
    samples: dict[int, list[np.ndarray]]


class _Trial:
    """One forward sweep."""

    def __init__(self, network: ReferenceNetwork, request: Request, stimuli, sample_times):
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


class ReferenceBackend:
    """Plain NumPy: readable, needs no compiler, a hundred times slower than generated code."""

    name = "reference"

    def refusal(self, plan: NetworkPlan) -> str | None:
        return None

    def prepare(self, plan: NetworkPlan) -> ReferenceNetwork:
        return ReferenceNetwork(plan)
