"""Checks of the parameters that models share."""

import operator

import numpy as np
from brian2 import Quantity, get_unit, have_same_dimensions, second
from brian2.core.variables import Subexpression

from brian_qif.arguments import check_dimensions


def check_size(size) -> int:
    """Number of neurons as an integer.

    Raises
    ------
    ValueError
        If it is not a positive integer.
    """
    try:
        number = operator.index(size)
    except TypeError:
        number = 0
    if number < 1:
        raise ValueError(f"The number of neurons must be a positive integer; {size!r} was given.")
    return number


def check_time_constant(name: str, value) -> None:
    """Refuse what is not a positive, finite time.

    Raises
    ------
    DimensionMismatchError
        If it is not a time.
    ValueError
        If it is not one positive, finite number.
    """
    check_dimensions(value, second, f"{name} is a time, for instance 20*ms")
    if np.ndim(value) != 0 or not 0 < float(value) < np.inf:
        raise ValueError(f"{name} must be one positive, finite time; {value} was given.")


def declare_synaptic_time(equations: str, tau_s: Quantity | None) -> str:
    """The equations of a group whose ``tau_s`` is a parameter, or half of ``tau_m`` where none is given."""
    if tau_s is not None:
        return equations
    return equations.replace("tau_s : second (shared, constant)", "tau_s = tau_m/2 : second (shared)")


def check_level(name: str, value, like, message: str) -> None:
    """Refuse what is not one finite voltage.

    Raises
    ------
    TypeError, DimensionMismatchError
        If it is no number, or has another unit than ``like``.
    ValueError
        If it is not one finite number.
    """
    check_dimensions(value, like, message)
    if np.ndim(value) != 0 or not np.isfinite(value):
        raise ValueError(f"{name} must be one finite number; {value} was given.")


def check_exact_formula(group) -> None:
    """Refuse the method "exact" for equal time constants, by whose difference its formula divides.

    A standalone device does not know before the run what a string expression will set; that passes.

    Raises
    ------
    ValueError
        If both are the case.
    """
    if group.method_choice != "exact" or isinstance(group.variables["tau_s"], Subexpression):
        return  # a tau_s that is no parameter is half of tau_m
    try:
        tau_m, tau_s = Quantity(group.tau_m[:]), Quantity(group.tau_s[:])
    except NotImplementedError:
        return
    if float(tau_m) == float(tau_s):
        raise ValueError(
            f"'{group.name}': tau_m and tau_s are both {tau_m}, and the formula of the method 'exact' divides by "
            "their difference. Make the group with method='rk4'."
        )


def unit_name(value) -> str:
    """The unit of a value as Brian2's equations write it."""
    return "1" if have_same_dimensions(value, 1) else repr(get_unit(value.dim))
