"""Events of the NumPy reference: what happens at one time, what it does to the states, and the record of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from brian_qif.plan.network_plan import HybridNode, NetworkPlan, NeuronNode, SourceNode
from brian_qif.solvers.linear import LinearNeurons
from brian_qif.solvers.numeric import NumericNeurons
from brian_qif.solvers.quadratic import QuadraticNeurons, has_closed_form
from brian_qif.solvers.quadratic_series import SeriesQuadraticNeurons
from brian_qif.solvers.sweeps import Request, UnboundedActivityError

BLOCK = 64
MOST_EVENTS = 10_000_000

# Kinds of events: a long step is cut; a neuron reaches its spike; a spike arrives; an arrival lifts a neuron over its
# threshold; a refractory period ends; states are read.
HALT, SPIKE, ARRIVAL, SPIKE_AT_ONCE, RELEASE, SAMPLE = range(6)


class Event(NamedTuple):
    """What happens at ``time``.

    ``node`` and ``spike`` name the spike that happens, that arrives or whose refractory period ends; ``neuron`` is that
    which spikes or is released; ``pathway`` and ``fan`` lead to the synapses through which a spike arrives. A spike
    at once was caused by the arrival ``cause``. A sample has the number ``spike`` among those of its node.
    """

    time: float
    kind: int = HALT
    node: int | None = None
    spike: int = -1
    neuron: int = -1
    pathway: int = -1
    fan: int = -1
    cause: Event | None = None


class Peak(NamedTuple):
    """The largest voltage of a neuron: ``elapsed`` seconds after the beginning of the step that ends with an event.

    The first event is number 0; -1 stands for the start of the trial.
    """

    value: float
    elapsed: float = 0.0
    event: int = -1


@dataclass
class ComponentHistory:
    """Events of one component in order, and the states (one per group) before every ``BLOCK``-th of them."""

    members: tuple[int, ...]
    events: list[Event] = field(default_factory=list)
    checkpoints: list[dict[int, np.ndarray]] = field(default_factory=list)
    peaks: dict[int, list[Peak]] = field(default_factory=dict)

    def open_block(self, network: EventNetwork, states: dict[int, np.ndarray]) -> None:
        """Before every ``BLOCK``-th event, keep a copy of the states and rescale them in place."""
        if len(self.events) >= MOST_EVENTS:
            raise UnboundedActivityError(
                f"More than {MOST_EVENTS} events in one trial: the network's activity has no bound."
            )
        if len(self.events) % BLOCK == 0:
            self.checkpoints.append({k: state.copy() for k, state in states.items()})
            for k, state in states.items():
                network.neurons[k].rescale(state)


def neurons_of(node: NeuronNode | HybridNode):
    """Flow, spikes and adjoints of a group: in closed form where there is one."""
    if isinstance(node, HybridNode):
        return NumericNeurons(node)
    if node.kind != "qif":
        return LinearNeurons(node)
    return QuadraticNeurons(node) if has_closed_form(node) else SeriesQuadraticNeurons(node)


class EventNetwork:
    """A plan with the flow of its groups, and what events do to their states."""

    def __init__(self, plan: NetworkPlan):
        self.plan = plan
        self.neurons = {k: neurons_of(node) for k, node in enumerate(plan.nodes) if not isinstance(node, SourceNode)}
        self.outgoing = {
            k: [n for n, pathway in enumerate(plan.pathways) if pathway.source == k] for k in range(len(plan.nodes))
        }

    def arrivals(self, node: int, spike: int, time: float, unit: int):
        """One event for each fan of the neuron that spiked."""
        for k in self.outgoing[node]:
            pathway = self.plan.pathways[k]
            for fan in range(pathway.fan_pointer[unit], pathway.fan_pointer[unit + 1]):
                yield Event(time + pathway.fan_delay[fan], ARRIVAL, node, spike, pathway=k, fan=fan)

    def refractory(self, node: int, neuron: int) -> float:
        """The refractory period of a neuron, in seconds."""
        periods = self.plan.nodes[node].refractory
        return float(periods[neuron % periods.size])

    def apply(self, event: Event, states: dict[int, np.ndarray]) -> None:
        """Change the states by what happens at an event."""
        if event.kind == ARRIVAL:
            pathway, synapses = self.plan.pathways[event.pathway], self.synapses(event)
            self.arrive(pathway, synapses, states[pathway.target])
        elif event.kind == SPIKE:
            self.neurons[event.node].spike(states[event.node], event.neuron)
        elif event.kind == SPIKE_AT_ONCE:
            self.neurons[event.node].spike_at_once(states[event.node], event.neuron)
        elif event.kind == RELEASE:
            self.neurons[event.node].release(states[event.node], event.neuron)

    def arrive(self, pathway, synapses, state: np.ndarray) -> None:
        """A spike arrives through some synapses of a pathway."""
        self.neurons[pathway.target].arrive(state, pathway.port, pathway.post[synapses], pathway.weights[synapses])

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
