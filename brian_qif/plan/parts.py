"""Cut a plan into parts that can be simulated one by one once the spikes that reach them are known.

A part holds some neurons of one component and the synapses that end at them; every group that they hear from outside
the component is a source to it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from brian_qif.plan.network_plan import HybridNode, NetworkPlan, NeuronNode, SourceNode

_PER_NEURON = ("tau_m", "tau_s", "v", "currents", "threshold", "reset", "drive", "refractory")
_PER_NEURON += ("v_offset", "v_scale", "current_scale")
_NOTHING = (np.empty(0), np.empty(0, dtype=np.int64))


@dataclass(frozen=True)
class Part:
    """A part of a plan as a plan of its own, and where its entries stand in the whole.

    The nodes of ``plan`` are first the ``sources``, then the ``members``: numbers of nodes of the whole plan, in their
    order there. Of each member it has the ``neurons``; ``pathways`` has for each pathway its number in the whole plan
    and the numbers of its synapses there.
    """

    plan: NetworkPlan
    sources: tuple[int, ...]
    members: tuple[int, ...]
    neurons: slice
    pathways: tuple[tuple[int, np.ndarray | slice], ...]

    @cached_property
    def place(self) -> dict[int, int]:
        """The number in this part of a node of the whole plan."""
        return {k: n for n, k in enumerate((*self.sources, *self.members))}


def is_connected(plan: NetworkPlan, members: tuple[int, ...]) -> bool:
    """Whether spikes of a component reach the component itself."""
    return any(pathway.source in members and pathway.target in members for pathway in plan.pathways)


def levels(plan: NetworkPlan) -> list[list[int]]:
    """Numbers of the components, by how many components a spike passes before: those of one level are independent."""
    component_of = {k: c for c, members in enumerate(plan.components) for k in members}
    level = {}
    for c, members in enumerate(plan.components):
        heard = {component_of.get(pathway.source, c) for pathway in plan.pathways if pathway.target in members}
        level[c] = 1 + max((level[other] for other in heard - {c}), default=-1)
    return [[c for c in level if level[c] == n] for n in range(max(level.values(), default=-1) + 1)]


def component_in_parts(plan: NetworkPlan, members: tuple[int, ...], count: int) -> list[Part]:
    """A component whole, or one without synapses of its own in ``count`` nearly equal parts."""
    if count == 1:
        return [
            _part(plan, members, slice(None), {k: (slice(None), plan.pathways[k]) for k in _incoming(plan, members)})
        ]
    bounds = [plan.nodes[members[0]].size * n // count for n in range(count + 1)]
    cuts = {k: plan.pathways[k].cut_by_target(tuple(bounds)) for k in _incoming(plan, members)}
    return [
        _part(plan, members, slice(*bounds[n : n + 2]), {k: cut[n] for k, cut in cuts.items() if len(cut[n][0])})
        for n in range(count)
    ]


def _incoming(plan: NetworkPlan, members: tuple[int, ...]) -> list[int]:
    return [k for k, pathway in enumerate(plan.pathways) if pathway.target in members]


def _part(plan: NetworkPlan, members: tuple[int, ...], neurons: slice, chosen: dict) -> Part:
    """``chosen`` maps the number of a pathway to synapses of it, and to a pathway that has these alone."""
    sources = tuple(sorted({plan.pathways[k].source for k in chosen} - set(members)))
    place = {k: n for n, k in enumerate((*sources, *members))}
    nodes = [_as_source(plan.nodes[k]) for k in sources] + [node_part(plan.nodes[k], neurons) for k in members]
    pathways = [pathway.between(place[pathway.source], place[pathway.target]) for _, pathway in chosen.values()]
    synapses = tuple((k, synapses) for k, (synapses, _) in chosen.items())
    return Part(NetworkPlan(tuple(nodes), tuple(pathways), plan.start), sources, members, neurons, synapses)


def _as_source(node: SourceNode | NeuronNode | HybridNode) -> SourceNode:
    return node if isinstance(node, SourceNode) else SourceNode(node.name, node.size, *_NOTHING)


def node_part(node: NeuronNode | HybridNode, neurons: slice) -> NeuronNode | HybridNode:
    """Some neurons of a group, with their parameters and their state."""
    if neurons == slice(None):
        return node
    own = {"size": neurons.stop - neurons.start, "first_neuron": node.first_neuron + neurons.start}
    if isinstance(node, HybridNode):
        numbers = {name: _cut(values, neurons) for name, values in node.numbers.items()}
        return replace(node, states=node.states[:, neurons], numbers=numbers, **own)
    return replace(node, **{name: _cut(getattr(node, name), neurons) for name in _PER_NEURON}, **own)


def _cut(values: np.ndarray, neurons: slice) -> np.ndarray:
    """Values of some neurons; a single one is that of all."""
    return values if values.shape[-1] == 1 else values[..., neurons]
