"""Any smooth neuron as a hybrid system: a flow, an event, and a jump.

Between events ``dx/dt = f(x, theta)``; the neuron spikes where ``g(x, theta)`` rises through zero; the spike takes x to
``h(x, theta)``. States x and parameters theta are those of the user's equations, in SI units.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import sympy
from brian2 import Equations
from sympy.core.relational import Relational
from sympy.logic.boolalg import BooleanAtom, BooleanFunction

from brian_qif.equations.text import (
    UnsupportedModelError,
    as_expression,
    as_symbol,
    right_hand_sides,
    subexpressions,
)

# With a kink or a jump in the right-hand side there is neither a solution of high order nor a derivative everywhere.
SMOOTH = "exp expm1 log log1p log10 sqrt sin cos tan sinh cosh tanh asin acos atan".split()
_CLOCK = {"t", "dt", "t_in_timesteps", "lastspike", "not_refractory"}
_ASSIGNMENT = re.compile(r"\s*(\w+)\s*([-+*/]?)=\s*([^=].*?)\s*")


@dataclass(frozen=True)
class HybridSystem:
    """The flow, the event and the jump of a neuron.

    ``rates`` and ``jump`` have one expression per state variable of ``states``, whose first is the one that the
    threshold names first. ``event`` is negative before a spike and zero at it; None where the neuron does not spike.
    """

    states: tuple[str, ...]
    rates: tuple[sympy.Expr, ...]
    event: sympy.Expr | None
    jump: tuple[sympy.Expr, ...]

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters and constants on which the system depends."""
        parts = [*self.rates, *self.jump, *([] if self.event is None else [self.event])]
        return tuple(sorted({symbol.name for part in parts for symbol in part.free_symbols} - set(self.states)))


def read_hybrid_system(
    equations: Equations,
    threshold: str | None = None,
    reset: str | None = None,
    spike_at_infinity: bool = False,
    refractory: str | float | None = None,
) -> HybridSystem:
    """Read model equations as a hybrid system.

    Parameters
    ----------
    equations : `brian2.Equations`
        Differential equations with smooth right-hand sides. Subexpressions are substituted.
    threshold, reset : str, optional
        The group's threshold condition, one comparison, and its reset: statements on the state variables.
    spike_at_infinity : bool
        Whether the neuron spikes when its voltage reaches infinity.
    refractory : str or float, optional
        The refractory period.

    Returns
    -------
    `HybridSystem`

    Raises
    ------
    UnsupportedModelError
        For noise, time, functions that are not smooth, refractory periods and spikes at infinity.
    """
    rates = right_hand_sides(equations)
    if spike_at_infinity:
        raise UnsupportedModelError(
            "The neuron spikes at infinity, which no numerical integration reaches; leave it to the closed form, or "
            "give the group a finite threshold."
        )
    if refractory is not None and threshold is not None:
        raise UnsupportedModelError(
            f"The neuron has a refractory period ({refractory}), which is solved for neurons with a closed form alone."
        )
    inside = subexpressions(equations)
    states = ordered_states(tuple(rates), threshold)
    event = None if threshold is None else event_of(threshold).subs(inside)
    system = HybridSystem(
        states,
        tuple(rates[name] for name in states),
        event,
        tuple(as_symbol(name) for name in states) if event is None else jump_of(reset or "", states, inside),
    )
    for name, rate in zip(states, system.rates, strict=True):
        check_smooth(f"d{name}/dt = {rate}", rate)
    if event is not None:
        check_smooth(f"The threshold '{threshold}'", event)
        for landing in system.jump:
            check_smooth(f"The reset '{reset}'", landing)
        if not {symbol.name for symbol in event.free_symbols} & set(states):
            raise UnsupportedModelError(f"The threshold '{threshold}' looks at no state variable.")
    return system


def ordered_states(names: tuple[str, ...], threshold: str | None) -> tuple[str, ...]:
    """First the variable that the threshold names first, or v without one, then the others as they were written."""
    read = re.findall(r"[A-Za-z_]\w*", threshold or "v")
    first = next((name for name in read if name in names), names[0])
    return (first, *(name for name in names if name != first))


def event_of(threshold: str) -> sympy.Expr:
    """What is negative before a spike and zero at it."""
    condition = as_expression(threshold)
    if isinstance(condition, (sympy.StrictGreaterThan, sympy.GreaterThan)):
        return condition.lhs - condition.rhs
    if isinstance(condition, (sympy.StrictLessThan, sympy.LessThan)):
        return condition.rhs - condition.lhs
    raise UnsupportedModelError(f"The threshold '{threshold}' is not one comparison, such as 'v > v_th'.")


def jump_of(reset: str, states: tuple[str, ...], inside) -> tuple[sympy.Expr, ...]:
    """The state after the statements of a reset, each of which sees what those before it did."""
    landing = {as_symbol(name): as_symbol(name) for name in states}
    for statement in _statements(reset):
        match = _ASSIGNMENT.fullmatch(statement)
        value = as_expression(match[3]) if match else None
        if value is None or match[1] not in states:
            raise UnsupportedModelError(
                f"The statement '{statement}' of the reset is not of the form 'x = value', 'x += value', 'x -= value', "
                f"'x *= value' or 'x /= value' with a state variable x ({', '.join(states)}); a parameter that spikes "
                "change needs an equation, such as 'dx/dt = 0/second : 1'."
            )
        # Both steps at once, so that what is put in is not looked at again.
        value = value.subs(inside).subs(landing, simultaneous=True)
        old = landing[as_symbol(match[1])]
        changed = {"": value, "+": old + value, "-": old - value, "*": old * value, "/": old / value}
        landing[as_symbol(match[1])] = changed[match[2]]
    return tuple(landing[as_symbol(name)] for name in states)


def _statements(code: str) -> Iterable[str]:
    for line in code.splitlines():
        for statement in line.partition("#")[0].split(";"):
            if statement.strip():
                yield statement.strip()


def check_smooth(what: str, expression: sympy.Expr, functions: Iterable[str] = SMOOTH, clock=_CLOCK) -> None:
    """Refuse what depends on the clock, by the names ``clock``, or contains other functions than the smooth ones."""
    clock = {symbol.name for symbol in expression.free_symbols} & clock
    if clock:
        instead = "; a state that runs with the time can take its place: dnow/dt = 1 : second" if "t" in clock else ""
        raise UnsupportedModelError(f"{what} depends on {', '.join(sorted(clock))}{instead}.")
    for part in sympy.preorder_traversal(expression):
        kinked = isinstance(part, (BooleanAtom, BooleanFunction, Relational, sympy.Mod))
        if kinked or (isinstance(part, sympy.Function) and part.func.__name__ not in functions):
            # Brian2's functions without an argument, such as rand(), are given one to be parsed.
            text = f"{what} contains {part}".replace("_placeholder_arg", "")
            raise UnsupportedModelError(
                f"{text}, which is not known to be smooth; the functions that are: {', '.join(functions)}."
            )
