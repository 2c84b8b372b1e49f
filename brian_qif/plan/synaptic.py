"""Read `Synapses` whose variables spikes change: short-term plasticity and the like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from brian2 import Equations, Synapses
from brian2.core.namespace import DEFAULT_CONSTANTS, DEFAULT_UNITS
from brian2.core.variables import Constant
from brian2.equations.equations import PARAMETER, SingleEquation
from brian2.stateupdaters.base import UnsupportedEquationsException
from brian2.stateupdaters.exact import linear
from brian2.utils.stringtools import get_identifiers

from brian_qif.equations.synaptic import SynapticSystem, read_synaptic_system
from brian_qif.equations.text import UnsupportedModelError, subexpressions
from brian_qif.plan.clocked import check_reserved
from brian_qif.plan.network_plan import Pathway
from brian_qif.plan.values import read_numbers

# Brian2's variable for when a synapse was last looked at.
LAST = "lastupdate"


@dataclass(frozen=True)
class SynapticState:
    """What a pathway has whose synapses change by themselves and by spikes.

    ``equations``, ``on_pre`` and ``on_post`` (None without) make synapses that Brian2 treats in the same way;
    ``numbers`` has the parameters and the initial state by name, one entry or one per synapse, in SI units; ``stepped``
    tells whether Brian2 takes the (exact) solution at every step, and not at spikes alone.
    """

    system: SynapticSystem
    equations: Equations
    on_pre: str
    on_post: str | None
    numbers: Mapping[str, np.ndarray]
    stepped: bool


@dataclass(frozen=True)
class SynapticReading:
    """Synapses with a state as they were read; the initial state is among the ``numbers``. See `PathwayReading`."""

    owner: str
    system: SynapticSystem
    numbers: Mapping[str, np.ndarray]
    equations: Equations
    on_pre: str
    on_post: str | None
    stepped: bool

    def with_numbers(self, numbers: Mapping[str, np.ndarray]) -> SynapticReading:
        """The same synapses with other parameters and initial states."""
        return replace(self, numbers={**self.numbers, **{name: np.atleast_1d(x) for name, x in numbers.items()}})

    def given_to(self, pathway: Pathway, target) -> Pathway:
        """A pathway with these numbers."""
        for name, values in self.numbers.items():
            bad = np.flatnonzero(~np.isfinite(values))
            if len(bad):
                raise ValueError(f"'{self.owner}': {name}[{bad[0]}] is {values[bad[0]]}; it must be finite.")
        state = SynapticState(self.system, self.equations, self.on_pre, self.on_post, dict(self.numbers), self.stepped)
        return replace(pathway, state=state)


def has_state(synapses: Synapses) -> bool:
    """Whether spikes change anything but the neurons behind."""
    if any(part.prepost == "post" for part in synapses._pathways):
        return True
    own = {*synapses.equations.parameter_names, *synapses.equations.diff_eq_names}
    codes = [part.code for part in synapses._pathways if part.prepost == "pre"]
    changed = {name for code in codes for name in own if _assigns(code, name)}
    several = any(len([x for x in code.replace(";", "\n").splitlines() if x.strip()]) > 1 for code in codes)
    return synapses.event_driven is not None or bool(synapses.equations.diff_eq_names) or bool(changed) or several


def _assigns(code: str, name: str) -> bool:
    left = [part.split("=")[0] for part in code.replace(";", "\n").splitlines() if "=" in part]
    return name in {x.strip(" +-*/") for x in left}


def read_synaptic(synapses: Synapses, targets, namespace: Mapping | None, start: float) -> SynapticReading:
    """Synapses with a state, with present parameters and values.

    Raises
    ------
    UnsupportedModelError
        For statements and equations that have no transposed, by name.
    NotImplementedError
        For more pathways than one on_pre and one on_post, and for an on_post that is delayed or comes first.
    """
    before, behind = _pathways(synapses)
    try:
        return _read(synapses, before.code, None if behind is None else behind.code, targets, namespace, start)
    except UnsupportedModelError as error:
        raise UnsupportedModelError(f"'{synapses.name}': {error}") from error


def _pathways(synapses: Synapses):
    """The on_pre of synapses, and their on_post or None."""
    parts = {kind: [part for part in synapses._pathways if part.prepost == kind] for kind in ("pre", "post")}
    if len(parts["pre"]) != 1 or len(parts["post"]) > 1:
        names = ", ".join(f"'{part.objname}'" for part in synapses._pathways)
        raise NotImplementedError(
            f"'{synapses.name}' has the pathways {names}, which share the state of its synapses; ClockSolver takes one "
            "on_pre and at most one on_post. Pathways with the same delay can be written as one, with all their "
            "statements; one that only adds a weight to the neurons can be a Synapses of its own."
        )
    (before,), behind = parts["pre"], next(iter(parts["post"]), None)
    if behind is not None:
        if np.any(np.asarray(behind.variables["delay"].get_value()) != 0):
            raise NotImplementedError(
                f"'{synapses.name}': on_post has a delay; set synapses.{behind.objname}.delay to zero."
            )
        if before.order >= behind.order:
            raise NotImplementedError(
                f"'{synapses.name}': on_post comes before on_pre in a step; leave their order as Brian2 sets it."
            )
    return before, behind


def _read(synapses: Synapses, on_pre: str, on_post: str | None, targets, namespace, start: float) -> SynapticReading:
    equations, stepped = _flow_equations(synapses)
    flowing = sorted(equations.diff_eq_names)
    all_equations = Equations([*{x.varname: x for x in [*synapses.equations.values(), *equations.values()]}.values()])
    own = sorted(all_equations.parameter_names)
    names = {
        *all_equations.names,
        *all_equations.identifiers,
        *get_identifiers(on_pre),
        *get_identifiers(on_post or ""),
    }
    check_reserved(names)
    resolved = _resolved(synapses, names, targets, namespace)
    flow = ""
    if flowing:
        try:
            flow = linear(equations, {**synapses.variables, **resolved})
        except UnsupportedEquationsException as error:
            raise UnsupportedModelError(f"The synapses' equations are not linear: {error}") from error
    inside = subexpressions(all_equations)
    system = read_synaptic_system(flow, on_pre, on_post, flowing, own, targets, inside)
    units, constants = {}, {}
    for name, variable in resolved.items():
        if isinstance(variable, Constant) and name not in synapses.variables:
            if name in DEFAULT_UNITS and variable.get_value() == float(DEFAULT_UNITS[name]):
                units[name] = float(variable.get_value())
            elif name not in DEFAULT_CONSTANTS or name in system.parameters:
                constants[name] = variable
    system = system.with_values(units)
    numbers = read_numbers(synapses, {*system.parameters, *system.states, *constants, *own}, namespace)
    if flowing and not stepped:
        numbers[LAST] = np.array(synapses.variables[LAST].get_value(), dtype=float) - start
    declared = [SingleEquation(PARAMETER, name, x.dim, flags=["constant"]) for name, x in sorted(constants.items())]
    plain = [_not_shared(equation) for equation in all_equations.values()]
    return SynapticReading(synapses.name, system, numbers, Equations([*plain, *declared]), on_pre, on_post, stepped)


def _flow_equations(synapses: Synapses) -> tuple[Equations, bool]:
    """The equations that time moves the synapses by, and whether Brian2 does so at every step."""
    at_steps = synapses.equations.diff_eq_names
    if not at_steps:
        return synapses.event_driven or Equations(""), False
    if synapses.event_driven is not None:
        raise UnsupportedModelError("Some equations are (event-driven) and some are not; make all of them so.")
    choice = synapses.state_updater.method_choice
    if "exact" not in ([choice] if isinstance(choice, str) else list(choice)):
        raise UnsupportedModelError(
            f"The equations ({', '.join(sorted(at_steps))}) are stepped by '{choice}'; mark them (event-driven), or "
            "take method='exact'."
        )
    return synapses.equations, True


def _resolved(synapses: Synapses, names, targets, namespace):
    wanted = {name for name in names if name.removesuffix("_post") not in targets or name in synapses.equations.names}
    local = {name for name in wanted if name not in synapses.variables}
    found = {}
    for name in sorted(wanted):
        try:
            found[name] = synapses.resolve_all([name], run_namespace=namespace or {})[name]
        except KeyError:
            if name not in local:
                raise
    return found


def _not_shared(equation: SingleEquation) -> SingleEquation:
    """What all synapses share as something that each has: devices compile single numbers in."""
    flags = [flag for flag in equation.flags if flag != "shared"]
    return SingleEquation(
        equation.type, equation.varname, equation.dim, var_type=equation.var_type, expr=equation.expr, flags=flags
    )
