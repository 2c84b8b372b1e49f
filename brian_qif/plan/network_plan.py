"""A network as plain SI arrays: what every solver and every backend works from.

Nothing here knows Brian2 objects, units or models. Voltages and currents are in the normal form of
:mod:`brian_qif.equations.normal_form`, those of a `HybridNode` in SI units; times are in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from brian_qif.equations.hybrid import HybridSystem

# The port of synapses that act on the voltage itself.
VOLTAGE = -1


@dataclass(frozen=True)
class SourceNode:
    """Neurons whose spikes are given: a ``SpikeGeneratorGroup``.

    ``times`` (seconds, ascending) and ``units`` list its spikes. ``size`` is the number of neurons.
    """

    name: str
    size: int
    times: np.ndarray
    units: np.ndarray


@dataclass(frozen=True)
class NeuronNode:
    """Neurons that follow one normal form, with the state in which they start.

    ``kind`` is "lif", "qif" or "leaky" (the LIF without a threshold). Parameters are arrays with one entry, or one per
    neuron; ``tau_s``, ``currents`` and ``current_scale`` have one row per synaptic current. ``v`` and ``currents``
    are the initial state. ``threshold`` is infinite for "leaky" neurons and for QIF neurons that spike at infinity;
    with ``subtracts`` a spike takes ``threshold - reset`` off the voltage instead of setting it. For ``refractory``
    seconds after a spike the voltage stays at its reset. ``drive`` is used by "qif" alone.

    The user's voltage is ``v_offset + v_scale * v`` and the user's current ``current_scale * current``. Where the node
    is a part of a group, ``first_neuron`` is the number that its first neuron has there, for messages.
    """

    name: str
    size: int
    kind: str
    tau_m: np.ndarray
    tau_s: np.ndarray
    v: np.ndarray
    currents: np.ndarray
    threshold: np.ndarray = np.inf
    reset: np.ndarray = np.nan
    drive: np.ndarray = 0.0
    refractory: np.ndarray = 0.0
    subtracts: bool = False
    v_offset: np.ndarray = 0.0
    v_scale: np.ndarray = 1.0
    current_scale: np.ndarray = 1.0
    first_neuron: int = 0

    def __post_init__(self):
        """Numbers and single rows may be given plainly."""
        for name in ("tau_m", "v", "threshold", "reset", "drive", "refractory", "v_offset", "v_scale"):
            object.__setattr__(self, name, np.atleast_1d(np.asarray(getattr(self, name), dtype=float)))
        currents = np.asarray(self.currents, dtype=float).reshape(-1, self.size)
        object.__setattr__(self, "currents", currents)
        for name in ("tau_s", "current_scale"):
            value = np.asarray(getattr(self, name), dtype=float)
            if value.ndim < 2:
                value = np.broadcast_to(value.reshape(1, -1), (len(currents), max(1, value.size)))
            object.__setattr__(self, name, value)

    @property
    def spikes(self) -> bool:
        return self.kind != "leaky"

    @property
    def spikes_at_infinity(self) -> bool:
        return self.kind == "qif" and bool(np.all(np.isinf(self.threshold)))

    @property
    def uniform(self) -> bool:
        """Whether all neurons have the same parameters."""
        single = (self.tau_m, self.threshold, self.reset, self.drive, self.refractory)
        return all(value.size == 1 for value in single) and self.tau_s.shape[-1] == 1


@dataclass(frozen=True)
class HybridNode:
    """Neurons that follow any smooth equations, with the state in which they start.

    ``states`` has one row per state variable of ``system``, in its order and in SI units; ``numbers`` has the value of
    each of its parameters, one entry or one per neuron. What other nodes call voltage is the first row here, and what
    they call currents are the others. ``first_neuron`` is as in `NeuronNode`.
    """

    name: str
    size: int
    system: HybridSystem
    states: np.ndarray
    numbers: Mapping[str, np.ndarray]
    first_neuron: int = 0
    v_offset = np.zeros(1)
    v_scale = np.ones(1)
    refractory = np.zeros(1)

    @property
    def v(self) -> np.ndarray:
        return self.states[0]

    @property
    def currents(self) -> np.ndarray:
        return self.states[1:]

    @property
    def current_scale(self) -> np.ndarray:
        return np.ones((len(self.states) - 1, 1))

    @property
    def spikes(self) -> bool:
        return self.system.event is not None


@dataclass(frozen=True)
class Pathway:
    """Synapses from one node to another; an arriving spike adds ``weights[s]`` to a variable of the target.

    ``port`` is the row of the target's synaptic current, or `VOLTAGE`; for a `HybridNode` one less than the row of the
    state variable. ``state`` is the `SynapticState` of synapses that have one, whose ``weights`` are of no use.

    ``source`` and ``target`` index ``NetworkPlan.nodes``; ``pre``, ``post``, ``weights`` and ``delays`` have
    one entry per synapse, in Brian2's order. Weights are in the target's normal form.

    A *fan* is the set of synapses of one presynaptic neuron that share one delay, so a spike causes one
    arrival per fan. Fans are stored one after the other: ``order`` lists the synapses fan by fan, fan ``f``
    holds ``order[fan_start[f]:fan_start[f + 1]]`` with delay ``fan_delay[f]``, and neuron ``i`` owns the fans
    ``fan_pointer[i]`` to ``fan_pointer[i + 1] - 1``.
    """

    name: str
    source: int
    target: int
    source_size: int
    pre: np.ndarray
    post: np.ndarray
    weights: np.ndarray
    delays: np.ndarray
    port: int = 0
    state: object | None = None

    @property
    def acts_on_post(self) -> bool:
        """Whether spikes of the neurons behind change the synapses."""
        return self.state is not None and self.state.on_post is not None

    @cached_property
    def _layout(self):
        order = np.lexsort((np.arange(len(self.pre)), self.delays, self.pre))
        pre, delays = self.pre[order], self.delays[order]
        new_fan = np.ones(len(order), dtype=bool)
        new_fan[1:] = (pre[1:] != pre[:-1]) | (delays[1:] != delays[:-1])
        first = np.flatnonzero(new_fan)
        start = np.append(first, len(order)).astype(np.int64)
        pointer = np.searchsorted(pre[first], np.arange(self.source_size + 1)).astype(np.int64)
        return order, start, delays[first], pointer

    @cached_property
    def fan_targets(self):
        """What does not change with the weights, fan by fan.

        Whether ``order`` changes nothing; the targets in that order; and for each fan its first target where its
        targets follow one another, else -1.
        """
        order, start, _, _ = self._layout
        targets = np.ascontiguousarray(self.post[order], dtype=np.int64)
        first, last = start[:-1], start[1:] - 1
        breaks = np.concatenate([[0], np.cumsum(np.diff(targets) != 1)])
        first_target = np.where(breaks[first] == breaks[last], targets[first], -1)
        return bool(np.array_equal(order, np.arange(len(order)))), targets, first_target

    @property
    def order(self) -> np.ndarray:
        return self._layout[0]

    @property
    def fan_start(self) -> np.ndarray:
        return self._layout[1]

    @property
    def fan_delay(self) -> np.ndarray:
        return self._layout[2]

    @property
    def fan_pointer(self) -> np.ndarray:
        return self._layout[3]

    def with_values(self, weights=None, delays=None) -> Pathway:
        """The same synapses with other weights or delays; the fans are kept where the delays are."""
        changed = replace(
            self,
            weights=self.weights if weights is None else weights,
            delays=self.delays if delays is None else delays,
        )
        if delays is None:
            self.fan_targets  # noqa: B018  (computed here once, instead of for every set of weights)
            self._hand_on(changed)
        return changed

    def between(self, source: int, target: int) -> Pathway:
        """The same synapses between nodes of other numbers."""
        moved = replace(self, source=source, target=target)
        self._hand_on(moved)
        return moved

    def cut_by_target(self, bounds: tuple[int, ...]) -> list[tuple[np.ndarray, Pathway]]:
        """For the targets from each bound up to the next, the numbers of their synapses, and a pathway of these.

        The targets of such a pathway are counted from their bound.
        """
        if bounds not in self._cuts:
            part = np.searchsorted(bounds, self.post, side="right").astype(np.int16) - 1
            counts = np.bincount(part, minlength=len(bounds) - 1)
            order = np.split(np.argsort(part, kind="stable"), np.cumsum(counts)[:-1])
            firsts = bounds[:-1]
            self._cuts[bounds] = [(own, self._restricted(own, first)) for own, first in zip(order, firsts, strict=True)]
        return [(own, cut.with_values(weights=self.weights[own])) for own, cut in self._cuts[bounds]]

    @cached_property
    def _cuts(self) -> dict[tuple[int, ...], list[tuple[np.ndarray, Pathway]]]:
        """What `cut_by_target` found; the weights are those of some pathway with these synapses and delays."""
        return {}

    def _restricted(self, synapses: np.ndarray, first: int) -> Pathway:
        pre, post = self.pre[synapses], self.post[synapses] - first
        return replace(self, pre=pre, post=post, weights=self.weights[synapses], delays=self.delays[synapses])

    def _hand_on(self, other: Pathway) -> None:
        """Let a pathway with the same ends and delays have what was computed for this one."""
        for name in ("_layout", "fan_targets", "_cuts"):
            if name in self.__dict__:
                other.__dict__[name] = self.__dict__[name]


@dataclass(frozen=True)
class NetworkPlan:
    """Nodes (sources first, then neurons), the pathways between them, and the time at which it starts.

    ``components`` lists the strongly connected sets of neuron nodes in an order in which every set follows
    all sets that it hears: each is simulated over the whole trial before the next.
    """

    nodes: tuple[SourceNode | NeuronNode | HybridNode, ...]
    pathways: tuple[Pathway, ...]
    start: float = 0.0
    components: tuple[tuple[int, ...], ...] = field(default=())

    def __post_init__(self):
        if not self.components:
            object.__setattr__(self, "components", _components(self.nodes, self.pathways))

    def index(self, name: str) -> int:
        return [node.name for node in self.nodes].index(name)

    def replacing(self, nodes=None, pathways=None) -> NetworkPlan:
        """The same wiring with other values: ``nodes`` and ``pathways`` map an index to its new entry."""
        nodes, pathways = nodes or {}, pathways or {}
        return replace(
            self,
            nodes=tuple(nodes.get(k, node) for k, node in enumerate(self.nodes)),
            pathways=tuple(pathways.get(k, pathway) for k, pathway in enumerate(self.pathways)),
        )


def _components(nodes, pathways) -> tuple[tuple[int, ...], ...]:
    """Strongly connected components of the neuron nodes, upstream ones first."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    neurons = [k for k, node in enumerate(nodes) if not isinstance(node, SourceNode)]
    links = {(p.source, p.target) for p in pathways if p.source in neurons}
    size = len(nodes)
    rows, columns = zip(*links, strict=True) if links else ((), ())
    graph = coo_matrix((np.ones(len(links)), (rows, columns)), shape=(size, size))
    _, label = connected_components(graph, directed=True, connection="strong")
    members: dict[int, list[int]] = {}
    for k in neurons:
        members.setdefault(label[k], []).append(k)
    waits_for = {c: {label[a] for a, b in links if label[b] == c and label[a] != c} for c in members}
    ordered: list[tuple[int, ...]] = []
    done: set[int] = set()
    while len(done) < len(members):
        ready = [c for c in members if c not in done and waits_for[c] <= done]
        for c in ready:
            ordered.append(tuple(members[c]))
        done.update(ready)
    return tuple(ordered)
