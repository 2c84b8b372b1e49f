"""Closed-form flows of the normal forms, as symbols, and their adjoints by differentiation.

From these the code generators print the arithmetic of one neuron; docs/mathematics.md derives them. Scalars that all
neurons of a group share in one step are symbols here and are computed by the generated code:

    "lif", "leaky":  decay_m = exp(-dt/tau_m), decay_s = exp(-dt/tau_s), response (voltage per unit of current)
    "qif":           decay = exp(-dt/tau_m), r = 1 - decay; C and S are Stumpff functions of z = I*r**2
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy


class StumpffC(sympy.Function):
    """C(z) = cos(sqrt z), with dC/dz = -S(z)/2."""

    nargs = 1

    def fdiff(self, argindex=1):
        return -StumpffS(self.args[0]) / 2


class StumpffS(sympy.Function):
    """S(z) = sin(sqrt z)/sqrt z, with dS/dz = D(z)."""

    nargs = 1

    def fdiff(self, argindex=1):
        return StumpffD(self.args[0])


class StumpffD(sympy.Function):
    """D(z) = dS/dz."""

    nargs = 1


@dataclass(frozen=True)
class ClosedForm:
    """The state of one neuron after a step, as expressions of the state before it and of shared scalars."""

    state: tuple[sympy.Symbol, ...]
    flow: tuple[sympy.Expr, ...]

    @property
    def adjoint_symbols(self) -> tuple[sympy.Symbol, ...]:
        """Adjoint variables after the step, one per state variable: ``adjoint_v`` for ``v``."""
        return tuple(sympy.Symbol(f"adjoint_{symbol.name}") for symbol in self.state)

    @property
    def adjoint(self) -> tuple[sympy.Expr, ...]:
        """Adjoint variables before the step: the transposed Jacobian of the flow applied to those after it."""
        return tuple(
            sum(after * sympy.diff(flow, symbol) for after, flow in zip(self.adjoint_symbols, self.flow, strict=True))
            for symbol in self.state
        )


def _linear() -> ClosedForm:
    v, current = sympy.symbols("v I")
    decay_m, decay_s, response = sympy.symbols("decay_m decay_s response")
    return ClosedForm((v, current), (decay_m * v + response * current, decay_s * current))


def _quadratic() -> ClosedForm:
    p, q, current, decay, r = sympy.symbols("p q I decay r")
    z = current * r**2
    cosine, ratio = StumpffC(z), StumpffS(z)
    return ClosedForm(
        (p, q, current),
        (decay * (cosine * p + current * r * ratio * q), cosine * q - r * ratio * p, decay**2 * current),
    )


CLOSED_FORMS = {"lif": _linear(), "leaky": _linear(), "qif": _quadratic()}
