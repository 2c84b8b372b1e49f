"""What generated code can run."""

from __future__ import annotations

import numpy as np

from brian_qif.plan.network_plan import VOLTAGE, HybridNode, NetworkPlan, SourceNode
from brian_qif.solvers.quadratic import has_closed_form


def plan_refusal(plan: NetworkPlan) -> str | None:
    """Why the closed forms do not hold for a plan, or None."""
    for node in plan.nodes:
        if isinstance(node, SourceNode):
            continue
        if isinstance(node, HybridNode):
            return f"'{node.name}' is integrated numerically, which generated code does not do."
        if len(node.currents) != 1:
            return f"'{node.name}' has {len(node.currents)} synaptic currents; generated code takes one."
        if np.any(node.refractory > 0):
            return f"'{node.name}' has a refractory period, which generated code does not know."
        if node.kind == "qif" and not has_closed_form(node):
            return (
                f"'{node.name}': generated code takes QIF neurons with tau_m = 2*tau_s that spike at infinity, without "
                "a constant drive above threshold."
            )
    for pathway in plan.pathways:
        if pathway.port == VOLTAGE:
            return f"The synapses '{pathway.name}' act on the voltage at once, which generated code does not know."
    return None
