"""The networks of a clock-driven gradient in the shapes that GeNN knows.

GeNN lets synapses act at the beginning of the next step, knows no event but the spike, and lets synapses write to
nothing but one variable of their target. So here the forward network keeps the states after synapses acted; what the
trial left is loaded by the host before every step; spikes of neurons are replayed by generators, for the slopes by
weights; and what arrivals give back to the spike's time is gathered by synapses in the other direction, in every step,
and taken at the steps of arrivals.
"""

from __future__ import annotations

import re

import numpy as np
from brian2 import (
    Equations,
    Function,
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    StateUpdateMethod,
    Synapses,
    TimedArray,
    second,
)
from brian2.equations.equations import PARAMETER, SingleEquation
from brian2.parsing.sympytools import sympy_to_str

from brian_qif.codegen.clock_forward import ClockObjects, neuron_group, post_copies, pre_copies, with_own_parameters
from brian_qif.codegen.clock_reverse import by_weight, listening, loaded, program_of, step_code, variables
from brian_qif.equations.surrogate import Surrogate, surrogate_share
from brian_qif.equations.text import as_symbol
from brian_qif.equations.transposed import ReverseProgram, arrival_slope, renamed
from brian_qif.plan.clocked import ClockedNode
from brian_qif.plan.network_plan import NetworkPlan, SourceNode
from brian_qif.solvers.clock_tasks import Layout, Task, delay_steps, step_length

SCHEDULE = ["start", "synapses", "groups", "thresholds", "resets", "end"]
_WEIGHT = as_symbol("synaptic_weight")

# GeNN's own has arguments in single precision.
_CLIP = Function(np.clip, arg_units=[None, None, None], return_unit=1)
_CLIP_CODE = """
{kind} double _qif_clip(const double value, const double low, const double high)
{{
    return value < low ? low : (value > high ? high : value);
}}
"""
_CLIP.implementations.add_implementation("cpp", _CLIP_CODE.format(kind="static inline"), name="_qif_clip")
_CLIP.implementations.add_implementation("genn", _CLIP_CODE.format(kind="SUPPORT_CODE_FUNC"), name="_qif_clip")


def forward_network(plan: NetworkPlan, layout: Layout, clock) -> ClockObjects:
    """The network of a plan; ``before_x`` is kept at every step, and in one step more, after the end."""
    made, groups = _empty(plan, layout.steps + 1), []
    for k, node in enumerate(plan.nodes):
        if isinstance(node, SourceNode):
            group = _generator(node.size * layout.copies(k), clock, f"qif_source_{k}*")
            made.spikes[f"node {k}"] = group
        else:
            group = _neurons(node, k, layout, clock, made)
        groups.append(group)
        made.network.add(group)
    for p, pathway in enumerate(plan.pathways):
        variable = plan.nodes[pathway.target].system.states[pathway.port + 1]
        dimension = groups[pathway.target].variables[variable].dim
        synapses = Synapses(
            groups[pathway.source],
            groups[pathway.target],
            Equations([SingleEquation(PARAMETER, "synaptic_weight", dimension)]),
            on_pre=f"{variable}_post += synaptic_weight",
            delay=delay_steps(plan, p)[0] * step_length(plan) * second,
            namespace={},
            clock=clock,
            name=f"qif_synapses_{p}*",
        )
        synapses.connect(i=pre_copies(plan, p, layout), j=post_copies(plan, p, layout))
        made.arrays[f"pathway {p} weight"] = (synapses, "synaptic_weight")
        made.network.add(synapses)
    return made


def _empty(plan: NetworkPlan, steps: int) -> ClockObjects:
    made = ClockObjects(Network(), steps * step_length(plan))
    made.network.schedule = SCHEDULE
    return made


def _generator(size: int, clock, name: str) -> SpikeGeneratorGroup:
    return SpikeGeneratorGroup(size, [], [] * second, clock=clock, name=name)


def _neurons(node: ClockedNode, k: int, layout: Layout, clock, made: ClockObjects) -> NeuronGroup:
    own, states = with_own_parameters(node.model.equations), node.system.states
    kept = [SingleEquation(PARAMETER, f"before_{name}", own[name].dim) for name in states]

    def keep_and_step(_, group_variables, method_options=None):
        code = StateUpdateMethod.apply_stateupdater(own, group_variables, node.model.method, method_options)
        # NumPy would take the bare name for the array that the step changes.
        return "\n".join([*(f"before_{name} = -(-{name})" for name in states), code])

    group = neuron_group(node, k, layout, clock, made, Equations([*own.values(), *kept]), keep_and_step)
    before = [f"before_{name}" for name in states]
    made.monitors[f"states {k}"] = StateMonitor(
        group, before, record=True, clock=clock, when="end", name=f"qif_states_{k}*"
    )
    if node.spikes:
        made.monitors[f"spikes {k}"] = SpikeMonitor(group, name=f"qif_spikes_{k}*")
        made.network.add(made.monitors[f"spikes {k}"])
    made.network.add(made.monitors[f"states {k}"])
    return group


def reverse_network(plan: NetworkPlan, layout: Layout, task: Task, clock) -> ClockObjects:
    """The reverse network of a plan."""
    made, groups = _empty(plan, layout.steps + 1), {}
    for k, node in enumerate(plan.nodes):
        if isinstance(node, ClockedNode):
            groups[k] = _adjoint_group(plan, k, layout, task, clock, made)
            made.network.add(groups[k])
    for p, pathway in enumerate(plan.pathways):
        if p in task.weights:
            _replayed(plan, p, groups, layout, clock, made)
        if isinstance(plan.nodes[pathway.source], ClockedNode):
            _gathering(plan, p, groups, layout, clock, made)
    return made


def _adjoint_group(plan, k, layout: Layout, task: Task, clock, made: ClockObjects) -> NeuronGroup:
    node, program, names = plan.nodes[k], program_of(plan, k, task), loaded(plan, k, task)
    tables = {name: f"{name} {k}" for name in (*names, *(f"seed_{state}" for state in task.seeded[k]))}
    slots = range(task.slots[k])
    if task.surrogate is None:
        tables |= {f"arrives_{p}_{slot}": f"arrives {p} {slot}" for p in listening(plan, k) for slot in slots}
    for name, label in tables.items():
        values = np.zeros((layout.steps + 1, node.size * layout.samples))
        made.tables[label] = TimedArray(values, dt=clock.dt, name=f"{name}_{k}_over_time")
    adjoints, plain = variables(node, k, program, task, names)
    plain += [f"qif_next_{name}" for name in tables]
    plain += [f"qif_arrived_{p}_{slot}" for p in listening(plan, k) for slot in slots]
    plain += [f"qif_gathered_{p}" for p in listening(plan, k)]
    plain += [f"qif_share_{p}" for p in _heard(plan, k)]
    equations = [f"d{name}/dt = 0/second : 1" for name in adjoints] + [f"{name} : 1" for name in plain]
    code = _code(plan, k, program, task, names)
    group = NeuronGroup(
        node.size * layout.samples,
        "\n".join(equations),
        method=lambda *_, **__: code,
        clock=clock,
        namespace={**{made.tables[label].name: made.tables[label] for label in tables.values()}, "qif_clip": _CLIP},
        name=f"qif_adjoint_{k}*",
    )
    group.run_regularly(
        "\n".join(f"qif_next_{name} = {made.tables[label].name}(t, i)" for name, label in tables.items()), clock=clock
    )
    for name in (*adjoints, *plain):
        made.arrays[f"node {k} {name}"] = (group, name)
    if task.kept:
        kept = [*adjoints, *program.after.values(), *(["is_free", "spiked"] if any(node.system.held) else [])]
        made.monitors[f"adjoint {k}"] = StateMonitor(
            group, kept, record=True, clock=clock, when="end", name=f"qif_kept_{k}*"
        )
        made.network.add(made.monitors[f"adjoint {k}"])
    return group


def _heard(plan: NetworkPlan, k: int) -> list[int]:
    """The pathways through which neurons act on a node."""
    return [
        p
        for p, pathway in enumerate(plan.pathways)
        if pathway.target == k and isinstance(plan.nodes[pathway.source], ClockedNode)
    ]


def _code(plan: NetworkPlan, k: int, program: ReverseProgram, task: Task, names: list[str]) -> str:
    """The code of one reverse step: what was gathered after the last one comes first."""
    node, lines = plan.nodes[k], []
    pairs = [(p, slot) for p in listening(plan, k) for slot in range(task.slots[k])]
    lines += [f"by_arrivals_{slot} = by_arrivals_{slot} + qif_gathered_{p}*qif_arrived_{p}_{slot}" for p, slot in pairs]
    lines.append(step_code(node, k, program, task, names, lambda name: f"qif_next_{name}"))
    for p in _heard(plan, k):
        share = share_by_weight(plan, p, task.surrogate)
        lines.append(f"qif_share_{p} = {sympy_to_str(share)}")
    # Where every neuron counts in every step, as surrogates have it, nothing is loaded.
    arrived = (lambda p, slot: f"qif_next_arrives_{p}_{slot}") if task.surrogate is None else (lambda p, slot: "1")
    lines += [f"qif_arrived_{p}_{slot} = {arrived(p, slot)}" for p, slot in pairs]
    return re.sub(r"\bclip\(", "qif_clip(", "\n".join(lines))


def share_by_weight(plan: NetworkPlan, p: int, surrogate: Surrogate | None):
    """What an arrival gives back to the time of its spike, per weight; None where that is not linear in the weight."""
    pathway = plan.pathways[p]
    target = plan.nodes[pathway.target]
    row = pathway.port + 1
    if surrogate is not None:
        share = surrogate_share(target.system, row, _WEIGHT)
    else:
        after = renamed(target.system.step, target.system.states)[1]
        share = arrival_slope(target.system, after, row, _WEIGHT)
    by_unit = share.expand().coeff(_WEIGHT, 1)
    return by_unit if (share - by_unit * _WEIGHT).expand() == 0 else None


def _replayed(plan, p, groups, layout: Layout, clock, made: ClockObjects) -> None:
    """When spikes arrive again, the adjoint there is the slope by the weight."""
    pathway = plan.pathways[p]
    source = _generator(plan.nodes[pathway.source].size * layout.copies(pathway.source), clock, f"qif_replay_{p}*")
    synapses = Synapses(
        source,
        groups[pathway.target],
        "synaptic_slope : 1",
        on_pre=f"synaptic_slope += {by_weight(plan.nodes[pathway.target], pathway)}",
        clock=clock,
        namespace={},
        name=f"qif_transposed_{p}*",
    )
    # GeNN hands back what belongs to synapses in the order of their presynaptic neurons.
    order = by_source(plan, p, layout)
    synapses.connect(i=pre_copies(plan, p, layout)[order], j=post_copies(plan, p, layout)[order])
    made.spikes[f"pathway {p}"] = source
    made.arrays[f"pathway {p} slope"] = (synapses, "synaptic_slope")
    made.network.add(source, synapses)


def by_source(plan: NetworkPlan, p: int, layout: Layout) -> np.ndarray:
    """The order of the copies of a pathway's synapses by their presynaptic neurons."""
    return np.argsort(pre_copies(plan, p, layout), kind="stable")


def _gathering(plan, p, groups, layout: Layout, clock, made: ClockObjects) -> None:
    """Synapses from the targets of a pathway to its sources, which sum up what arrivals would give back."""
    pathway = plan.pathways[p]
    synapses = Synapses(
        groups[pathway.target],
        groups[pathway.source],
        f"synaptic_weight : 1\nqif_gathered_{p}_post = synaptic_weight*qif_share_{p}_pre : 1 (summed)",
        clock=clock,
        # Before the neurons' step, as GeNN has it.
        order=-1,
        namespace={},
        name=f"qif_gathering_{p}*",
    )
    synapses.connect(i=post_copies(plan, p, layout), j=pre_copies(plan, p, layout))
    made.arrays[f"pathway {p} weight 0"] = (synapses, "synaptic_weight")
    made.network.add(synapses)
