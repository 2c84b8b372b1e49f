"""Checks of what users give: every message says what is needed and what was given."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from brian2 import Quantity, get_dimensions, second
from brian2.units.fundamentalunits import DIMENSIONLESS, fail_for_dimension_mismatch


def check_dimensions(value: Any, like: Any, message: str) -> None:
    """Refuse what has another unit than something else, or is no number at all.

    Raises
    ------
    TypeError
        If it is neither a number nor an array of numbers.
    DimensionMismatchError
        If it has another unit.
    """
    for one in (value, like):
        if not _is_numeric(one):
            raise TypeError(f"{message}; {one!r} was given.")
    fail_for_dimension_mismatch(value, like, message)


def single_time(value: Any, message: str) -> float:
    """One time in seconds, which may be any number.

    Raises
    ------
    TypeError
        If it is not one number.
    DimensionMismatchError
        If it is not a time.
    """
    check_dimensions(value, second, message)
    if np.ndim(value) != 0:
        raise TypeError(f"{message}; an array of shape {np.shape(value)} was given.")
    return float(value)


def plain_number(value: Any, name: str) -> float:
    """One number without a unit.

    Raises
    ------
    TypeError
        If it is anything else.
    """
    if isinstance(value, bool) or not _is_numeric(value) or np.ndim(value) != 0 or _has_unit(value):
        raise TypeError(f"{name} is a number without a unit; {value!r} was given.")
    return float(value)


def whole_number(value: Any, name: str, least: int) -> int:
    """A whole number that is not too small; 3.0 counts as one.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    number: int
    try:
        number = operator.index(value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value)
    except TypeError:
        is_whole = isinstance(value, (float, np.floating)) and -(2**53) < value < 2**53 and value == int(value)
        number = int(value) if is_whole else least - 1
    if isinstance(value, bool) or number < least:
        raise ValueError(f"{name} is a whole number, {least} or more; {value!r} was given.")
    return number


def _is_numeric(value: Any) -> bool:
    if isinstance(value, (str, bytes)) or value is None:
        return False
    try:
        get_dimensions(value)
        return bool(np.issubdtype(np.asarray(value).dtype, np.number))
    except (TypeError, ValueError):
        return False


def _has_unit(value: Any) -> bool:
    return isinstance(value, Quantity) and value.dim is not DIMENSIONLESS
