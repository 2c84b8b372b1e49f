"""Recognise Brian2 equations as leaky or quadratic integrate-and-fire neurons with synaptic currents.

The affine change of variables ``v = v_offset + v_scale * u``, ``I_k = current_scale_k * j_k`` brings every neuron
that is recognised into one of three normal forms (docs/mathematics.md):

    "lif", "leaky":  du/dt = (-u + sum j_k)/tau_m                  dj_k/dt = -j_k/tau_s_k
    "qif":           du/dt = (u*(u - 1) + drive + sum j_k)/tau_m   dj_k/dt = -j_k/tau_s_k
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import sympy
from brian2 import Equations

from brian_qif.equations.text import UnsupportedModelError, as_expression, as_symbol, right_hand_sides, subexpressions


@dataclass(frozen=True)
class NormalForm:
    """A neuron in normal form; its expressions are those of the model's own parameters.

    ``kind`` is "lif", "qif" or "leaky"; ``voltage`` and ``currents`` are the names of the state variables.
    ``tau_s`` and ``current_scale`` have one entry per current. ``threshold`` and ``reset`` are in the user's voltage
    and None where there is no threshold or it is at infinity; with ``subtracts`` a spike takes the distance between
    them off the voltage. ``refractory`` is how long the voltage stays at its reset. ``discriminant`` is that of the
    quadratic form, and ``driven`` the normal form for the case that it is not positive: the neuron then has no resting
    voltage.
    """

    kind: str
    voltage: str
    currents: tuple[str, ...]
    tau_m: sympy.Expr
    tau_s: tuple[sympy.Expr, ...]
    v_offset: sympy.Expr
    v_scale: sympy.Expr
    current_scale: tuple[sympy.Expr, ...]
    drive: sympy.Expr = field(default=sympy.Integer(0))
    threshold: sympy.Expr | None = None
    reset: sympy.Expr | None = None
    subtracts: bool = False
    refractory: sympy.Expr | None = None
    discriminant: sympy.Expr | None = None
    driven: NormalForm | None = None

    @property
    def fields(self) -> dict[str, tuple[sympy.Expr, ...]]:
        """Every expression by the name of its field; most fields have one, those of the currents one per current."""
        single = ("tau_m", "v_offset", "v_scale", "drive", "threshold", "reset", "refractory")
        found = {name: (getattr(self, name),) for name in single if getattr(self, name) is not None}
        return found | {"tau_s": self.tau_s, "current_scale": self.current_scale}

    @property
    def symbols(self) -> set[str]:
        """Names of the parameters and constants on which the normal form depends."""
        parts = [part for parts in self.fields.values() for part in parts]
        if self.discriminant is not None:
            parts.append(self.discriminant)
        return {symbol.name for part in parts for symbol in part.free_symbols}


def recognise(
    equations: Equations,
    threshold: str | None = None,
    reset: str | None = None,
    spike_at_infinity: bool = False,
    refractory: str | float | None = None,
) -> NormalForm:
    """Read model equations as one of the normal forms.

    Parameters
    ----------
    equations : `brian2.Equations`
        Differential equations of a voltage, linear or quadratic in itself, and of any number of exponentially decaying
        synaptic currents that enter the voltage equation linearly. Subexpressions are substituted.
    threshold, reset : str, optional
        The group's threshold condition and reset statement.
    spike_at_infinity : bool
        The neuron spikes when its voltage reaches infinity and starts again from minus infinity; threshold
        and reset are then a stand-in for clock-driven simulation and are not used.
    refractory : str or float, optional
        The refractory period: an expression, or seconds.

    Returns
    -------
    `NormalForm`

    Raises
    ------
    UnsupportedModelError
        Where the equations are of another form; the message names the term that stands in the way.
    """
    rates = right_hand_sides(equations)
    voltage, currents = _sort_variables(rates, threshold)
    quadratic, linear, constant, drives = _coefficients(rates[voltage], voltage, currents)
    tau_s = tuple(sympy.cancel(-as_symbol(name) / rates[name]) for name in currents)
    event = {}
    states = {as_symbol(name) for name in rates}
    if threshold is not None and not spike_at_infinity:
        substitutions = subexpressions(equations)
        value = _threshold_value(threshold, as_symbol(voltage), states, substitutions)
        event["threshold"] = value
        event["reset"], event["subtracts"] = _reset_value(reset, value, as_symbol(voltage), states, substitutions)
        if refractory is not None:
            event["refractory"] = _refractory_value(refractory, equations, voltage, states, substitutions)
    elif threshold is None and quadratic != 0:
        raise UnsupportedModelError(f"The equation of '{voltage}' is quadratic, and the group has no threshold.")
    names = dict(voltage=voltage, currents=currents, tau_s=tau_s, **event)
    if quadratic == 0:
        return _leaky_form(names, "leaky" if threshold is None else "lif", linear, constant, drives)
    return _quadratic_form(names, quadratic, linear, constant, drives)


def _leaky_form(names, kind, linear, constant, drives) -> NormalForm:
    """-1/tau_m multiplies v; the resting voltage is where the right-hand side vanishes without currents."""
    tau_m = -1 / linear
    return NormalForm(
        kind=kind,
        tau_m=tau_m,
        v_offset=-constant / linear,
        v_scale=sympy.Integer(1),
        current_scale=tuple(1 / (drive * tau_m) for drive in drives),
        **names,
    )


def _quadratic_form(names, quadratic, linear, constant, drives) -> NormalForm:
    # Factored, the discriminant of the physical form is a perfect square: no cancellation is left in numbers.
    discriminant = sympy.factor(linear**2 - 4 * quadratic * constant)
    root = sympy.sqrt(discriminant)

    def form(rate, offset, **more):
        scale = rate / quadratic
        return NormalForm(
            kind="qif",
            tau_m=1 / rate,
            v_offset=offset,
            v_scale=scale,
            current_scale=tuple(scale * rate / drive for drive in drives),
            **names,
            **more,
        )

    # Without a resting voltage nothing but the currents or the linear term gives the neuron a time of its own.
    rate = 1 / (2 * names["tau_s"][0]) if names["tau_s"] else sympy.sqrt(linear**2 + sympy.Abs(discriminant))
    # a v^2 + l v + c = (scale/tau_m) (u (u - 1) + drive) around the middle of the parabola, u = 1/2.
    middle = -linear / (2 * quadratic) - rate / (2 * quadratic)
    driven = form(rate, middle, drive=sympy.Rational(1, 4) - discriminant / (4 * rate**2))
    return form(root, (-linear - root) / (2 * quadratic), discriminant=discriminant, driven=driven)


def _sort_variables(rates: dict[str, sympy.Expr], threshold: str | None) -> tuple[str, tuple[str, ...]]:
    """Which variable is the voltage and which are currents that decay by themselves."""
    states = {as_symbol(name) for name in rates}
    decaying = [
        name
        for name, rate in rates.items()
        if rate != 0 and not sympy.cancel(rate / as_symbol(name)).free_symbols & (states | {as_symbol("t")})
    ]
    others = [name for name in rates if name not in decaying]
    if not others:
        # A voltage that no current drives decays by itself too; the threshold tells which one it is.
        watched = {name for name in decaying if re.search(rf"\b{name}\b", threshold or "")}
        others = sorted(watched) if watched else decaying[: len(decaying) == 1]
    if len(others) != 1:
        described = "; ".join(f"d{name}/dt = {rate}" for name, rate in rates.items())
        raise UnsupportedModelError(
            "The event-driven solver takes neurons with one voltage and with synaptic currents that decay "
            f"exponentially, dI/dt = -I/tau_s; these equations are {described}."
        )
    return others[0], tuple(name for name in rates if name != others[0])


def _coefficients(rate: sympy.Expr, voltage: str, currents: tuple[str, ...]):
    """Coefficients of v**2, v, 1 and each current in the voltage equation."""
    variables = [as_symbol(name) for name in (voltage, *currents)]
    try:
        polynomial = sympy.Poly(sympy.expand(rate), *variables)
    except sympy.PolynomialError as error:
        listed = " and ".join(f"'{name}'" for name in (voltage, *currents))
        raise UnsupportedModelError(f"d{voltage}/dt = {rate} is not a polynomial in {listed}.") from error
    unit = [tuple(int(k == n) for k in range(len(variables))) for n in range(len(variables))]
    zero = (0,) * len(variables)
    known = dict.fromkeys([tuple(2 * power for power in unit[0]), *unit, zero], sympy.Integer(0))
    for powers, coefficient in polynomial.terms():
        term = coefficient * sympy.prod(x**power for x, power in zip(variables, powers, strict=True))
        if powers not in known:
            raise UnsupportedModelError(
                f"The term {term} of d{voltage}/dt stands in the way: the event-driven solver takes terms in "
                f"{', '.join([voltage, f'{voltage}**2', 'a constant', *currents[:-1]])}"
                + (f", and {currents[-1]} alone." if currents else " alone.")
            )
        extra = {str(symbol) for symbol in coefficient.free_symbols} & {"t", "dt"}
        if extra:
            raise UnsupportedModelError(f"The term {term} of d{voltage}/dt depends on {', '.join(sorted(extra))}.")
        known[powers] = coefficient
    square, *first = known[tuple(2 * power for power in unit[0])], *(known[powers] for powers in unit)
    needed = zip((voltage, *currents), first, strict=True) if square == 0 else zip(currents, first[1:], strict=True)
    for name, coefficient in needed:
        if coefficient == 0:
            raise UnsupportedModelError(f"d{voltage}/dt = {rate} has no term proportional to '{name}'.")
    return square, first[0], known[zero], first[1:]


def _threshold_value(threshold: str, v, states, substitutions) -> sympy.Expr:
    condition = as_expression(threshold)
    if isinstance(condition, (sympy.StrictGreaterThan, sympy.GreaterThan)) and condition.lhs == v:
        value = condition.rhs.subs(substitutions)
    elif isinstance(condition, (sympy.StrictLessThan, sympy.LessThan)) and condition.rhs == v:
        value = condition.lhs.subs(substitutions)
    else:
        value = None
    if value is None or value.free_symbols & states:
        raise UnsupportedModelError(
            f"The threshold '{threshold}' is not of the form '{v} > v_th' with a constant or a parameter v_th."
        )
    return value


def _reset_value(reset: str | None, threshold, v, states, substitutions) -> tuple[sympy.Expr, bool]:
    """The voltage after a spike that was reached at the threshold, and whether the reset subtracts."""
    match = re.fullmatch(r"\s*(\w+)\s*([-+]?)=\s*([^=].*?)\s*", reset or "")
    value = as_expression(match[3]) if match and match[1] == str(v) else None
    if value is not None:
        value = {"": value, "+": v + value, "-": v - value}[match[2]].subs(substitutions)
        rise = sympy.expand(value - v)
        if not value.free_symbols & states:
            return value, False
        if not rise.free_symbols & states:
            return threshold + rise, True
    raise UnsupportedModelError(
        f"The reset '{reset}' is not of the form '{v} = v_reset' or '{v} -= drop' with constants or parameters."
    )


def _refractory_value(refractory: str | float, equations, voltage, states, substitutions) -> sympy.Expr:
    if "unless refractory" not in equations[voltage].flags:
        raise UnsupportedModelError(
            f"The voltage '{voltage}' goes on changing while the neuron is refractory; write its equation with the "
            "flag (unless refractory), so that it stays at its reset."
        )
    held = [name for name in equations.diff_eq_names if "unless refractory" in equations[name].flags]
    if len(held) > 1:
        raise UnsupportedModelError(
            f"The flag (unless refractory) holds {', '.join(sorted(held))}; the event-driven solver holds the voltage "
            "alone."
        )
    value = as_expression(refractory) if isinstance(refractory, str) else sympy.Float(refractory)
    if value is None or not isinstance(value, sympy.Expr) or value.subs(substitutions).free_symbols & states:
        raise UnsupportedModelError(f"The refractory period '{refractory}' is not a constant or a parameter.")
    return value.subs(substitutions)
