"""Brian2's text read as sympy expressions: what every reader of equations shares."""

from __future__ import annotations

import sympy
from brian2 import Equations
from brian2.parsing.sympytools import str_to_sympy


class UnsupportedModelError(NotImplementedError):
    """The event-driven solver cannot solve these equations; the message names what stands in the way."""


def as_symbol(name: str) -> sympy.Symbol:
    """The symbol of a variable."""
    # Brian2 parses variable names as real symbols, and sympy tells symbols with other assumptions apart.
    return sympy.Symbol(name, real=True)


def parsed(text: str) -> sympy.Expr:
    """An expression in Brian2's language, whose functions have derivatives."""
    # Brian2 parses sqrt as a function that it knows nothing about, so it would have no derivative.
    return str_to_sympy(text).replace(sympy.Function("sqrt"), sympy.sqrt)


def as_expression(text: str) -> sympy.Expr | None:
    """An expression in Brian2's language, or None where the text is more than one expression."""
    try:
        return parsed(text)
    except SyntaxError:
        return None


def right_hand_sides(equations: Equations) -> dict[str, sympy.Expr]:
    """The differential equations, subexpressions put in.

    Raises
    ------
    UnsupportedModelError
        For noise, and where there is no differential equation.
    """
    if equations.is_stochastic:
        raise UnsupportedModelError(
            "The equations contain noise (xi); the solvers are deterministic. Spikes of a SpikeGeneratorGroup that are "
            "drawn before can take its place."
        )
    rates = {
        name: parsed(str(expression))
        for name, expression in equations.get_substituted_expressions()
        if name in equations.diff_eq_names
    }
    if not rates:
        raise UnsupportedModelError("The equations have no differential equation, so there is nothing to solve.")
    return rates


def subexpressions(equations: Equations) -> dict[sympy.Symbol, sympy.Expr]:
    """What subexpressions stand for."""
    return {
        as_symbol(name): parsed(str(expression))
        for name, expression in equations.get_substituted_expressions(include_subexpressions=True)
        if name not in equations.diff_eq_names
    }
