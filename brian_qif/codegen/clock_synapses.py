"""Synapses with a state in the reverse network: every event is computed again and taken back, last one first."""

from __future__ import annotations

import numpy as np
from brian2 import SpikeGeneratorGroup, Synapses, TimedArray, second
from brian2.parsing.sympytools import sympy_to_str

from brian_qif.codegen.clock_forward import ClockObjects
from brian_qif.equations.synaptic import ELAPSED, ReverseSynapse, reverse_synapse
from brian_qif.equations.text import as_symbol
from brian_qif.equations.transposed import arrival_share, arrival_slope, renamed
from brian_qif.plan.network_plan import NetworkPlan
from brian_qif.solvers.clock_tasks import Layout, Task


def synaptic_names(plan: NetworkPlan, p: int, task: Task, slots: int) -> list[str]:
    """What the trial left of every event at a synapse."""
    system = plan.pathways[p].state.system
    return [*system.states, ELAPSED.name, *(["qif_slot"] if slots > 1 else [])]


def after_post(p: int) -> str:
    """The event at which a pathway takes back what a spike of the neuron behind did."""
    return f"after_post_{p}"


def stateful_synapses(plan, p: int, source, groups, layout: Layout, task: Task, clock, made: ClockObjects) -> Synapses:
    """The transposed synapses of a pathway with a state, from given spikes or from neurons."""
    pathway, given = plan.pathways[p], isinstance(source, SpikeGeneratorGroup)
    system = pathway.state.system
    slots = 1 if given else task.slots[pathway.source]
    tables = {}
    for name in synaptic_names(plan, p, task, slots):
        values = np.zeros((task.arrivals[p], len(pathway.pre) * layout.samples))
        label = f"synaptic {name} {p}"
        tables[name] = made.tables[label] = TimedArray(values, dt=clock.dt, name=f"synaptic_{name}_{p}_over_time")
    names = [*tables, *system.parameters, "by_elapsed", "qif_number"]
    names += [f"{word}_{name}" for word, of in _slope_names(system) for name in of]
    codes, events = {"on_pre": {"pre": _pre_code(plan, p, slots, given, tables)}}, {}
    if pathway.acts_on_post:
        codes["on_post"] = {"post": _post_code(plan, p, task.slots[pathway.target], tables)}
        events["post"] = after_post(p)
    if not given:
        events["pre"] = f"arrival_{p}_0"
    synapses = Synapses(
        source,
        groups[pathway.target],
        "\n".join([*(f"{name} : 1" for name in names), "qif_own : integer"]),
        on_event=events,
        clock=clock,
        namespace={table.name: table for table in tables.values()},
        name=f"qif_transposed_{p}*",
        **codes,
    )
    if pathway.acts_on_post:
        # Within a step on_pre comes first, so here it is the last.
        synapses.pre.order, synapses.post.order = 1, -1
    for name in (*names, "qif_own"):
        made.arrays[f"pathway {p} {name}"] = (synapses, name)
    return synapses


def _slope_names(system):
    return (("adjoint", system.states), ("slope", system.parameters))


def _pre_code(plan: NetworkPlan, p: int, slots: int, given: bool, tables: dict) -> str:
    pathway = plan.pathways[p]
    system, target = pathway.state.system, plan.nodes[pathway.target].system
    reverse: ReverseSynapse = reverse_synapse(system)
    _, after = renamed(target.step, target.states)
    row, amount = pathway.port + 1, as_symbol(reverse.amount)
    lines = _found(tables)
    lines += _lines(reverse.program)
    share = arrival_share(target, row) * as_symbol(f"adjoint_{target.states[row]}")
    lines.append(f"by_amount = {sympy_to_str(_of_target(share))}")
    lines += _lines(reverse.transposed)
    lines.append(f"by_this_interval = {sympy_to_str(reverse.slopes[ELAPSED.name])}")
    if not given:
        by_time = _of_target(arrival_slope(target, after, row, amount), amount)
        lines.append(f"by_this_event = {sympy_to_str(by_time)} + by_this_interval - by_elapsed")
        for slot in range(slots):
            mine = f"*int(abs(qif_slot - {slot}) < 0.5)" if slots > 1 else ""
            lines.append(f"by_arrivals_{slot}_pre += by_this_event{mine}")
    return "\n".join([*lines, *_before(system, reverse)])


def _post_code(plan: NetworkPlan, p: int, slots: int, tables: dict) -> str:
    """A spike of the neuron behind: its time matters to the state of the synapse, which adds nothing to the neuron."""
    system = plan.pathways[p].state.system
    reverse = reverse_synapse(system, post=True)
    lines = [*_found(tables), *_lines(reverse.program), *_lines(reverse.transposed)]
    lines.append(f"by_this_interval = {sympy_to_str(reverse.slopes[ELAPSED.name])}")
    for slot in range(slots):
        mine = f"*int(abs(slot_post - {slot}) < 0.5)" if slots > 1 else ""
        lines.append(f"by_arrivals_{slot}_post += (by_this_interval - by_elapsed){mine}")
    return "\n".join([*lines, *_before(system, reverse)])


def _found(tables: dict) -> list[str]:
    """What the event found; read in the middle of the step, where no rounding leads to another row."""
    lines = ["qif_number = qif_number - 1"]
    return lines + [f"{name} = {table.name}((qif_number + 0.5)*dt, qif_own)" for name, table in tables.items()]


def _before(system, reverse: ReverseSynapse) -> list[str]:
    """Slopes by parameters, and the adjoint before the event."""
    lines = ["by_elapsed = by_this_interval"]
    lines += [
        f"slope_{name} = slope_{name} + {sympy_to_str(reverse.slopes[name])}"
        for name in system.parameters
        if reverse.slopes[name] != 0
    ]
    lines += [f"before_{name} = {sympy_to_str(reverse.slopes[name])}" for name in system.states]
    return [*lines, *(f"adjoint_{name} = before_{name}" for name in system.states)]


def _lines(statements) -> list[str]:
    return [f"{name} = {sympy_to_str(expression)}" for name, expression in statements]


def _of_target(expression, *own):
    """The expression with the neuron behind the synapse in place of a neuron."""
    names = {symbol: as_symbol(f"{symbol}_post") for symbol in expression.free_symbols if symbol not in own}
    return expression.subs(names, simultaneous=True)


def replaying_generator(plan: NetworkPlan, p: int, layout: Layout, clock) -> SpikeGeneratorGroup:
    """Sends the given spikes of a source once more."""
    size = plan.nodes[plan.pathways[p].source].size * layout.copies(plan.pathways[p].source)
    return SpikeGeneratorGroup(size, [], [] * second, clock=clock, name=f"qif_replay_{p}*")
