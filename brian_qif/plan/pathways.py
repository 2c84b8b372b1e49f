"""Read `Synapses` into pathways: who hears whom, how strongly, how late."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from brian2 import Subgroup, Synapses

from brian_qif.equations.normal_form import NormalForm
from brian_qif.plan.network_plan import NeuronNode, Pathway, SourceNode


def read_pathways(
    synapses: Synapses, nodes: list[SourceNode | NeuronNode], forms: dict[int, NormalForm]
) -> Iterator[tuple[Pathway, str]]:
    """Each presynaptic pathway of a `Synapses`, with the name of the variable that holds its weights.

    Raises
    ------
    NotImplementedError
        If the synapses do anything but add a weight to the synaptic current of their target.
    """
    source, target = (_node_index(synapses, end, nodes) for end in ("source", "target"))
    if target not in forms:
        raise NotImplementedError(
            f"'{synapses.name}' ends at '{nodes[target].name}', whose neurons have no synaptic current."
        )
    if synapses.equations.diff_eq_names:
        names = ", ".join(sorted(synapses.equations.diff_eq_names))
        raise NotImplementedError(
            f"'{synapses.name}' has differential equations ({names}); its synapses must be static."
        )
    if synapses.summed_updaters:
        raise NotImplementedError(f"'{synapses.name}' has summed variables; only on_pre statements are supported.")
    pre = np.array(synapses.variables["_synaptic_pre"].get_value(), dtype=np.int64)
    post = np.array(synapses.variables["_synaptic_post"].get_value(), dtype=np.int64)
    if len(pre) == 0:
        raise ValueError(f"'{synapses.name}' has no synapses: call connect() first.")
    for part in synapses._pathways:
        if part.prepost != "pre" or part.event != "spike":
            raise NotImplementedError(
                f"'{synapses.name}': the pathway '{part.objname}' acts on {part.prepost}synaptic "
                f"{part.event}s; only presynaptic spikes (on_pre) are supported."
            )
        variable = _weight_variable(synapses, part.code, forms[target].current)
        weights = np.array(synapses.variables[variable].get_value(), dtype=float)
        _require_finite(synapses, variable, weights)
        delays = np.broadcast_to(np.array(part.variables["delay"].get_value(), dtype=float), pre.shape)
        if np.any(delays < 0) or not np.all(np.isfinite(delays)):
            raise ValueError(f"'{synapses.name}': a delay is negative or not finite.")
        yield (
            Pathway(
                name=part.name,
                source=source,
                target=target,
                source_size=nodes[source].size,
                pre=pre,
                post=post,
                weights=weights / nodes[target].current_scale,
                delays=delays,
            ),
            variable,
        )


def _node_index(synapses: Synapses, end: str, nodes) -> int:
    group = getattr(synapses, end)
    if isinstance(group, Subgroup):
        raise NotImplementedError(
            f"'{synapses.name}' connects a part of a group ('{group.name}'); connect whole groups."
        )
    names = [node.name for node in nodes]
    if group.name not in names:
        raise ValueError(f"'{synapses.name}' connects '{group.name}', which is not part of the network.")
    return names.index(group.name)


def _weight_variable(synapses: Synapses, code: str, current: str) -> str:
    match = re.fullmatch(r"\s*(\w+)\s*\+=\s*(\w+)\s*", code)
    if match is None or match[1] not in (current, f"{current}_post"):
        raise NotImplementedError(
            f"'{synapses.name}': on_pre = '{code}' is not supported; write on_pre = '{current}_post += w' "
            "with a weight 'w' that is a variable of the synapses."
        )
    variable = synapses.variables.get(match[2])
    if match[2] not in synapses.equations.parameter_names or variable is None or variable.scalar:
        raise NotImplementedError(
            f"'{synapses.name}': '{match[2]}' in on_pre = '{code}' is not a parameter with one value per synapse; "
            f"declare it in the model of the synapses, for instance Synapses(..., '{match[2]} : 1', ...)."
        )
    return match[2]


def _require_finite(synapses: Synapses, variable: str, weights: np.ndarray):
    bad = np.flatnonzero(~np.isfinite(weights))
    if len(bad):
        raise ValueError(f"'{synapses.name}': {variable}[{bad[0]}] is {weights[bad[0]]}; weights must be finite.")
