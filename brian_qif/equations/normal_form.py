"""Recognise Brian2 equations as leaky or quadratic integrate-and-fire neurons with exponential synapses.

The affine change of variables ``v = v_offset + v_scale * u``, ``I = current_scale * j`` brings every neuron
that is recognised into one of three normal forms (docs/mathematics.md):

    "lif", "leaky":  du/dt = (-u + j)/tau_m          dj/dt = -j/tau_s
    "qif":           du/dt = (u*(u - 1) + j)/tau_m   dj/dt = -j/tau_s
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import sympy
from brian2 import Equations
from brian2.parsing.sympytools import str_to_sympy


class UnsupportedModelError(NotImplementedError):
    """The event-driven solver has no closed form for these equations; the message names the term."""


@dataclass(frozen=True)
class NormalForm:
    """A neuron in normal form; all fields but the first three are expressions of the model's own parameters.

    ``kind`` is "lif", "qif" or "leaky"; ``voltage`` and ``current`` are the names of the two state variables.
    ``threshold`` and ``reset`` are in the user's voltage and None where there is no threshold or it is at
    infinity.
    """

    kind: str
    voltage: str
    current: str
    tau_m: sympy.Expr
    tau_s: sympy.Expr
    v_offset: sympy.Expr
    v_scale: sympy.Expr
    current_scale: sympy.Expr
    threshold: sympy.Expr | None = None
    reset: sympy.Expr | None = None

    @property
    def symbols(self) -> set[str]:
        """Names of the parameters and constants on which the normal form depends."""
        parts = (
            self.tau_m,
            self.tau_s,
            self.v_offset,
            self.v_scale,
            self.current_scale,
            self.threshold,
            self.reset,
        )
        return {symbol.name for part in parts if part is not None for symbol in part.free_symbols}


def recognise(
    equations: Equations,
    threshold: str | None = None,
    reset: str | None = None,
    spike_at_infinity: bool = False,
) -> NormalForm:
    """Read model equations as one of the normal forms.

    Parameters
    ----------
    equations : `brian2.Equations`
        Two differential equations: a voltage, linear or quadratic in itself, and an exponentially decaying
        synaptic current that enters the voltage equation linearly. Subexpressions are substituted.
    threshold, reset : str, optional
        The group's threshold condition and reset statement.
    spike_at_infinity : bool
        The neuron spikes when its voltage reaches infinity and starts again from minus infinity; threshold
        and reset are then a stand-in for clock-driven simulation and are not used.

    Returns
    -------
    `NormalForm`

    Raises
    ------
    UnsupportedModelError
        Where the equations are of another form; the message names the term that stands in the way.
    """
    rates = _right_hand_sides(equations)
    current = _find_current(rates)
    voltage = next(name for name in rates if name != current)
    v, current_symbol = _symbol(voltage), _symbol(current)
    tau_s = -current_symbol / rates[current]
    quadratic, linear, constant, drive = _coefficients(rates[voltage], voltage, current)
    if quadratic == 0:
        # -1/tau_m multiplies v; the resting voltage is where the right-hand side vanishes for I = 0.
        tau_m = -1 / linear
        kind = "leaky" if threshold is None else "lif"
        form = dict(v_offset=-constant / linear, v_scale=sympy.Integer(1), current_scale=1 / (drive * tau_m))
    else:
        # Factored, the discriminant of the physical form is a perfect square: no cancellation is left in numbers.
        root = sympy.sqrt(sympy.factor(linear**2 - 4 * quadratic * constant))
        tau_m, v_scale = 1 / root, root / quadratic
        kind = "qif"
        form = dict(
            v_offset=(-linear - root) / (2 * quadratic),
            v_scale=v_scale,
            current_scale=v_scale / (drive * tau_m),
        )
    if kind == "qif" and not spike_at_infinity:
        raise UnsupportedModelError(
            f"The equation of '{voltage}' is quadratic and its threshold '{threshold}' is finite; the event-driven "
            "solver knows the quadratic neuron with its spike at infinity: use brian_qif.models.QIFGroup."
        )
    if kind == "lif":
        form["threshold"] = _threshold_value(threshold, v, current_symbol)
        form["reset"] = _reset_value(reset, v, current_symbol)
    return NormalForm(kind=kind, voltage=voltage, current=current, tau_m=tau_m, tau_s=tau_s, **form)


def _symbol(name: str) -> sympy.Symbol:
    # Brian2 parses variable names as real symbols, and sympy tells symbols with other assumptions apart.
    return sympy.Symbol(name, real=True)


def _right_hand_sides(equations: Equations) -> dict[str, sympy.Expr]:
    if equations.is_stochastic:
        raise UnsupportedModelError("The equations contain noise (xi); the event-driven solver is deterministic.")
    rates = {
        name: str_to_sympy(str(expression))
        for name, expression in equations.get_substituted_expressions()
        if name in equations.diff_eq_names
    }
    if len(rates) != 2:
        raise UnsupportedModelError(
            "The event-driven solver takes neurons with two differential equations, a voltage and an exponentially "
            f"decaying synaptic current; these equations have {len(rates)}: {', '.join(sorted(rates)) or 'none'}."
        )
    return rates


def _find_current(rates: dict[str, sympy.Expr]) -> str:
    names = set(rates)
    for name, rate in rates.items():
        symbol = _symbol(name)
        others = {_symbol(other) for other in names - {name}}
        ratio = sympy.cancel(rate / symbol)
        if not rate.free_symbols & others and symbol not in ratio.free_symbols and rate != 0:
            return name
    described = "; ".join(f"d{name}/dt = {rate}" for name, rate in rates.items())
    raise UnsupportedModelError(
        "None of the equations is that of an exponentially decaying synaptic current, dI/dt = -I/tau_s: "
        + described
        + "."
    )


def _coefficients(rate: sympy.Expr, voltage: str, current: str):
    """Coefficients of v**2, v, 1 and I in the voltage equation."""
    v, current_symbol = _symbol(voltage), _symbol(current)
    try:
        polynomial = sympy.Poly(sympy.expand(rate), v, current_symbol)
    except sympy.PolynomialError as error:
        raise UnsupportedModelError(
            f"d{voltage}/dt = {rate} is not a polynomial in '{voltage}' and '{current}'."
        ) from error
    known = {(2, 0): 0, (1, 0): 0, (0, 0): 0, (0, 1): 0}
    for powers, coefficient in polynomial.terms():
        term = coefficient * v ** powers[0] * current_symbol ** powers[1]
        if powers not in known:
            raise UnsupportedModelError(
                f"The term {term} of d{voltage}/dt stands in the way: the event-driven solver takes terms in "
                f"{voltage}, {voltage}**2, a constant, and {current} alone."
            )
        extra = {str(symbol) for symbol in coefficient.free_symbols} & {"t", "dt"}
        if extra:
            raise UnsupportedModelError(f"The term {term} of d{voltage}/dt depends on {', '.join(sorted(extra))}.")
        known[powers] = coefficient
    for powers, word in (((1, 0), voltage), ((0, 1), current)):
        if known[powers] == 0:
            raise UnsupportedModelError(f"d{voltage}/dt = {rate} has no term proportional to '{word}'.")
    return known[2, 0], known[1, 0], known[0, 0], known[0, 1]


def _parse(text: str) -> sympy.Expr | None:
    """An expression in Brian2's language, or None where the text is more than one expression."""
    try:
        return str_to_sympy(text)
    except SyntaxError:
        return None


def _threshold_value(threshold: str, v: sympy.Symbol, current: sympy.Symbol) -> sympy.Expr:
    condition = _parse(threshold)
    if isinstance(condition, (sympy.StrictGreaterThan, sympy.GreaterThan)) and condition.lhs == v:
        value = condition.rhs
    elif isinstance(condition, (sympy.StrictLessThan, sympy.LessThan)) and condition.rhs == v:
        value = condition.lhs
    else:
        value = None
    if value is None or value.free_symbols & {v, current}:
        raise UnsupportedModelError(
            f"The threshold '{threshold}' is not of the form '{v} > v_th' with a constant or a parameter v_th."
        )
    return value


def _reset_value(reset: str | None, v: sympy.Symbol, current: sympy.Symbol) -> sympy.Expr:
    match = re.fullmatch(r"\s*(\w+)\s*=\s*([^=].*?)\s*", reset or "")
    value = _parse(match[2]) if match and match[1] == str(v) else None
    if value is None or value.free_symbols & {v, current}:
        raise UnsupportedModelError(
            f"The reset '{reset}' is not of the form '{v} = v_reset' with a constant or a parameter v_reset."
        )
    return value
