"""A graph of NIR as a Brian2 network."""

from __future__ import annotations

import re
from dataclasses import dataclass

import nir
import numpy as np
from brian2 import Network, NeuronGroup, Quantity, SpikeGeneratorGroup, Synapses, second

from brian_qif.arguments import plain_array, yes_or_no
from brian_qif.bridges.nir_export import area_in_seconds

_NEURONS = (nir.LIF, nir.LI, nir.CubaLIF, nir.CubaLI)
_NUMBERS = (
    *("tau", "tau_mem", "tau_syn", "r", "w_in", "v_leak", "v_threshold", "v_reset"),
    *("weight", "bias", "scale", "delay"),
)
_BETWEEN = (nir.Linear, nir.Affine, nir.Scale, nir.Delay)

CURRENT = """
dv/dt = (v_leak - v + r*(I + bias))/tau_m : 1
dI/dt = -I/tau_s : 1
tau_s : second (constant)
"""
NO_CURRENT = """
dv/dt = (v_leak - v + r*bias)/tau_m : 1
"""
PARAMETERS = """
tau_m : second (constant)
r : 1 (constant)
v_leak : 1 (constant)
bias : 1 (constant)
"""
EVENT = """
v_th : 1 (constant)
v_reset : 1 (constant)
"""


@dataclass
class NIRNetwork:
    """What became of a graph.

    ``network`` is the `brian2.Network`; ``groups`` maps the name of a node to its group, a `SpikeGeneratorGroup`
    without spikes for an ``Input``; ``synapses`` maps the names of the two nodes that they connect to a list of
    `Synapses`.
    """

    network: Network
    groups: dict[str, SpikeGeneratorGroup | NeuronGroup]
    synapses: dict[tuple[str, str], list[Synapses]]


@dataclass
class _Links:
    """Synapses on their way from a source: where each begins and is now, its weight and its delay."""

    pre: np.ndarray
    post: np.ndarray
    weight: np.ndarray
    delay: np.ndarray
    single: bool = True


def import_nir(graph: nir.NIRGraph, spike_area: Quantity = 1 * second, zero_weights: bool = True) -> NIRNetwork:
    """A graph of NIR as a Brian2 network with visible equations.

    Voltages, currents and weights have no unit in NIR and none here; times are in seconds.

    Parameters
    ----------
    graph : `nir.NIRGraph`
        Of ``Input``, ``Output``, ``LIF``, ``LI``, ``CubaLIF``, ``CubaLI``, ``Linear``, ``Affine``, ``Scale`` and
        ``Delay`` nodes; `nir.read` reads one from a file.
    spike_area : `brian2.Quantity`
        Area of the pulse that stands for a spike, a time: 1 s for a delta function, the time step of the program that
        wrote the graph if it means a pulse of height 1 by a spike.
    zero_weights : bool
        Whether a weight of zero becomes a synapse.

    Returns
    -------
    `NIRNetwork`

    Raises
    ------
    TypeError
        If it is not a graph.
    NotImplementedError
        For other nodes, by name, and for what stands between neurons in another order than delays, at most one
        matrix, and delays.
    DimensionMismatchError, ValueError
        If ``spike_area`` is not a positive time, a number of a node is not finite, a time constant not positive, or
        there are not as many numbers as neurons.

    Notes
    -----
    Neurons start at ``v_leak`` (NIR says nothing of it), with a synaptic current of zero, unless the metadata of their
    node say otherwise. The bias of an ``Affine`` node is a constant ``bias`` beside the current, whose own start is
    lower by as much, so that both together begin at zero as NIR's current does.

    Examples
    --------
    >>> from brian_qif.bridges.nir import export_nir, import_nir
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network("lif")
    >>> back = import_nir(export_nir(network))
    >>> len(back.groups[neurons.name])
    2
    """
    if not isinstance(graph, nir.NIRGraph):
        raise TypeError(f"A nir.NIRGraph is needed, as nir.read gives it; {type(graph).__name__} was given.")
    area, zero_weights = area_in_seconds(spike_area), yes_or_no(zero_weights, "zero_weights")
    for name, node in graph.nodes.items():
        _check_numbers(name, node)
    groups = {name: _group(name, node) for name, node in graph.nodes.items() if _is_group(name, node)}
    for name, node in graph.nodes.items():
        if isinstance(node, nir.Affine) and np.any(node.bias != 0):
            _add_bias(graph, name, groups)
    synapses: dict[tuple[str, str], list[Synapses]] = {}
    for name, group in groups.items():
        for target, links in _follow(graph, name, _identity(len(group)), ()):
            made = _connect(graph.nodes[target], group, groups[target], links, area, zero_weights)
            synapses.setdefault((name, target), []).append(made)
    return NIRNetwork(Network(*groups.values(), *(one for some in synapses.values() for one in some)), groups, synapses)


def _is_group(name: str, node: nir.NIRNode) -> bool:
    if not isinstance(node, (nir.Input, nir.Output, *_NEURONS, *_BETWEEN)):
        what = "a graph within the graph" if isinstance(node, nir.NIRGraph) else f"a {type(node).__name__}"
        raise NotImplementedError(
            f"The node '{name}' is {what}, which cannot be made of Brian2 groups and synapses here; there are Input, "
            "Output, LIF, LI, CubaLIF, CubaLI, Linear, Affine, Scale and Delay."
        )
    return isinstance(node, (nir.Input, *_NEURONS))


def _check_numbers(name: str, node: nir.NIRNode) -> None:
    """Refuse numbers that are not finite, or not one for each neuron, before anything is made of them."""
    fields = [field for field in _NUMBERS if hasattr(node, field)]
    given = {field: getattr(node, field) for field in fields} | {
        field: node.metadata[field] for field in ("v", "I") if isinstance(node, _NEURONS) and field in node.metadata
    }
    size = int(np.prod(next(iter(node.output_type.values())))) if isinstance(node, _NEURONS) else None
    for field, value in given.items():
        numbers = plain_array(value, f"{field} of the node '{name}'")
        if field == "weight" and not isinstance(value, np.ndarray):
            raise TypeError(f"weight of the node '{name}' is an array; {value!r} was given.")
        if size is not None and numbers.size not in (1, size):
            raise ValueError(f"The node '{name}' has {size} neurons; {field} has shape {numbers.shape}.")
        if not np.all(np.isfinite(numbers)) or (field.startswith("tau") and np.any(numbers <= 0)):
            wanted = "positive and finite" if field.startswith("tau") else "finite"
            raise ValueError(f"{field} of the node '{name}' has to be {wanted}; {value!r} was given.")


def _group(name: str, node: nir.NIRNode) -> SpikeGeneratorGroup | NeuronGroup:
    size = int(np.prod(next(iter(node.output_type.values()))))
    # Names in Brian2 are identifiers; the star makes them unique.
    known = re.sub(r"\W", "_", name if name[:1].isalpha() else f"nir_{name}") + "*"
    if isinstance(node, nir.Input):
        return SpikeGeneratorGroup(size, [], [] * second, name=known)
    cuba, spiking = isinstance(node, (nir.CubaLIF, nir.CubaLI)), isinstance(node, (nir.LIF, nir.CubaLIF))
    equations = (CURRENT if cuba else NO_CURRENT) + PARAMETERS + (EVENT if spiking else "")
    event = {"threshold": "v > v_th", "reset": "v = v_reset"} if spiking else {}
    group = NeuronGroup(size, equations, **event, method="exact", name=known)
    group.tau_m = Quantity(np.ravel(node.tau_mem if cuba else node.tau), dim=second.dim)
    group.r, group.v_leak = np.ravel(node.r), np.ravel(node.v_leak)
    if cuba:
        group.tau_s = Quantity(np.ravel(node.tau_syn), dim=second.dim)
        group.I = node.metadata.get("I", 0)
        if np.any(np.ravel(node.tau_syn) == np.ravel(node.tau_mem)):
            group.method_choice = "rk4"  # the formula of "exact" divides by their difference
    if spiking:
        group.v_th, group.v_reset = np.ravel(node.v_threshold), np.ravel(node.v_reset)
    group.v = node.metadata.get("v", np.ravel(node.v_leak))
    return group


def _identity(size: int) -> _Links:
    every = np.arange(size)
    return _Links(every, every, np.ones(size), np.zeros(size))


def _follow(graph: nir.NIRGraph, name: str, links: _Links, passed: tuple[str, ...]):
    """The groups that hear a source, each with the synapses to it; ``passed`` are the nodes on the way."""
    for _, behind in [edge for edge in graph.edges if edge[0] == name]:
        node = graph.nodes[behind]
        if behind in passed:
            raise NotImplementedError(f"The nodes {', '.join(passed)} form a loop without a neuron.")
        if isinstance(node, nir.Output):
            continue
        if isinstance(graph.nodes[name], (nir.LI, nir.CubaLI)):
            raise NotImplementedError(
                f"'{name}' does not spike and gives its voltage to '{behind}'; synapses carry spikes only."
            )
        if isinstance(node, _NEURONS):
            yield behind, links
        else:
            yield from _follow(graph, behind, _through(behind, node, links), (*passed, behind))


def _through(name: str, node: nir.NIRNode, links: _Links) -> _Links:
    """The synapses behind a node between neurons."""
    if isinstance(node, nir.Delay):
        return _Links(links.pre, links.post, links.weight, links.delay + np.ravel(node.delay)[links.post], links.single)
    if isinstance(node, nir.Scale):
        return _Links(links.pre, links.post, links.weight * np.ravel(node.scale)[links.post], links.delay, links.single)
    if not links.single or node.weight.ndim != 2:
        raise NotImplementedError(
            f"'{name}' is a second matrix between neurons, or one of more than two dimensions; multiply the matrices "
            "before the export."
        )
    targets, sources = node.weight.shape
    if sources != len(links.pre):
        raise ValueError(
            f"The matrix of '{name}' has shape {node.weight.shape}; {len(links.pre)} sources are before it."
        )
    post, pre = np.divmod(np.arange(targets * sources), sources)
    return _Links(pre, post, node.weight.ravel() * links.weight[pre], links.delay[pre], single=False)


def _add_bias(graph: nir.NIRGraph, name: str, groups: dict) -> None:
    """The bias of an ``Affine`` node, given to the neurons that it reaches."""
    bias = np.ravel(graph.nodes[name].bias).astype(float)
    every = np.arange(len(bias))
    for target, links in _follow(graph, name, _Links(every, every, bias, np.zeros(len(bias))), (name,)):
        if np.any(links.delay != 0):
            raise NotImplementedError(f"The bias of '{name}' would begin after a delay; let the Delay stand before it.")
        node, group = graph.nodes[target], groups[target]
        reaching = np.bincount(links.post, links.weight, len(group))
        cuba = isinstance(node, (nir.CubaLIF, nir.CubaLI))
        added = np.ravel(node.w_in) * reaching if cuba else reaching
        group.bias = group.bias[:] + added
        if cuba:
            group.I = group.I[:] - added


def _connect(node: nir.NIRNode, source, target, links: _Links, area: float, zero_weights: bool) -> Synapses:
    """One `Synapses`; a spike of unit height and that area makes the jump that its weight stands for."""
    cuba = isinstance(node, (nir.CubaLIF, nir.CubaLI))
    jump = np.ravel(node.w_in / node.tau_syn if cuba else node.r / node.tau) * area
    kept = np.ones(len(links.pre), dtype=bool) if zero_weights else links.weight != 0
    variable = "I" if cuba else "v"
    synapses = Synapses(source, target, "w : 1", on_pre=f"{variable}_post += w")
    synapses.connect(i=links.pre[kept], j=links.post[kept])
    if np.any(kept):
        synapses.w = (links.weight * jump[links.post])[kept]
        delays = links.delay[kept]
        if np.any(delays != 0):
            synapses.delay = Quantity(delays, dim=second.dim)
    return synapses
