"""Read a Brian2 `Network` into a :class:`~brian_qif.plan.network_plan.NetworkPlan`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from brian2 import (
    BrianLogger,
    EventMonitor,
    Network,
    NeuronGroup,
    PopulationRateMonitor,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Subgroup,
    Synapses,
)
from brian2.devices.device import get_device

from brian_qif.plan.clocked import read_clocked
from brian_qif.plan.hybrid import HybridReading
from brian_qif.plan.network_plan import HybridNode, NetworkPlan, NeuronNode, Pathway, SourceNode
from brian_qif.plan.neurons import NeuronReading, read_neurons
from brian_qif.plan.pathways import PathwayReading, read_pathways
from brian_qif.plan.synaptic import SynapticReading

_MONITORS = (SpikeMonitor, EventMonitor, StateMonitor, PopulationRateMonitor)
_GROUP_PARTS = {"Thresholder", "Resetter", "StateUpdater", "SubexpressionUpdater"}


@dataclass(frozen=True)
class NetworkReading:
    """A plan together with what is needed to find the user's objects in it.

    ``neurons`` maps the index of a neuron node, and ``synapses`` the index of a pathway, to what was read there.
    ``namespace`` holds the constants of the script.
    """

    plan: NetworkPlan
    neurons: dict[int, NeuronReading | HybridReading]
    synapses: dict[int, PathwayReading | SynapticReading]
    namespace: Mapping

    def node(self, group) -> int:
        """Index of the node of a group.

        Raises
        ------
        ValueError
            If the group is not in the network.
        """
        names = [node.name for node in self.plan.nodes]
        name = getattr(group, "name", group)
        if not isinstance(name, str) or name not in names:
            name = group if name is None else name
            raise ValueError(f"'{name}' is not part of the network, which holds {', '.join(names) or 'nothing'}.")
        return names.index(name)

    def changed(self, neurons: Mapping, synapses: Mapping, states: Mapping) -> NetworkReading:
        """The same network with other parameters and initial values.

        ``neurons`` and ``synapses`` give names and values by node and by pathway, ``states`` values by node and row.
        """
        readings, links = dict(self.neurons), dict(self.synapses)
        for k, numbers in neurons.items():
            readings[k] = readings[k].with_numbers(numbers)
        for (k, row), value in states.items():
            readings[k] = readings[k].with_state(row, value)
        for k, numbers in synapses.items():
            links[k] = links[k].with_numbers(numbers)
        nodes = {k: readings[k].node() for k in {*neurons, *(node for node, _ in states)}}
        everyone = [nodes.get(k, node) for k, node in enumerate(self.plan.nodes)]
        pathways = {
            k: links[k].given_to(pathway, everyone[pathway.target])
            for k, pathway in enumerate(self.plan.pathways)
            if k in synapses or pathway.target in neurons
        }
        return replace(self, plan=self.plan.replacing(nodes, pathways), neurons=readings, synapses=links)

    def with_delays(self, delays: Mapping[int, np.ndarray]) -> NetworkReading:
        """The same network with other delays, by pathway."""
        pathways = {
            k: self.plan.pathways[k].with_values(delays=np.broadcast_to(value, self.plan.pathways[k].pre.shape))
            for k, value in delays.items()
        }
        return replace(self, plan=self.plan.replacing(pathways=pathways))

    def with_spike_times(self, index: int, times: np.ndarray) -> NetworkReading:
        """The same network with other spike times of a source, in the order of its spikes."""
        node, order = self.plan.nodes[index], np.argsort(times, kind="stable")
        moved = replace(node, times=times[order], units=node.units[order])
        return replace(self, plan=self.plan.replacing(nodes={index: moved}))


def read_network(
    network: Network,
    namespace: dict | None = None,
    numeric: bool | str = False,
    clocked: bool = False,
    dt: float | None = None,
) -> NetworkReading:
    """Read a network's wiring, parameters and present state.

    Parameters
    ----------
    network : `brian2.Network`
        `SpikeGeneratorGroup`, `NeuronGroup` of a supported form, and `Synapses` between them; monitors may be
        present and record nothing.
    namespace : dict, optional
        Where names in equations that no group defines are looked up.
    numeric : bool or "always"
        Whether groups without a closed form are read as `HybridNode`; with "always" every group is.
    clocked : bool
        Whether groups are read as `ClockedNode`: as Brian2 steps them.
    dt : float, optional
        The step of these in seconds, by default that of their clock.

    Returns
    -------
    `NetworkReading`

    Raises
    ------
    TypeError
        If it is not a `brian2.Network`, or the namespace no dict.
    NotImplementedError
        For every kind of object that the event-driven solver does not simulate, by name.
    ValueError
        For values that leave the model undefined (a NaN, a threshold below the initial voltage).
    """
    if not isinstance(network, Network):
        raise TypeError(f"A brian2.Network is needed, such as Network(stimulus, neurons, synapses), not {network!r}.")
    if not isinstance(namespace, (Mapping, type(None))):
        raise TypeError(f"The namespace is a dict of names in equations and their values, or None, not {namespace!r}.")
    _check_device()
    # Brian2 warns of objects that no run has used; what is read here is used without a run.
    BrianLogger.suppress_name("unused_brian_object")
    sources, neurons, synapses = _sort_objects(network)
    start = float(network.t)
    nodes: list[SourceNode | NeuronNode | HybridNode] = [_read_source(group) for group in sources]
    readings: dict[int, NeuronReading | HybridReading] = {}
    for group in neurons:
        reading = read_clocked(group, namespace, dt) if clocked else read_neurons(group, namespace, numeric)
        readings[len(nodes)] = reading
        nodes.append(reading.node())
    pathways: list[Pathway] = []
    links: dict[int, PathwayReading] = {}
    for connection in synapses:
        for pathway, reading in read_pathways(connection, nodes, readings, namespace, clocked, start):
            if start > 0 and np.any(pathway.delays > 0):
                raise NotImplementedError(
                    f"The network has run already (t = {network.t}) and '{connection.name}' has delays: spikes may be "
                    "on their way that cannot be read back. Start from a network at t = 0, for instance after "
                    "restore()."
                )
            links[len(pathways)] = reading
            pathways.append(pathway)
    plan = NetworkPlan(tuple(nodes), tuple(pathways), start)
    return NetworkReading(plan, readings, links, namespace or {})


def _check_device():
    device = get_device()
    if type(device).__name__ != "RuntimeDevice":
        raise NotImplementedError(
            f"A solver reads a network's values, which Brian2's device '{type(device).__name__}' does not give before "
            "a run: call set_device('runtime') first. ClockSolver(device='cpp_standalone') then runs on that device."
        )


def _sort_objects(network: Network):
    sources, neurons, synapses, refused = [], [], [], []
    for item in sorted(network.objects, key=lambda item: item.name):
        if not getattr(item, "active", True):
            refused.append(f"'{item.name}' is switched off (active = False): leave it out of the network")
        elif isinstance(item, SpikeGeneratorGroup):
            sources.append(item)
        elif isinstance(item, NeuronGroup):
            neurons.append(item)
        elif isinstance(item, Synapses):
            synapses.append(item)
        elif not isinstance(item, (*_MONITORS, Subgroup)) and not _is_part(item, network):
            refused.append(f"{type(item).__name__} '{item.name}' (give its spikes by a SpikeGeneratorGroup)")
    for group in neurons:
        extra = [part for part in group.contained_objects if type(part).__name__ not in _GROUP_PARTS]
        refused += [f"{type(part).__name__} '{part.name}' of '{group.name}'" for part in extra]
        refused += [f"event '{event}' of '{group.name}'" for event in group.events if event != "spike"]
    if refused:
        raise NotImplementedError(
            "The solver does not simulate: " + "; ".join(refused) + ". It takes NeuronGroup, "
            "SpikeGeneratorGroup and Synapses; monitors may stay."
        )
    return sources, neurons, synapses


def _is_part(item, network: Network) -> bool:
    """Whether Brian2 put the object into the network as part of another one."""
    return any(item in owner.contained_objects for owner in network.objects if owner is not item)


def _read_source(group: SpikeGeneratorGroup) -> SourceNode:
    if np.any(np.asarray(group.period_[:]) != 0):
        raise NotImplementedError(f"'{group.name}' repeats its spikes (period); list all spikes instead.")
    times = np.array(group._spike_time, dtype=float)
    order = np.argsort(times, kind="stable")
    units = np.array(group._neuron_index, dtype=np.int64)
    return SourceNode(group.name, len(group), times[order], units[order])
