"""A Brian2 network as a graph of NIR."""

from __future__ import annotations

import nir
import numpy as np
from brian2 import Network, Quantity, get_local_namespace, second

from brian_qif.arguments import single_time
from brian_qif.plan.network_plan import VOLTAGE, HybridNode, NetworkPlan, NeuronNode, Pathway, SourceNode
from brian_qif.plan.reader import NetworkReading, read_network


def export_nir(
    network: Network, spike_area: Quantity = 1 * second, namespace: dict | None = None, level: int = 0
) -> nir.NIRGraph:
    """A Brian2 network as a graph of NIR.

    Groups become ``Input``, ``LIF``, ``LI``, ``CubaLIF`` and ``CubaLI`` nodes under their names, synapses ``Linear``
    nodes, with a ``Delay`` node before or behind them.

    Parameters
    ----------
    network : `brian2.Network`
        Of `SpikeGeneratorGroup`, leaky and LIF groups, and `Synapses`.
    spike_area : `brian2.Quantity`
        Area of the pulse that stands for a spike, a time: 1 s for a delta function, the time step for a program that
        means a pulse of height 1 by a spike.
    namespace : dict, optional
        Values of names in the equations that no group defines; by default those around the call.

    Returns
    -------
    `nir.NIRGraph`
        In SI numbers; `nir.write` writes it into a file.

    Raises
    ------
    NotImplementedError
        For what NIR has no node for, by name.
    DimensionMismatchError, ValueError
        If ``spike_area`` is not a positive time.

    Notes
    -----
    Spikes of a `SpikeGeneratorGroup` are not part of a graph. An initial state other than v_leak and a current of zero
    goes into the metadata of its node (``v``, ``I``), which `import_nir` reads and other programs do not.

    Examples
    --------
    >>> from brian_qif.bridges.nir import export_nir
    >>> from brian_qif.example import example_network
    >>> graph = export_nir(example_network("lif").network)
    >>> sorted(type(node).__name__ for node in graph.nodes.values())
    ['CubaLIF', 'Input', 'Linear', 'Output']
    """
    area = area_in_seconds(spike_area)
    namespace = get_local_namespace(level=level + 1) if namespace is None else namespace
    reading = read_network(network, namespace)
    plan = reading.plan
    nodes: dict[str, nir.NIRNode] = {}
    edges: list[tuple[str, str]] = []
    for index, node in enumerate(plan.nodes):
        nodes[node.name] = _neurons(plan, index, area)
    for number, pathway in enumerate(plan.pathways):
        _add_pathway(plan, pathway, _matrix_name(reading, number), nodes, edges)
    for index in _readouts(plan):
        name = plan.nodes[index].name
        nodes[f"{name}_output"] = nir.Output(output_type={"output": np.array([plan.nodes[index].size])})
        edges.append((name, f"{name}_output"))
    return nir.NIRGraph(nodes, edges)


def area_in_seconds(spike_area) -> float:
    """The area of a spike as a number.

    Raises
    ------
    TypeError
        If it is not one number.
    DimensionMismatchError
        If it is not a time.
    ValueError
        If it is not positive and finite.
    """
    area = single_time(spike_area, "spike_area is a time, for instance 1*second or the time step")
    if not 0 < area < np.inf:
        raise ValueError(f"spike_area must be positive and finite; it is {area} s.")
    return area


def _neurons(plan: NetworkPlan, index: int, area: float) -> nir.NIRNode:
    """The node of a group. With ``w_in = tau_syn/area`` and ``r = tau/area`` a spike adds its weight, as in Brian2."""
    node = plan.nodes[index]
    if isinstance(node, SourceNode):
        return nir.Input(input_type={"input": np.array([node.size])})
    _refuse(plan, index)
    scale, offset, tau = _each(node, node.v_scale), _each(node, node.v_offset), _each(node, node.tau_m)
    fields, state = {"v_leak": offset}, {}
    if np.any(node.v != 0):
        state["v"] = offset + scale * node.v
    if len(node.currents):
        tau_s, current_scale = _each(node, node.tau_s[0]), _each(node, node.current_scale[0])
        fields |= {"tau_mem": tau, "tau_syn": tau_s, "r": scale / current_scale, "w_in": tau_s / area}
        if np.any(node.currents != 0):
            state["I"] = current_scale * node.currents[0]
    else:
        fields |= {"tau": tau, "r": tau / area}
    if node.spikes:
        fields |= {"v_threshold": offset + scale * node.threshold, "v_reset": offset + scale * node.reset}
        return (nir.CubaLIF if len(node.currents) else nir.LIF)(**fields, metadata=state)
    return (nir.CubaLI if len(node.currents) else nir.LI)(**fields, metadata=state)


def _refuse(plan: NetworkPlan, index: int) -> None:
    node = plan.nodes[index]
    if isinstance(node, HybridNode):
        raise NotImplementedError(f"NIR has no node for the equations of '{node.name}'.")
    ports = {pathway.port for pathway in plan.pathways if pathway.target == index}
    if node.kind == "qif":
        why = (
            "are quadratic integrate-and-fire neurons, for which NIR has no node (it has LIF, LI, CubaLIF and CubaLI); "
            "to exchange the network, keep it as a Brian2 script, or train LIF neurons"
        )
    elif len(node.currents) > 1:
        why = f"have {len(node.currents)} synaptic currents, and NIR's CubaLIF has one"
    elif len(node.currents) and VOLTAGE in ports:
        why = "have a synaptic current, and synapses on the voltage beside it; a node of NIR has one input"
    elif np.any(node.refractory > 0):
        why = "are refractory after a spike, and NIR's LIF neurons are not"
    elif node.subtracts:
        why = "subtract from the voltage at a spike, and NIR's LIF neurons are set to v_reset"
    else:
        return
    raise NotImplementedError(f"The neurons of '{node.name}' {why}.")


def _each(node: NeuronNode | HybridNode | SourceNode, values: np.ndarray) -> np.ndarray:
    """One value per neuron."""
    return np.array(np.broadcast_to(values, (node.size,)), dtype=float)


def _matrix_name(reading: NetworkReading, number: int) -> str:
    """The name of the `Synapses`, with a number where they act by several statements."""
    owner = reading.synapses[number].owner
    single = sum(other.owner == owner for other in reading.synapses.values()) == 1
    return owner if single else f"{owner}_{number}"


def _add_pathway(plan: NetworkPlan, pathway: Pathway, name: str, nodes: dict, edges: list) -> None:
    """The weights of some synapses as a matrix, and their delays before or behind it."""
    source, target = plan.nodes[pathway.source], plan.nodes[pathway.target]
    scale = target.v_scale if pathway.port == VOLTAGE else target.current_scale[pathway.port]
    matrix = np.zeros((target.size, source.size))
    np.add.at(matrix, (pathway.post, pathway.pre), pathway.weights * _each(target, scale)[pathway.post])
    nodes[name] = nir.Linear(weight=matrix)
    chain = [source.name, name, target.name]
    if np.any(pathway.delays != 0):
        place, delay = _delays(pathway, name, source.size, target.size)
        nodes[f"{name}_delay"] = nir.Delay(delay=delay)
        chain.insert(place, f"{name}_delay")
    edges.extend(zip(chain[:-1], chain[1:], strict=True))


def _delays(pathway: Pathway, name: str, sources: int, targets: int) -> tuple[int, np.ndarray]:
    """Where in the chain the delays stand, and one for each neuron there."""
    for place, size, neurons in ((1, sources, pathway.pre), (2, targets, pathway.post)):
        delay = np.zeros(size)
        delay[neurons] = pathway.delays
        if np.array_equal(delay[neurons], pathway.delays):
            return place, delay
    raise NotImplementedError(
        f"The delays of '{name}' differ between synapses of one neuron, on both sides. A Delay of NIR belongs "
        "to a neuron: give one delay for each source or for each target."
    )


def _readouts(plan: NetworkPlan) -> list[int]:
    """Groups that no other group hears; all groups where each is heard."""
    neurons = [k for k, node in enumerate(plan.nodes) if not isinstance(node, SourceNode)]
    heard = {pathway.source for pathway in plan.pathways if pathway.source != pathway.target}
    return [k for k in neurons if k not in heard] or neurons
