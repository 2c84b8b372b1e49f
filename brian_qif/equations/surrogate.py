"""Surrogate gradients: the step of a spike's threshold function replaced by a smooth one on the way back.

At every step a neuron counts as if it spiked by the amount s = H(g), whose derivative is replaced by one of `SHAPES`.
What a spike does to its own neuron, the reset, is not differentiated by s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import sympy

from brian_qif.equations.clocked import FREE, ClockedSystem
from brian_qif.equations.text import as_symbol
from brian_qif.equations.transposed import ReverseProgram, arrival_share, flow_taken_back, renamed, reset_taken_back

_ARRIVALS, _COUNT = as_symbol("by_arrivals"), as_symbol("by_count")
_SPIKED = as_symbol("spiked")


def _sigmoid(x: sympy.Expr) -> sympy.Expr:
    # In a form that does not overflow far from the threshold.
    decay = sympy.exp(-sympy.Abs(x))
    return decay / (1 + decay) ** 2


def _superspike(x: sympy.Expr) -> sympy.Expr:
    return 1 / (1 + sympy.Abs(x)) ** 2


def _triangular(x: sympy.Expr) -> sympy.Expr:
    return sympy.Function("clip")(1 - sympy.Abs(x), 0, 1)


# Functions of slope*g; the derivative of H is the slope times this for the sigmoid, whose integral is then 1, and this
# itself for the others, whose value at threshold is then 1, as they were published.
SHAPES: dict[str, Callable[[sympy.Expr], sympy.Expr]] = {
    "sigmoid": _sigmoid,
    "superspike": _superspike,
    "triangular": _triangular,
}


@dataclass(frozen=True)
class Surrogate:
    """The shape of a surrogate derivative and its slope, per unit of the threshold function."""

    shape: str
    slope: float

    def derivative(self, g: sympy.Expr) -> sympy.Expr:
        """In place of the derivative of the step function H(g)."""
        scaled = sympy.Float(self.slope) * g
        return SHAPES[self.shape](scaled) * (self.slope if self.shape == "sigmoid" else 1)


def surrogate_program(system: ClockedSystem, parameters: Iterable[str], surrogate: Surrogate) -> ReverseProgram:
    """The reverse pass of a neuron with a surrogate derivative at its threshold.

    ``by_count`` is the loss's own slope by s in that step.
    """
    parameters = tuple(parameters)
    step, after = renamed(system.step, system.states)
    at_end = {as_symbol(name): as_symbol(after[name]) for name in system.states}
    arrive = [part for part in reset_taken_back(system, parameters, at_end) if part[0] != "by_own_time"]
    leave, at_event = [], {name: as_symbol(f"adjoint_{name}") for name in system.states}
    slopes = {name: sympy.Integer(0) for name in parameters}
    if system.event is not None:
        event = system.event.subs(at_end, simultaneous=True)
        free = FREE if any(system.held) else 1
        leave.append(("by_event", (_ARRIVALS + _COUNT) * surrogate.derivative(event) * free))
        for name, end in zip(system.states, at_end.values(), strict=True):
            at_event[name] += as_symbol("by_event") * sympy.diff(event, end)
        for name in parameters:
            slopes[name] += as_symbol("by_event") * sympy.diff(event, as_symbol(name))
    leave += flow_taken_back(system, parameters, step, after, at_event, slopes)
    return ReverseProgram(system.states, parameters, step, after, tuple(arrive), tuple(leave))


def surrogate_share(system: ClockedSystem, row: int, weight: sympy.Symbol) -> sympy.Expr:
    """What an arrival that adds ``weight`` to a state gives to the derivative by the amount s of the spike."""
    return weight * as_symbol(f"adjoint_{system.states[row]}") * arrival_share(system, row)
