"""What the event-driven solver understood of a network, as text."""

from __future__ import annotations

from brian_qif.plan.hybrid import HybridReading
from brian_qif.plan.network_plan import VOLTAGE, NeuronNode, SourceNode
from brian_qif.plan.neurons import NeuronReading
from brian_qif.plan.reader import NetworkReading
from brian_qif.solvers.quadratic import has_closed_form

_ADJOINT = "lambda = h_x^T lambda - g_x (lambda_t + lambda.(h_x f - f_after))/(g_x f), from event g, jump h and flow f"
_KINDS = {"lif": "leaky integrate-and-fire", "leaky": "leaky, without spikes", "qif": "quadratic integrate-and-fire"}


def explain_network(reading: NetworkReading) -> str:
    """One paragraph per group and a line per pathway."""
    plan = reading.plan
    parts = []
    for k, node in enumerate(plan.nodes):
        read = reading.neurons.get(k)
        if isinstance(node, SourceNode):
            parts.append(_source(node))
        else:
            parts.append(_hybrid(read) if isinstance(read, HybridReading) else _neurons(node, read))
    lines = []
    for k, pathway in enumerate(plan.pathways):
        read, target = reading.synapses[k], reading.neurons[pathway.target]
        variable = target.state_names[0 if pathway.port == VOLTAGE else pathway.port + 1]
        lines.append(
            f"{pathway.name}: {len(pathway.pre)} synapses from {plan.nodes[pathway.source].name} to "
            f"{plan.nodes[pathway.target].name}; a spike adds {read.expression} to {variable}"
            f" {_delays(pathway.delays)}"
        )
    order = " then ".join(" with ".join(plan.nodes[k].name for k in component) for component in plan.components)
    paragraphs = [*parts, "\n".join(lines), f"Simulated in this order: {order}" if order else ""]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _source(node: SourceNode) -> str:
    return f"{node.name}: {len(node.times)} given spikes of {node.size} neurons"


def _hybrid(read: HybridReading) -> str:
    system = read.system
    rates = [f"d{name}/dt = {rate}" for name, rate in zip(system.states, system.rates, strict=True)]
    lines = [f"{read.name}: {read.size} neurons, integrated numerically (EventSolver(numeric=True))"]
    lines += [f"  flow: {'; '.join(rates)}"]
    if system.event is None:
        return "\n".join([*lines, "  event: none"])
    changes = zip(system.states, system.jump, strict=True)
    jump = "; ".join(f"{name} = {value}" for name, value in changes if str(value) != name)
    return "\n".join([*lines, f"  event: {system.event} rises through 0", f"  jump: {jump}", f"  adjoint: {_ADJOINT}"])


def _neurons(node: NeuronNode, read: NeuronReading) -> str:
    form = read.form
    lines = [f"{node.name}: {node.size} neurons, {_KINDS[node.kind]}"]
    # The variables of the normal form are u and j, as in equations/normal_form.py.
    names = ["u", *(_row("j", row, len(form.currents)) for row in range(len(form.currents)))]
    lines.append(f"  {read.state_names[0]} = {_plus(form.v_offset)}{_times(form.v_scale)}{names[0]}")
    lines += [
        f"  {name} = {_times(scale)}{own}"
        for name, scale, own in zip(form.currents, form.current_scale, names[1:], strict=True)
    ]
    lines.append(f"  flow: {_flow(node, form, names)}")
    lines += [f"    with tau_m = {form.tau_m}"]
    lines += [f"    with {_row('tau_s', row, len(names) - 1)} = {tau}" for row, tau in enumerate(form.tau_s)]
    if node.kind == "qif":
        lines.append(f"    solved for u = p/q, {_quadratic_solution(node)}")
    else:
        lines.append("    solved in closed form")
    lines += [f"  {line}" for line in _event(node, form, read.state_names[0])]
    return "\n".join(lines)


def _plus(offset) -> str:
    return "" if offset == 0 else f"{offset} + "


def _times(scale) -> str:
    return "" if scale == 1 else f"({scale})*"


def _row(name: str, row: int, count: int) -> str:
    return name if count == 1 else f"{name}_{row + 1}"


def _flow(node: NeuronNode, form, names) -> str:
    total = " + ".join(names[1:]) or "0"
    if node.kind != "qif":
        return f"tau_m*du/dt = -u + {total}"
    drive = "" if form.drive == 0 else f" + {form.drive}"
    return f"tau_m*du/dt = u*(u - 1){drive} + {total}"


def _quadratic_solution(node: NeuronNode) -> str:
    if has_closed_form(node):
        return "in closed form (tau_m = 2*tau_s)"
    return "by a power series in time whose remainder is below rounding"


def _event(node: NeuronNode, form, voltage: str) -> list[str]:
    if node.kind == "leaky":
        return ["event: none", "adjoint: the transposed flow"]
    if node.spikes_at_infinity:
        return [
            f"event: {voltage} reaches infinity, a zero of q",
            f"jump: {voltage} goes on from minus infinity; q passes through zero",
            "adjoint: lambda_q += lambda_t*tau_m/p, lambda_t the slope by the spike's time",
        ]
    jump = f"{voltage} -= {form.threshold - form.reset}" if form.subtracts else f"{voltage} = {form.reset}"
    held = "" if form.refractory is None else f", and stays there for {_short(form.refractory)}"
    return [
        f"event: {voltage} rises through {form.threshold}",
        f"jump: {jump}{held}",
        "adjoint: lambda_u = (lambda_u*f_after - lambda_t)/f_before, f = du/dt, lambda_t the slope by the spike's time",
    ]


def _short(expression) -> str:
    return f"{float(expression):g} s" if expression.is_Number else str(expression)


def _delays(delays) -> str:
    if not delays.any():
        return "without delay"
    low, high = delays.min(), delays.max()
    return f"after {low:g} s" if low == high else f"after {low:g} s to {high:g} s"
