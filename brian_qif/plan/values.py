"""Numbers behind the names in Brian2 code, in SI units, and expressions of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

import numpy as np
import sympy
from brian2.core.variables import Constant
from scipy.special import exprel

from brian_qif.equations.text import as_symbol


def read_numbers(group, names: Iterable[str], namespace: Mapping | None) -> dict[str, np.ndarray]:
    """The present values of parameters and constants: one entry, or one per neuron or synapse.

    Raises
    ------
    ValueError
        If a name is not known.
    NotImplementedError
        If a value depends on time.
    """
    return {name: _number(group, name, namespace) for name in sorted(names)}


def _number(group, name: str, namespace: Mapping | None) -> np.ndarray:
    try:
        resolved = group.resolve_all([name], run_namespace=namespace or {})[name]
    except KeyError as error:
        raise ValueError(
            f"'{group.name}': '{name}' in its equations is neither a variable of the group nor a name of the script "
            "around the call; define it, or hand it over as namespace={...}."
        ) from error
    if isinstance(resolved, Constant):
        return np.atleast_1d(float(resolved.get_value()))
    if not hasattr(resolved, "get_value"):
        raise NotImplementedError(
            f"'{group.name}': '{name}' is a {type(resolved).__name__}; the solver needs a constant."
        )
    return np.array(np.atleast_1d(resolved.get_value()), dtype=float)


def evaluate(expression: sympy.Expr, numbers: Mapping[str, np.ndarray]) -> np.ndarray:
    """An expression of parameters, elementwise; one entry where nothing differs between neurons."""
    names, function = _compiled(expression)
    return np.atleast_1d(np.asarray(function(*(numbers[name] for name in names)), dtype=float))


@lru_cache(maxsize=1024)
def _compiled(expression):
    symbols = sorted(expression.free_symbols, key=lambda symbol: symbol.name)
    return [symbol.name for symbol in symbols], sympy.lambdify(
        symbols, expression, modules=[{"exprel": exprel}, "numpy"]
    )


@lru_cache(maxsize=256)
def compiled_together(names: tuple[str, ...], expressions: tuple[sympy.Expr, ...]) -> Callable:
    """Expressions of the same names as one function, which computes what they share once; it returns a list."""
    return sympy.lambdify([as_symbol(name) for name in names], list(expressions), modules="numpy", cse=True)


@lru_cache(maxsize=1024)
def derivative(expression: sympy.Expr, name: str) -> sympy.Expr:
    """With respect to a parameter."""
    return sympy.diff(expression, as_symbol(name))


def state_values(group, name: str) -> np.ndarray:
    """The present values of a state variable, one per neuron."""
    return np.array(group.variables[name].get_value(), dtype=float)
