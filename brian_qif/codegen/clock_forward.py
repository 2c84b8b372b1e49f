"""A plan as Brian2 objects that simulate many samples side by side, and what they recorded.

Every group holds one copy of its neurons per sample; copies share parameters and weights. Neuron n of sample b is
neuron b*N + n of its group.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from brian2 import (
    Clock,
    Equations,
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    second,
)
from brian2.equations.equations import PARAMETER, SingleEquation

from brian_qif.plan.clocked import ClockedNode
from brian_qif.plan.network_plan import NetworkPlan, SourceNode
from brian_qif.solvers.clock_tasks import Layout, delay_steps, post_copies, pre_copies, step_length


@dataclass
class ClockObjects:
    """Brian2 objects that are run together.

    ``arrays`` maps a label to the variable, a pair of an object and a name, whose values may change from run to run;
    ``spikes`` to a generator of spikes; ``tables`` to a `TimedArray`; ``queues`` to a pathway of synapses, whose queue
    holds what is on its way. ``namespace`` is that of the run.
    """

    network: Network
    duration: float
    arrays: dict[str, tuple[object, str]] = field(default_factory=dict)
    spikes: dict[str, SpikeGeneratorGroup] = field(default_factory=dict)
    tables: dict[str, object] = field(default_factory=dict)
    monitors: dict[str, object] = field(default_factory=dict)
    queues: dict[str, object] = field(default_factory=dict)
    namespace: dict = field(default_factory=dict)


def forward_objects(plan: NetworkPlan, layout: Layout, clock: Clock) -> ClockObjects:
    """The network of a plan; states are kept at the beginning of every step."""
    made, groups = ClockObjects(Network(), layout.steps * step_length(plan)), []
    for k, node in enumerate(plan.nodes):
        if isinstance(node, SourceNode):
            group = SpikeGeneratorGroup(
                node.size * layout.copies(k), [], [] * second, clock=clock, name=f"qif_source_{k}*"
            )
            made.spikes[f"node {k}"] = group
        else:
            group = _neurons(node, k, layout, clock, made)
            if node.spikes:
                monitor = SpikeMonitor(group, name=f"qif_spikes_{k}*")
                made.monitors[f"spikes {k}"] = monitor
                made.network.add(monitor)
            monitor = StateMonitor(group, list(node.system.states), record=True, clock=clock, name=f"qif_states_{k}*")
            made.monitors[f"states {k}"] = monitor
            made.network.add(monitor)
        groups.append(group)
        made.network.add(group)
    for k, pathway in enumerate(plan.pathways):
        _synapses(plan, k, pathway, groups, layout, clock, made)
    return made


def _neurons(node: ClockedNode, k: int, layout: Layout, clock, made: ClockObjects) -> NeuronGroup:
    return neuron_group(node, k, layout, clock, made, with_own_parameters(node.model.equations), node.model.method)


def neuron_group(node: ClockedNode, k, layout: Layout, clock, made: ClockObjects, equations, method) -> NeuronGroup:
    """The neurons of a node, one copy per sample."""
    model = node.model
    group = NeuronGroup(
        node.size * layout.samples,
        equations,
        threshold=model.threshold,
        reset=model.reset if model.threshold is not None else None,
        refractory=False if model.refractory is None else _with_unit(model.refractory),
        method=method,
        clock=clock,
        namespace={},
        name=f"qif_neurons_{k}*",
    )
    own = [name for name in ("lastspike", "not_refractory") if name in group.variables and model.refractory is not None]
    for name in (*node.system.states, *node.numbers, *own):
        made.arrays[f"node {k} {name}"] = (group, name)
    return group


def with_own_parameters(equations: Equations) -> Equations:
    """The same equations with shared parameters as those of each neuron: devices compile single numbers in."""
    if any("shared" in equation.flags and equation.type != PARAMETER for equation in equations.values()):
        return equations  # what all share may not depend on what each has
    return Equations(
        [
            SingleEquation(
                equation.type,
                equation.varname,
                equation.dim,
                var_type=equation.var_type,
                expr=equation.expr,
                flags=[flag for flag in equation.flags if flag != "shared"],
            )
            for equation in equations.values()
        ]
    )


def _with_unit(refractory):
    return refractory if isinstance(refractory, str) else float(refractory) * second


def _synapses(plan, k, pathway, groups, layout, clock, made: ClockObjects) -> None:
    target = plan.nodes[pathway.target]
    variable = target.system.states[pathway.port + 1]
    weight = SingleEquation(PARAMETER, "synaptic_weight", groups[pathway.target].variables[variable].dim)
    state = pathway.state
    synapses = Synapses(
        groups[pathway.source],
        groups[pathway.target],
        Equations([weight]) if state is None else state.equations,
        on_pre=f"{variable}_post += synaptic_weight" if state is None else state.on_pre,
        on_post=None if state is None else state.on_post,
        method="exact",
        namespace={},
        clock=clock,
        name=f"qif_synapses_{k}*",
    )
    synapses.connect(i=pre_copies(plan, k, layout), j=post_copies(plan, k, layout))
    steps = delay_steps(plan, k)
    synapses.delay = np.tile(steps * step_length(plan), layout.copies(pathway.source)) * second
    for name in () if state is None else state.numbers:
        made.arrays[f"pathway {k} {name}"] = (synapses, name)
    if state is None:
        made.arrays[f"pathway {k} weight"] = (synapses, "synaptic_weight")
    made.queues[f"pathway {k}"] = synapses.pre
    made.network.add(synapses)
