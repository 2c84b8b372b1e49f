"""The reverse pass of a clock-driven simulation as Brian2 objects (docs/mathematics.md, "On a clock").

Reverse step m belongs to step k = K - 1 - m of the trial. First the state updater of every group takes back the
threshold and the flow of step k + 1, loads what the trial left of step k, and takes back the reset; then synapses take
back the arrivals of step k. One more step at the end takes back the flow of step 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from brian2 import Clock, Network, NeuronGroup, StateMonitor, Synapses, TimedArray, second
from brian2.parsing.sympytools import sympy_to_str

from brian_qif.codegen.clock_forward import ClockObjects, post_copies, pre_copies
from brian_qif.codegen.clock_synapses import after_post, replaying_generator, stateful_synapses
from brian_qif.equations.surrogate import surrogate_program, surrogate_share
from brian_qif.equations.text import as_symbol
from brian_qif.equations.transposed import ReverseProgram, arrival_share, arrival_slope, reverse_program
from brian_qif.plan.clocked import ClockedNode
from brian_qif.plan.network_plan import NetworkPlan, SourceNode
from brian_qif.solvers.clock_tasks import Layout, Task, delay_steps, step_length

_WEIGHT = as_symbol("synaptic_weight")


def program_of(plan: NetworkPlan, k: int, task: Task) -> ReverseProgram:
    """The reverse pass of a node."""
    system = plan.nodes[k].system
    parameters = system.parameters if k in task.models else ()
    if task.surrogate is not None:
        return surrogate_program(system, parameters, task.surrogate)
    return reverse_program(system, parameters)


def listening(plan: NetworkPlan, k: int) -> list[int]:
    """The pathways through which spikes of a node act."""
    return [p for p, pathway in enumerate(plan.pathways) if pathway.source == k]


def watching(plan: NetworkPlan, k: int) -> list[int]:
    """The pathways onto a node whose synapses its own spikes change."""
    return [p for p, pathway in enumerate(plan.pathways) if pathway.target == k and pathway.acts_on_post]


def loaded(plan: NetworkPlan, k: int, task: Task) -> list[str]:
    """What the trial left of every step of a node: its states, and what happened."""
    system = plan.nodes[k].system
    names = list(system.states)
    if system.event is not None:
        names += ["spiked", "by_spike_time" if task.surrogate is None else "by_count"]
        names += ["slot"] if task.slots[k] > 1 else []
    names += ["is_free"] if any(system.held) else []
    return names


def reverse_objects(plan: NetworkPlan, layout: Layout, task: Task, clock: Clock) -> ClockObjects:
    """The reverse network of a plan."""
    made = ClockObjects(Network(), (layout.steps + task.extra + 1) * step_length(plan))
    groups = {}
    for k, node in enumerate(plan.nodes):
        if isinstance(node, ClockedNode):
            groups[k] = _adjoint_group(plan, k, layout, task, clock, made)
            made.network.add(groups[k])
    for p, pathway in enumerate(plan.pathways):
        if isinstance(plan.nodes[pathway.source], SourceNode):
            if p in task.weights:
                _replayed_synapses(plan, p, groups, layout, task, clock, made)
        else:
            for slot in range(task.slots_of(pathway)):
                _transposed_synapses(plan, p, slot, groups, layout, task, clock, made)
    return made


def _adjoint_group(plan, k, layout: Layout, task: Task, clock, made: ClockObjects) -> NeuronGroup:
    node, program = plan.nodes[k], program_of(plan, k, task)
    names, shape = loaded(plan, k, task), (layout.steps + task.extra + 1, node.size * layout.samples)
    for name in (*names, *(f"seed_{state}" for state in task.seeded[k])):
        made.tables[f"{name} {k}"] = _table(f"{name}_{k}", shape, clock)
    code = step_code(node, k, program, task, names, lambda name: f"{_over_time(f'{name}_{k}')}(t, i)")
    adjoints, plain = variables(node, k, program, task, names)
    events = {}
    for p in listening(plan, k):
        for slot in range(task.slots_of(plan.pathways[p])):
            if task.surrogate is not None:
                events[f"arrival_{p}_{slot}"] = "spiked > -1"  # every neuron in every step
                continue
            table = made.tables[f"arrives {p} {slot}"] = _table(f"arrives_{p}_{slot}", shape, clock)
            events[f"arrival_{p}_{slot}"] = f"{table.name}(t, i) > 0.5"
    for p in watching(plan, k):
        events[after_post(p)] = "spiked > 0.5"
    # The state updater's code is what matters; the equations only declare the variables that it changes.
    equations = [f"d{name}/dt = 0/second : 1" for name in adjoints] + [f"{name} : 1" for name in plain]
    group = NeuronGroup(
        node.size * layout.samples,
        "\n".join(equations),
        method=lambda *_, **__: code,
        events=events,
        clock=clock,
        namespace={table.name: table for table in made.tables.values()},
        name=f"qif_adjoint_{k}*",
    )
    for name in (*adjoints, *plain):
        made.arrays[f"node {k} {name}"] = (group, name)
    if task.kept:
        monitor = StateMonitor(
            group,
            [*adjoints, *program.after.values(), *(["is_free", "spiked"] if any(node.system.held) else [])],
            record=True,
            clock=clock,
            when="end",
            name=f"qif_kept_{k}*",
        )
        made.monitors[f"adjoint {k}"] = monitor
        made.network.add(monitor)
    return group


def variables(node: ClockedNode, k: int, program: ReverseProgram, task: Task, names: list[str]):
    """The variables of an adjoint group: those with equations, and those that are only kept."""
    plain = [*names, *node.numbers, *(name for name, _ in program.step)]
    plain += [f"slope_{name}" for name in program.parameters]
    if node.system.event is not None:
        plain += [f"{word}_{name}" for word in ("event", "safe") for name in node.system.states]
        plain += ["by_own_time", *(f"by_arrivals_{slot}" for slot in range(task.slots[k]))]
        plain += ["holds"] if any(node.system.held) else []
    return [f"adjoint_{name}" for name in node.system.states], plain


def _table(name: str, shape: tuple[int, int], clock) -> TimedArray:
    return TimedArray(np.zeros(shape), dt=clock.dt, name=_over_time(name))


def _over_time(name: str) -> str:
    return f"{name}_over_time"


def step_code(
    node: ClockedNode, k: int, program: ReverseProgram, task: Task, names: list[str], left: Callable[[str], str]
) -> str:
    """The code of one reverse step of a group; ``left`` has the text for what the trial left of a name."""
    lines, spikes = [], node.system.event is not None
    if any(node.system.held):
        lines.append(f"before_is_free = {left('is_free')}")
    if spikes:
        slots = range(task.slots[k])
        gathered = (
            ["by_arrivals_0"]
            if len(slots) == 1
            else [f"by_arrivals_{slot}*int(abs(slot - {slot}) < 0.5)" for slot in slots]
        )
        lines.append("by_arrivals = " + " + ".join(gathered))
    lines += _lines(program.leave)
    for slot in range(task.slots[k]) if spikes else ():
        used = "spiked" if task.slots[k] == 1 else f"spiked*int(abs(slot - {slot}) < 0.5)"
        used = "1" if task.surrogate is not None else used
        lines.append(f"by_arrivals_{slot} = by_arrivals_{slot}*(1 - {used})")
    lines += [f"adjoint_{state} = adjoint_{state} + {left(f'seed_{state}')}" for state in task.seeded[k]]
    lines += [f"{name} = {left(name)}" for name in names]
    return "\n".join([*lines, *_lines(program.step), *_lines(program.arrive)])


def _lines(statements) -> list[str]:
    return [f"{name} = {sympy_to_str(expression)}" for name, expression in statements]


def _replayed_synapses(plan, p, groups, layout: Layout, task: Task, clock, made: ClockObjects) -> None:
    """Synapses from given spikes: when these arrive again, the adjoint there is the slope by the weight."""
    pathway = plan.pathways[p]
    source = replaying_generator(plan, p, layout, clock)
    target = plan.nodes[pathway.target]
    if pathway.state is not None:
        synapses = stateful_synapses(plan, p, source, groups, layout, task, clock, made)
    else:
        synapses = Synapses(
            source,
            groups[pathway.target],
            "synaptic_slope : 1",
            on_pre=f"synaptic_slope += {by_weight(target, pathway)}",
            clock=clock,
            namespace={},
            name=f"qif_transposed_{p}*",
        )
        made.arrays[f"pathway {p} slope"] = (synapses, "synaptic_slope")
    _connect(synapses, plan, p, layout)
    made.spikes[f"pathway {p}"] = source
    made.queues[f"pathway {p}"] = synapses.pre
    made.network.add(source, synapses)


def _transposed_synapses(plan, p, slot, groups, layout: Layout, task: Task, clock, made: ClockObjects) -> None:
    """Synapses from neurons: arrivals also give their share of the slope by the time of the spike."""
    pathway = plan.pathways[p]
    if pathway.state is not None:
        synapses = stateful_synapses(plan, p, groups[pathway.source], groups, layout, task, clock, made)
        _connect(synapses, plan, p, layout)
        made.queues[f"pathway {p} {slot}"] = synapses.pre
        made.network.add(synapses)
        return
    target = plan.nodes[pathway.target]
    program = program_of(plan, pathway.target, task)
    if task.surrogate is None:
        share, arrived = arrival_slope(target.system, program.after, pathway.port + 1, _WEIGHT), ""
    else:
        share, arrived = surrogate_share(target.system, pathway.port + 1, _WEIGHT), "*spiked_pre"
    code = f"by_arrivals_{slot}_pre += {_of_target(share)}\n"
    code += f"synaptic_slope += {by_weight(target, pathway)}{arrived}" if p in task.weights else ""
    synapses = Synapses(
        groups[pathway.source],
        groups[pathway.target],
        "synaptic_weight : 1\nsynaptic_slope : 1",
        on_pre={"pre": code},
        on_event={"pre": f"arrival_{p}_{slot}"},
        clock=clock,
        namespace={},
        name=f"qif_transposed_{p}_{slot}*",
    )
    _connect(synapses, plan, p, layout)
    made.arrays[f"pathway {p} weight {slot}"] = (synapses, "synaptic_weight")
    made.queues[f"pathway {p} {slot}"] = synapses.pre
    if p in task.weights:
        made.arrays[f"pathway {p} slope {slot}"] = (synapses, "synaptic_slope")
    made.network.add(synapses)


def by_weight(target: ClockedNode, pathway) -> str:
    """The slope by the weight of an arrival."""
    row = pathway.port + 1
    return _of_target(arrival_share(target.system, row) * as_symbol(f"adjoint_{target.system.states[row]}"))


def _of_target(expression) -> str:
    names = {symbol: as_symbol(f"{symbol}_post") for symbol in expression.free_symbols if symbol != _WEIGHT}
    return sympy_to_str(expression.subs(names, simultaneous=True))


def _connect(synapses: Synapses, plan, p, layout: Layout) -> None:
    """Arrivals are replayed at the time of the latest; the others of the same spike, in reverse, come after it."""
    synapses.connect(i=pre_copies(plan, p, layout), j=post_copies(plan, p, layout))
    steps = delay_steps(plan, p)
    late = (np.max(steps) - steps) * step_length(plan)
    synapses.delay = np.tile(late, layout.copies(plan.pathways[p].source)) * second
