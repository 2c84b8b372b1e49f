"""Runs the networks of a clock-driven gradient on GeNN, as programs that brian2genn builds once."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial

import numpy as np
import sympy
from brian2 import prefs, second
from brian2.devices.device import all_devices, get_device

from brian_qif.codegen.clock_forward import ClockObjects
from brian_qif.codegen.clock_genn_objects import (
    SCHEDULE,
    by_source,
    forward_network,
    reverse_network,
    share_by_weight,
)
from brian_qif.codegen.clock_standalone import Standalone, StandaloneProgram, brian2_device
from brian_qif.codegen.cuda_installation import graphics_cards, nvcc_path
from brian_qif.codegen.genn_installation import what_is_missing
from brian_qif.equations.text import as_symbol
from brian_qif.plan.clocked import ClockedNode
from brian_qif.plan.network_plan import NetworkPlan
from brian_qif.solvers.clock_tasks import Layout, Task, Values, delay_steps, register_device, step_length

_DEVICE = "brian_qif_genn"
_GPU = "brian_qif.genn_gpu"
# What brian2genn sets when it is activated, and leaves.
_PREFERENCES = {
    "codegen.generators.cpp.restrict_keyword": "__restrict",
    "codegen.loop_invariant_optimisations": False,
    "core.network.default_schedule": SCHEDULE,
}


class GennProgram(StandaloneProgram):
    """A network as a GeNN program in a folder of its own."""

    def _brian2_device(self):
        from brian2genn.device import GeNNDevice

        if _DEVICE not in all_devices:
            all_devices[_DEVICE] = GeNNDevice()
        # brian2genn builds when the network is run, and not otherwise.
        options = {"directory": str(self.directory), "run": False, "with_output": False}
        return brian2_device(_DEVICE, _PREFERENCES, build_on_run=True, use_GPU=prefs[_GPU], **options)

    def _make(self, build: Callable[[], ClockObjects], values: Values) -> None:
        log = logging.getLogger("brian2.devices.genn")
        log.addFilter(_is_news)
        try:
            with redirect_stdout(io.StringIO()):
                super()._make(build, values)
        finally:
            log.removeFilter(_is_news)

    def _build(self) -> None:
        """It was built when the network was run."""

    def _command(self) -> list[str]:
        return [*super()._command(), "test", repr(self.objects.duration)]


def _is_news(record: logging.LogRecord) -> bool:
    """Synapses that only sum up slopes of weights have no effect on their targets, as is intended."""
    return "no direct postsynaptic effect" not in record.getMessage()


class ForwardRun:
    """What a forward program left, as `Runtime` has it: states at the beginning of every step, and at the end."""

    def __init__(self, program, steps: int, dt: float):
        self.program, self.steps, self.dt = program, steps, dt

    def monitor(self, label: str, name: str) -> np.ndarray:
        if label.startswith("states"):
            return self._kept(label, name)[:-1]
        # Spikes of the step behind the end do not count.
        inside = np.round(self.program.monitor(label, "t") / self.dt) < self.steps
        return self.program.monitor(label, name)[inside]

    def array(self, label: str) -> np.ndarray:
        _, k, name = label.split(" ")
        return self._kept(f"states {k}", name)[-1]

    def _kept(self, label: str, name: str) -> np.ndarray:
        return self.program.monitor(label, f"before_{name}").reshape(self.steps + 1, -1)


class ReverseRun:
    """What a reverse program left, as `Runtime` has it."""

    def __init__(self, program, plan: NetworkPlan, layout: Layout):
        self.program, self.plan, self.layout = program, plan, layout
        self.monitor = program.monitor

    def array(self, label: str) -> np.ndarray:
        kind, p, *rest = label.split(" ")
        if kind == "node":
            return self.program.array(label)
        if rest[1:] not in ([], ["0"]):  # the first slot has the slopes of all
            return np.zeros(len(self._order(int(p))))
        slopes, order = self.program.array(f"pathway {p} slope"), self._order(int(p))
        sorted_back = np.empty(len(order))
        sorted_back[order] = slopes
        return sorted_back

    def _order(self, p: int) -> np.ndarray:
        return by_source(self.plan, p, self.layout)


class GennShaped:
    """Both passes by networks in the shapes that GeNN knows, on whatever runs them."""

    def forward(self, plan: NetworkPlan, layout: Layout, key: str, values: Values):
        if values.queues is not None:
            raise MemoryError(
                "The trial does not fit into the preference brian_qif.trajectory_memory, and on GeNN it cannot be cut "
                "into segments: raise the preference, or take ClockSolver(device='cpp_standalone')."
            )
        program = self._run(
            ("forward", key, layout), partial(self._built, forward_network, plan, layout), values, layout.steps + 1
        )
        return ForwardRun(program, layout.steps, step_length(plan))

    def reverse(self, plan: NetworkPlan, layout: Layout, task: Task, key: str, values: Values):
        program = self._run(
            ("reverse", key, layout, task),
            partial(self._built, reverse_network, plan, layout, task),
            self._replayed(plan, task, values),
            layout.steps + 1,
        )
        return ReverseRun(program, plan, layout)

    @staticmethod
    def _replayed(plan: NetworkPlan, task: Task, values: Values) -> Values:
        """With the spikes of neurons as generators have them, and weights of the first slot for those of all.

        Sums of slopes begin at zero by themselves: here no run goes on from another one.
        """
        arrays = {
            label: x
            for label, x in values.arrays.items()
            if not label.startswith("pathway") or (label.endswith(" 0") and " slope" not in label)
        }
        spikes = dict(values.spikes)
        for p in sorted(task.weights):
            k = plan.pathways[p].source
            if isinstance(plan.nodes[k], ClockedNode):
                labels = [f"arrives {p} {slot}" for slot in range(task.slots[k])]
                labels = labels if task.surrogate is None else [f"spiked {k}"]
                steps, units = np.nonzero(sum(values.tables[label] for label in labels))
                spikes[f"pathway {p}"] = (units, steps)
        return Values(arrays, spikes, values.tables)

    def refusal(self, plan: NetworkPlan) -> str | None:
        """What stands in the way of a plan, and what to do about it."""
        reasons = (_refused_neurons(node) for node in plan.nodes if isinstance(node, ClockedNode))
        reason = next(filter(None, reasons), None)
        reason = reason or next(filter(None, (_refused_synapses(plan, p) for p in range(len(plan.pathways)))), None)
        return None if reason is None else f"{reason} ClockSolver(device='cpp_standalone') takes it as it is."


# Functions that the solver knows and brian2genn does not.
_UNKNOWN = {"exprel", "expm1", "log1p"}


def _refused_neurons(node: ClockedNode) -> str | None:
    system = node.system
    parts = [*system.rates, *system.jump, system.event, system.refractory, *(part for _, part in system.step)]
    used = {found.func.__name__ for part in parts if part is not None for found in part.atoms(sympy.Function)}
    if used & _UNKNOWN:
        return f"'{node.name}' uses the function {min(used & _UNKNOWN)}, which GeNN does not have; write it out."
    return None


def _refused_synapses(plan: NetworkPlan, p: int) -> str | None:
    pathway, late = plan.pathways[p], delay_steps(plan, p)
    name, system = pathway.name, plan.nodes[pathway.target].system
    if pathway.state is not None:
        return f"the synapses '{name}' have a state, which the passes on GeNN do not carry yet."
    if np.any(late != late[:1]):
        return f"the delays of '{name}' differ, and on GeNN a Synapses has one delay; make a Synapses for each delay."
    if len(set(zip(pathway.pre, pathway.post, strict=True))) < len(pathway.pre):
        return f"'{name}' has several synapses for a pair of neurons, and on GeNN a Synapses has one; make several."
    state = system.states[pathway.port + 1]
    # GeNN resets before synapses act; that is the same where neither sees what the other does.
    resets = dict(zip(system.states, system.jump, strict=True))
    changed = resets.pop(state) != as_symbol(state)
    if changed or system.held[pathway.port + 1] or any(as_symbol(state) in x.free_symbols for x in resets.values()):
        return (
            f"'{name}' acts on {state}, which the reset or the refractory period uses, and on GeNN synapses act after "
            "the reset; let it act on a synaptic current."
        )
    if isinstance(plan.nodes[pathway.source], ClockedNode) and share_by_weight(plan, p, None) is None:
        return (
            f"'{name}' acts on {state}, in which the equations are not linear, as the reverse pass on GeNN needs; "
            "let it act on a synaptic current."
        )
    return None


class Genn(GennShaped, Standalone):
    """GeNN by brian2genn, on the processor or, where the preference says so, on a graphics card."""

    name = "genn"
    program = GennProgram
    built_for = _GPU

    def missing(self) -> str | None:
        missing = what_is_missing()
        if missing is not None or not prefs[_GPU] or (nvcc_path() is not None and graphics_cards()):
            return missing
        lacking = "no compiler nvcc" if nvcc_path() is None else "no graphics card (nvidia-smi)"
        return f"There is {lacking} for GeNN; with prefs['{_GPU}'] = False it runs on the processor."

    def clock(self, plan: NetworkPlan):
        # GeNN has one clock, that of this name.
        clock = get_device().defaultclock
        clock.dt = step_length(plan) * second
        return clock


register_device(Genn())
