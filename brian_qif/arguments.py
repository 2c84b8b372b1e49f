"""Checks of what users give: every message says what is needed and what was given."""

from __future__ import annotations

import operator
import os
from pathlib import Path
from typing import Any

import numpy as np
from brian2 import Quantity, get_dimensions, second
from brian2.units.fundamentalunits import DIMENSIONLESS, Dimension, fail_for_dimension_mismatch

MOST_NEURONS = 2**31 - 1  # as Brian2 counts them


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


def finite_number(value: Any, name: str, least: float = -np.inf) -> float:
    """One finite number without a unit that is not too small.

    Raises
    ------
    TypeError
        If it is no number, or has a unit.
    ValueError
        If it is not finite, or too small.
    """
    number = plain_number(value, name)
    if not (np.isfinite(number) and number >= least):
        wanted = "a finite number" if least == -np.inf else f"a finite number, {least:g} or more"
        raise ValueError(f"{name} is {wanted}; {value!r} was given.")
    return number


def whole_number(value: Any, name: str, least: int, most: int | None = None) -> int:
    """A whole number that is not too small, nor too large; 3.0 counts as one.

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
    if isinstance(value, bool) or number < least or (most is not None and number > most):
        bounds = f"{least} or more" if most is None else f"{least} to {most}"
        raise ValueError(f"{name} is a whole number, {bounds}; {value!r} was given.")
    return number


def whole_numbers(values: Any, name: str) -> np.ndarray:
    """A row of whole numbers, which may be empty; 3.0 counts as one.

    Raises
    ------
    TypeError
        If it is anything else.
    """
    try:
        given = np.asarray(list(values))
    except (TypeError, ValueError):
        given = np.asarray(None)
    row = given.ndim == 1 and not _has_unit(values) and (given.size == 0 or _is_numeric(given))
    with np.errstate(invalid="ignore"):
        numbers = given.astype(np.int64) if row else given
    if not row or np.any(numbers != given):
        raise TypeError(f"{name} are a row of whole numbers; {values!r} was given.")
    return numbers


def plain_array(values: Any, name: str) -> np.ndarray:
    """An array of numbers without a unit.

    Raises
    ------
    TypeError
        If it is anything else.
    """
    try:
        array = np.asarray(values)
    except ValueError:  # rows of several lengths
        array = np.asarray(None)
    if _has_unit(values) or not (array.size == 0 or _is_numeric(array)):
        raise TypeError(f"{name} are numbers without a unit, in rows of one length; {values!r} was given.")
    return array.astype(float)


def yes_or_no(value: Any, name: str) -> bool:
    """True or False.

    Raises
    ------
    TypeError
        If it is anything else.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} is True or False; {value!r} was given.")
    return bool(value)


def path_of(value: Any, name: str) -> Path:
    """The path of a file or a folder.

    Raises
    ------
    TypeError
        If it is neither text nor a path.
    ValueError
        If it is empty.
    """
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} is a path, a text or an os.PathLike; {value!r} was given.")
    if not os.fspath(value):
        raise ValueError(f"{name} is a path; an empty text was given.")
    return Path(value)


def check_sample(sample: Any) -> None:
    """Refuse what is no sample of spikes.

    Raises
    ------
    TypeError
        If it has no rows ``times`` and ``units`` of one length, or they are no numbers.
    """
    times, units = (getattr(sample, name, 0) for name in ("times", "units"))
    try:
        shapes = np.shape(times), np.shape(units)
    except ValueError:  # rows of several lengths
        shapes = (), ()
    row = len(shapes[0]) == 1 and shapes[0] == shapes[1]
    # Units of another kind are refused by the name of their group.
    if not row or not _are_seconds(times) or np.asarray(units).dtype.kind not in "biuf":
        raise TypeError(
            f"A sample has its spikes in 'times' (seconds) and 'units', rows of one length, as a SpikeSample; "
            f"{sample!r} was given."
        )


def _is_numeric(value: Any) -> bool:
    if isinstance(value, (str, bytes)) or value is None:
        return False
    try:
        # Tensors have something else called 'dim', which Brian2 takes for a unit.
        return isinstance(get_dimensions(value), Dimension) and bool(np.issubdtype(np.asarray(value).dtype, np.number))
    except (TypeError, ValueError):
        return False


def _are_seconds(times: Any) -> bool:
    time = not isinstance(times, Quantity) or times.dim is second.dim
    return time and np.asarray(times).dtype.kind in "iuf"


def _has_unit(value: Any) -> bool:
    return isinstance(value, Quantity) and value.dim is not DIMENSIONLESS
