"""Read a `NeuronGroup` as Brian2 would step it on its clock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from brian2 import Equations, NeuronGroup, StateUpdateMethod
from brian2.core.namespace import DEFAULT_CONSTANTS, DEFAULT_UNITS
from brian2.core.variables import ArrayVariable, Constant, Variable
from brian2.equations.equations import PARAMETER, SUBEXPRESSION, SingleEquation
from brian2.stateupdaters.base import UnsupportedEquationsException
from brian2.utils.stringtools import get_identifiers

from brian_qif.equations.clocked import ClockedSystem, read_clocked_system
from brian_qif.equations.normal_form import recognise
from brian_qif.equations.text import UnsupportedModelError, as_symbol
from brian_qif.plan.hybrid import HybridReading
from brian_qif.plan.network_plan import HybridNode
from brian_qif.plan.values import evaluate, read_numbers, state_values

# Names of the reverse pass's own variables; see equations/transposed.py.
_RESERVED = re.compile(
    r"(adjoint|new_adjoint|before|event|safe|end|slope|step|of|by|seed|qif)_\w+|spiked|slot|is_free|holds|"
    r"synaptic_(weight|slope)|\w+_over_time"
)
# Names in equations that Brian2 gives every group.
_BRIAN2 = {"t", "dt", "t_in_timesteps", "lastspike", "not_refractory", "xi"}


@dataclass(frozen=True)
class GroupModel:
    """What a group is made of: enough to make another one that Brian2 steps in the same way.

    ``equations`` declare every constant of the script that the group uses as a parameter.
    """

    equations: Equations
    threshold: str | None
    reset: str | None
    refractory: str | float | None
    method: str
    dt: float


@dataclass(frozen=True)
class ClockedNode(HybridNode):
    """Neurons that Brian2 steps on a clock: a `HybridNode` whose system is a `ClockedSystem`, and its ``model``.

    ``cut_off`` is the smallest threshold that stands in for infinity, in units of the distance between the resting and
    the unstable voltage; None where thresholds are meant as they are.
    """

    model: GroupModel = field(kw_only=True)
    cut_off: float | None = field(default=None, kw_only=True)

    @property
    def held_steps(self) -> np.ndarray:
        """From which step after a spike on each neuron is free again, as Brian2 rounds it."""
        if self.system.refractory is None:
            return np.zeros(self.size, dtype=int)
        period = np.broadcast_to(evaluate(self.system.refractory_on_clock, self.values()), self.size)
        return np.floor(period / self.model.dt + 1e-3).astype(int)

    def values(self) -> dict[str, np.ndarray]:
        """The numbers behind all names but the states."""
        return {**self.numbers, "dt": np.array([self.model.dt])}


@dataclass(frozen=True)
class ClockedReading(HybridReading):
    """A group as it was read, see `HybridReading`, with its ``model``, and how far away infinity is."""

    model: GroupModel
    cut_off: float | None = None

    def node(self) -> ClockedNode:
        """The plan's entry.

        Raises
        ------
        ValueError
            If an initial state is not finite or a neuron starts at its threshold.
        """
        values = {**self.numbers, "dt": np.array([self.model.dt])}
        for name, row in zip(self.state_names, self.states, strict=True):
            values[name] = row
            self._check_finite(f"the initial {name}", row)
        if self.system.event is not None:
            above = np.flatnonzero(~(np.broadcast_to(evaluate(self.system.event, values), self.size) < 0))
            if len(above):
                raise ValueError(f"'{self.name}': neuron {above[0]} starts at or above its threshold; start it below.")
        return ClockedNode(
            self.name,
            self.size,
            self.system,
            np.array(self.states),
            self.numbers,
            model=self.model,
            cut_off=self.cut_off,
        )


def read_clocked(group: NeuronGroup, namespace: Mapping | None, dt: float | None = None) -> ClockedReading:
    """A group with its present parameters and state, on its clock or with another step ``dt`` (seconds).

    Raises
    ------
    UnsupportedModelError
        For equations whose step has no derivative, by the term that stands in the way.
    NotImplementedError
        For a neuron that is refractory, and for variables that belong to another group.
    """
    free = group.variables.get("not_refractory")
    if free is not None and not np.all(free.get_value()):
        raise NotImplementedError(
            f"A neuron of '{group.name}' is refractory; what it waits for cannot be read back. Run a little further, "
            "or start from restore()."
        )
    threshold, reset = group.events.get("spike"), group.event_codes.get("spike")
    refractory = group._refractory if threshold is not None and group._refractory is not False else None
    names = _names_in_text(group.user_equations, threshold, reset, refractory)
    try:
        _check_names(group.user_equations, names)
        method, code = _state_updater(group, namespace)
        system = read_clocked_system(group.user_equations, code, threshold, reset, refractory)
        system, constants, others = _resolve(group, system, names, namespace)
    except UnsupportedModelError as error:
        raise UnsupportedModelError(f"'{group.name}': {error}") from error
    dt = float(group.clock.dt) if dt is None else dt
    model = GroupModel(_with_parameters(group.user_equations, constants), threshold, reset, refractory, method, dt)
    states = tuple(state_values(group, name) for name in system.states)
    numbers = read_numbers(group, {*system.parameters, *others}, namespace)
    cut_off = _cut_off(group, system, namespace) if getattr(group, "spike_at_infinity", False) else None
    return ClockedReading(group.name, len(group), system, numbers, states, model, cut_off)


def _cut_off(group: NeuronGroup, system: ClockedSystem, namespace: Mapping | None) -> float:
    form = recognise(group.user_equations, group.events["spike"], None, spike_at_infinity=True)
    height = as_symbol(form.voltage) - system.event
    scaled = (height - form.v_offset) / form.v_scale
    names = sorted(symbol.name for symbol in scaled.free_symbols)
    return float(np.min(evaluate(scaled, read_numbers(group, names, namespace))))


def _names_in_text(equations: Equations, threshold, reset, refractory) -> set[str]:
    """All names that the statements of a group use, also those on which no slope depends."""
    texts = [text for text in (threshold, reset, refractory) if isinstance(text, str)]
    return set(equations.names).union(equations.identifiers, *map(get_identifiers, texts))


def check_reserved(names: set[str]) -> None:
    """Refuse names that the reverse pass has for something else.

    Raises
    ------
    UnsupportedModelError
        By the name.
    """
    taken = sorted(name for name in names if _RESERVED.fullmatch(name))
    if taken:
        raise UnsupportedModelError(
            f"The reverse pass has a variable '{taken[0]}' of its own; give yours another name."
        )


def _check_names(equations: Equations, names: set[str]) -> None:
    check_reserved(names)
    if "N" in names:
        raise UnsupportedModelError(
            "The equations use the number of neurons, N, which is another one where samples are simulated side by "
            "side; put a constant in its place."
        )
    for equation in equations.values():
        if equation.type == SUBEXPRESSION and "constant over dt" in equation.flags:
            raise UnsupportedModelError(
                f"'{equation.varname}' is constant over dt, so the step is not that of the equations; leave that flag "
                "away."
            )


def _state_updater(group: NeuronGroup, namespace: Mapping | None) -> tuple[str, str]:
    """The name of the method that Brian2 takes for a group, and the abstract code of its step."""
    choice = group.method_choice
    names = [choice] if isinstance(choice, str) else list(choice)
    if not all(isinstance(name, str) for name in names):
        raise UnsupportedModelError("The state updater is the script's own; name one of Brian2's.")
    variables = dict(group.variables)
    used = {name for equation in group.equations.values() if equation.expr for name in equation.identifiers}
    variables.update(group.resolve_all(sorted(used), run_namespace=namespace or {}))
    refusals = []
    for name in names:
        if name.startswith("gsl"):
            raise UnsupportedModelError(f"The method '{name}' takes steps of its own within a step of the clock.")
        try:
            code = StateUpdateMethod.apply_stateupdater(
                group.equations, variables, name, group.state_updater.method_options, group.name
            )
            return name, code
        except UnsupportedEquationsException as error:
            refusals.append(f"{name}: {error}")
    raise UnsupportedModelError(f"No state updater takes the equations ({'; '.join(refusals)}).")


def _resolve(
    group: NeuronGroup, system: ClockedSystem, names: set[str], namespace: Mapping | None
) -> tuple[ClockedSystem, dict[str, Variable], set[str]]:
    """The system with the numbers of units put in, the constants of the script, and what else has to be declared.

    Another group that is to spike alike needs the value of every name, also of one that no derivative has: a refractory
    period that holds no variable, or a parameter that cancels out.
    """
    try:
        resolved = group.resolve_all(
            sorted({*names, *system.parameters} - {*system.states, *_BRIAN2}), run_namespace=namespace or {}
        )
    except KeyError as error:
        raise ValueError(
            f"'{group.name}': a name in its equations is neither a variable of the group nor a name of the script "
            "around the call; define it, or hand it over as namespace={...}."
        ) from error
    units, constants, others = {}, {}, set()
    for name, variable in resolved.items():
        owner = getattr(variable, "owner", None)
        if owner is not None and owner.name != group.name:
            raise UnsupportedModelError(f"'{name}' is linked to a variable of '{owner.name}'; give the group its own.")
        if isinstance(variable, Constant) and name not in group.variables:
            given = name in (group.namespace or {}) or name in (namespace or {})
            if name in DEFAULT_UNITS and (not given or variable.get_value() == float(DEFAULT_UNITS[name])):
                units[name] = float(variable.get_value())
            elif name not in DEFAULT_CONSTANTS or name in system.parameters:
                constants[name] = variable
                others.add(name)
        elif isinstance(variable, ArrayVariable) and name in group.equations.parameter_names:
            others.add(name)
    return system.with_values(units), constants, others


def _with_parameters(equations: Equations, constants: Mapping[str, Variable]) -> Equations:
    declared = [
        SingleEquation(PARAMETER, name, variable.dim, flags=["shared", "constant"])
        for name, variable in sorted(constants.items())
    ]
    return Equations([*equations.values(), *declared])
