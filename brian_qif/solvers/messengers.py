"""Sources that speak for a group: spikes that its targets hear from it in addition, or do not hear.

A spike that a neuron emits acts on its targets by its synapses alone, each of which adds a weight. So what the targets
hear can be changed without touching the neuron: spikes of a messenger arrive by copies of the neuron's synapses, of the
same weights where a spike is added, and of the opposite weights where one is taken back.
"""

from __future__ import annotations

import numpy as np

from brian_qif.plan.network_plan import NetworkPlan, Pathway, SourceNode


def add_messenger(plan: NetworkPlan, node: int) -> tuple[NetworkPlan, int]:
    """A plan with a silent source that can speak for a group.

    Parameters
    ----------
    plan : `NetworkPlan`
    node : int
        The group that is spoken for, of size n.

    Returns
    -------
    plan : `NetworkPlan`
        With a source more, behind all others: its neuron k says what neuron k of the group says, and its neuron n + k
        takes that back.
    messenger : int
        The index of that source.

    Raises
    ------
    NotImplementedError
        If a synapse that leaves the group has a state of its own, which a spike changes as well.
    """
    size, messenger = plan.nodes[node].size, len(plan.nodes)
    copies = []
    for pathway in plan.pathways:
        if pathway.source != node:
            continue
        if pathway.state is not None:
            raise NotImplementedError(
                f"A spike changes the synapses '{pathway.name}' themselves, so it cannot be taken back. Perturb a"
                " group whose synapses only add their weight."
            )
        copies.append(
            Pathway(
                name=f"{pathway.name}_said_again",
                source=messenger,
                target=pathway.target,
                source_size=2 * size,
                pre=np.concatenate([pathway.pre, pathway.pre + size]),
                post=np.tile(pathway.post, 2),
                weights=np.concatenate([pathway.weights, -pathway.weights]),
                delays=np.tile(pathway.delays, 2),
                port=pathway.port,
            )
        )
    silent = SourceNode(f"{plan.nodes[node].name}_said_again", 2 * size, np.empty(0), np.empty(0, dtype=np.int64))
    return NetworkPlan((*plan.nodes, silent), (*plan.pathways, *copies), plan.start), messenger


def hears_itself(plan: NetworkPlan, node: int) -> bool:
    """Whether a group's spikes come back to it, by its own synapses or through other groups."""
    reached, new = set(), {node}
    while new:
        new = {pathway.target for pathway in plan.pathways if pathway.source in new} - reached
        reached |= new
    return node in reached
