"""Numbers behind the names in a group's equations, in SI units."""

from __future__ import annotations

import numpy as np
import sympy
from brian2 import NeuronGroup
from brian2.core.variables import Constant

from brian_qif.equations.normal_form import NormalForm

_FIELDS = ("tau_m", "tau_s", "v_offset", "v_scale", "current_scale", "threshold", "reset")


def parameter_values(group: NeuronGroup, form: NormalForm, namespace: dict | None) -> dict[str, float]:
    """Evaluate every field of a normal form with the group's present parameters.

    Raises
    ------
    NotImplementedError
        If a parameter differs between neurons of the group or depends on time.
    """
    numbers = {name: _number(group, name, namespace) for name in sorted(form.symbols)}
    values = {}
    for field in _FIELDS:
        expression = getattr(form, field)
        if expression is None:
            continue
        symbols = sorted(expression.free_symbols, key=lambda symbol: symbol.name)
        function = sympy.lambdify(symbols, expression, modules="numpy")
        values[field] = float(function(*(numbers[symbol.name] for symbol in symbols)))
    return values


def _number(group: NeuronGroup, name: str, namespace: dict | None) -> float:
    try:
        resolved = group.resolve_all([name], run_namespace=namespace or {})[name]
    except KeyError as error:
        raise ValueError(
            f"'{group.name}': '{name}' in its equations is neither a variable of the group nor a name of the script "
            "around the call; define it, or hand it over as namespace={...}."
        ) from error
    if isinstance(resolved, Constant):
        return float(resolved.get_value())
    if not hasattr(resolved, "get_value"):
        raise NotImplementedError(
            f"'{group.name}': '{name}' is a {type(resolved).__name__}; the solver needs a constant."
        )
    values = np.unique(np.atleast_1d(resolved.get_value()))
    if len(values) != 1:
        raise NotImplementedError(
            f"'{group.name}': '{name}' differs between neurons (from {values[0]} to {values[-1]} in SI units); "
            "the event-driven solver takes one value per group: make one group for each value."
        )
    return float(values[0])


def state_values(group: NeuronGroup, name: str) -> np.ndarray:
    """The present values of a state variable, one per neuron."""
    return np.array(group.variables[name].get_value(), dtype=float)
