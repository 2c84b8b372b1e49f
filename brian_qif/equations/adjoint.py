"""The derivatives of a hybrid system that its adjoint needs (docs/mathematics.md, "The adjoint")."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import sympy

from brian_qif.equations.hybrid import HybridSystem
from brian_qif.equations.text import as_symbol

Matrix = tuple[tuple[sympy.Expr, ...], ...]


@dataclass(frozen=True)
class Jacobians:
    """f_x, f_theta, g_x, g_theta, h_x, h_theta: one row per component, one column per state or parameter.

    Those of the event have one row; none where the neuron does not spike.
    """

    rates_by_state: Matrix
    rates_by_parameter: Matrix
    event_by_state: Matrix
    event_by_parameter: Matrix
    jump_by_state: Matrix
    jump_by_parameter: Matrix


@lru_cache(maxsize=256)
def jacobians(system: HybridSystem) -> Jacobians:
    """All first derivatives of a hybrid system."""
    event = () if system.event is None else (system.event,)
    return Jacobians(
        _matrix(system.rates, system.states),
        _matrix(system.rates, system.parameters),
        _matrix(event, system.states),
        _matrix(event, system.parameters),
        _matrix(system.jump, system.states),
        _matrix(system.jump, system.parameters),
    )


def _matrix(expressions: Iterable[sympy.Expr], names: Iterable[str]) -> Matrix:
    return tuple(tuple(sympy.diff(part, as_symbol(name)) for name in names) for part in expressions)
