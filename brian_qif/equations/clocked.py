"""A `NeuronGroup` as Brian2 steps it: the map of one time step, its event and its jump, as expressions.

The step is the abstract code of the group's own state updater, statement by statement, so its derivative is that of the
map that Brian2 computes, whatever the method.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import sympy
from brian2 import Equations
from brian2.core.functions import exprel as _brian2_exprel

from brian_qif.equations.hybrid import SMOOTH, HybridSystem, check_smooth, event_of, jump_of, ordered_states
from brian_qif.equations.text import UnsupportedModelError, as_expression, as_symbol, right_hand_sides, subexpressions

# Brian2's int(not_refractory): 1, or 0 while a neuron is held.
FREE = as_symbol("is_free")
DT = sympy.Symbol("dt", real=True, positive=True)  # as Brian2 parses it
# Unlike the solvers' own arithmetic, Brian2's has exprel, and its derivative.
_FUNCTIONS = (*SMOOTH, "exprel")
_CLOCK = {"t", "t_in_timesteps", "lastspike", "not_refractory"}
_STATEMENT = re.compile(r"\s*(\w+)\s*=\s*(.+?)\s*")


class exprel(sympy.Function):  # noqa: N801  (it is printed by this name, which is Brian2's)
    """(exp(x) - 1)/x with a derivative that is good at zero, too."""

    def fdiff(self, argindex=1):
        x = self.args[0]
        # 1 near zero, where ((x - 1) exp(x) + 1)/x**2 cancels and a series does not; x is moved where it is not used.
        near = sympy.Function("clip")((0.01 - sympy.Abs(x)) * 1e300, 0, 1)
        series = sum(x**n / (sympy.factorial(n) * (n + 2)) for n in range(7))
        far = x + 2 * near
        return near * series + (1 - near) * ((far - 1) * sympy.exp(far) + 1) / far**2


Statements = tuple[tuple[str, sympy.Expr], ...]


@dataclass(frozen=True)
class ClockedSystem(HybridSystem):
    """A hybrid system that Brian2 integrates on a clock.

    ``step`` are the statements that take the states to those one step later; ``held`` tells which states stay during
    the ``refractory`` period, an expression of the parameters, or None. Everything may depend on `DT`. That a time is
    rounded to the clock, dt*ceil(x/dt), is left out, as it vanishes with dt; ``refractory_on_clock`` has it.
    """

    step: Statements = ()
    held: tuple[bool, ...] = ()
    refractory: sympy.Expr | None = None
    refractory_on_clock: sympy.Expr | None = None

    @property
    def parameters(self) -> tuple[str, ...]:
        parts = [*self.rates, *self.jump, *(expression for _, expression in self.step)]
        parts += [part for part in (self.event, self.refractory) if part is not None]
        known = {*self.states, *(name for name, _ in self.step), FREE.name, DT.name}
        return tuple(sorted({symbol.name for part in parts for symbol in part.free_symbols} - known))

    def with_values(self, values: dict[str, float]) -> ClockedSystem:
        """The same system with numbers in place of some names."""
        numbers = {as_symbol(name): sympy.Float(value) for name, value in values.items()}
        return self._with_each(lambda part: part.subs(numbers))

    def _with_each(self, change: Callable[[sympy.Expr], sympy.Expr]) -> ClockedSystem:
        """The same system with every expression changed."""

        def put(part):
            return None if part is None else change(part)

        return replace(
            self,
            rates=tuple(map(put, self.rates)),
            event=put(self.event),
            jump=tuple(map(put, self.jump)),
            step=tuple((name, put(part)) for name, part in self.step),
            refractory=put(self.refractory),
            refractory_on_clock=put(self.refractory_on_clock),
        )


def read_clocked_system(
    equations: Equations,
    step_code: str,
    threshold: str | None,
    reset: str | None,
    refractory: str | float | None,
) -> ClockedSystem:
    """Read a group's equations and the abstract code of its state updater.

    Parameters
    ----------
    equations : `brian2.Equations`
    step_code : str
        What the state updater does in one step.
    threshold, reset : str, optional
    refractory : str or float, optional
        An expression for a time, seconds, or a condition, which matters only to variables ``(unless refractory)``.

    Returns
    -------
    `ClockedSystem`

    Raises
    ------
    UnsupportedModelError
        For noise, explicit time, functions that are not smooth, and what else has no derivative, by name.
    """
    rates = right_hand_sides(equations)
    inside = subexpressions(equations)
    states = ordered_states(tuple(rates), threshold)
    event = None if threshold is None else _on_no_grid(event_of(threshold).subs(inside))
    flagged = [name for name in states if "unless refractory" in equations[name].flags]
    period = _period(refractory, flagged, inside) if event is not None else None
    identity = tuple(as_symbol(name) for name in states)
    jump = identity if event is None else tuple(map(_on_no_grid, jump_of(reset or "", states, inside)))
    system = ClockedSystem(
        states,
        tuple(rates[name] for name in states),
        event,
        jump,
        step_statements(step_code),
        tuple(period is not None and name in flagged for name in states),
        None if period is None else _on_no_grid(period),
        period,
    )._with_each(lambda part: part.replace(_brian2_exprel, exprel))
    for name, rate in zip(states, system.rates, strict=True):
        check_smooth(f"d{name}/dt = {rate}", rate, _FUNCTIONS, _CLOCK)
    for name, expression in system.step:
        check_smooth(f"The step of '{name}'", expression, _FUNCTIONS, _CLOCK)
    for what, parts in (("threshold", [event]), ("reset", jump), ("refractory period", [system.refractory])):
        for part in parts:
            if part is not None:
                check_smooth(f"The {what}", part, _FUNCTIONS, _CLOCK)
    if event is not None and not {symbol.name for symbol in event.free_symbols} & set(states):
        raise UnsupportedModelError(f"The threshold '{threshold}' looks at no state variable.")
    return system


def step_statements(code: str) -> Statements:
    """The statements of a state updater; those that decide who is refractory are Brian2's own business."""
    found = []
    for line in code.replace("int(not_refractory)", FREE.name).splitlines():
        if not line.strip() or line.strip().startswith("not_refractory"):
            continue
        match = _STATEMENT.fullmatch(line)
        value = as_expression(match[2]) if match else None
        if value is None:
            raise UnsupportedModelError(f"The state updater's statement '{line.strip()}' is not understood.")
        # exponential_euler divides two rates of a variable that both vanish while it is held: their ratio stays.
        if value.subs(FREE, 0).has(sympy.nan, sympy.zoo):
            value = value.subs(FREE, 1)
        found.append((match[1], value))
    return tuple(found)


def _period(refractory, flagged: Iterable[str], inside) -> sympy.Expr | None:
    """The refractory period; None where nothing is held."""
    if refractory is None or refractory is False or not flagged:
        return None
    expression = as_expression(str(float(refractory)) if not isinstance(refractory, str) else refractory)
    if expression is None or not isinstance(expression, sympy.Expr) or expression.is_Relational:
        raise UnsupportedModelError(
            f"The refractory period '{refractory}' is a condition; variables that it holds ({', '.join(flagged)}) have "
            "no derivative by the time at which it ends. Give it a length."
        )
    return expression.subs(inside)


def _on_no_grid(expression: sympy.Expr) -> sympy.Expr:
    """Without the rounding of times to the clock: dt*ceil(x/dt) is x in the limit of small dt."""
    return expression.replace(
        lambda part: isinstance(part, (sympy.ceiling, sympy.floor)) and DT in part.free_symbols,
        lambda part: part.args[0],
    )
