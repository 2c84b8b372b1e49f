"""Checks of what the studies are given: every message says what was given and what would work."""

from __future__ import annotations

import json
import operator
import os
from pathlib import Path

import numpy as np

from brian_qif.arguments import path_of


def refuse_unless_whole(name, value):
    """Refuse what is no whole number.

    Raises
    ------
    TypeError
        If it is none.
    """
    try:
        operator.index(value)
        whole = not isinstance(value, bool)
    except TypeError:
        whole = False
    if not whole:
        raise TypeError(f"'{name}' has to be a whole number; {value!r} was given.")


def refuse_below(least, name, value, optional=False):
    """Refuse what is no whole number, or one that is too small.

    Parameters
    ----------
    least : int
    name : str
        What to call it.
    value : int
    optional : bool
        Whether None will do.

    Raises
    ------
    TypeError
        If it is no whole number.
    ValueError
        If it is below ``least``.
    """
    if optional and value is None:
        return
    refuse_unless_whole(name, value)
    if value < least:
        raise ValueError(f"'{name}' has to be at least {least}, not {value}.")


def plain_numbers(*numbers):
    """Whole numbers, NumPy's among them, as JSON keeps them; None stays."""
    return [None if number is None else operator.index(number) for number in numbers]


def refuse_unless_finite(subject, value):
    """Refuse what is no finite number without a unit.

    Parameters
    ----------
    subject : str
        The beginning of the message, such as "Sizes have".
    value : float

    Raises
    ------
    TypeError
        If it is no number.
    ValueError
        If it is not finite.
    """
    _refuse_unless_number(f"{subject} to be finite", value)
    if not -np.inf < value < np.inf:
        raise ValueError(f"{subject} to be finite, not {value}.")


def refuse_unless_positive(subject, value, unit=""):
    """Refuse what is no number without a unit, or is not positive and finite.

    Parameters
    ----------
    subject : str
        The beginning of the message, such as "Sizes have".
    value : float
    unit : str
        What follows the number in the message.

    Raises
    ------
    TypeError
        If it is no number.
    ValueError
        If it is not positive and finite.
    """
    _refuse_unless_number(f"{subject} to be positive and finite", value)
    if not 0 < value < np.inf:
        raise ValueError(f"{subject} to be positive and finite, not {value}{unit}.")


def _refuse_unless_number(demand, value):
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{demand}, a number; {value!r} was given.")


def refuse_unless_object(name, value):
    """Refuse what JSON cannot hold as an object; None will do.

    Raises
    ------
    TypeError
        If it is none.
    """
    if not isinstance(value, (dict, type(None))):
        raise TypeError(f"'{name}' is a dict or None; {value!r} was given.")
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"'{name}' holds what JSON can hold; {value!r} was given: {error}.") from None


def folder_for_output(path):
    """The path of a folder that may be missing, which is not made yet.

    Parameters
    ----------
    path : str or os.PathLike

    Returns
    -------
    pathlib.Path

    Raises
    ------
    TypeError
        If it is no path.
    OSError
        If it, or what it lies in, is a file or cannot be written.
    """
    folder = path_of(path, "The output folder")
    present = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not present.is_dir():
        raise NotADirectoryError(f"'{present}' is a file; the output needs a folder.")
    if not os.access(present, os.W_OK):
        raise PermissionError(f"The output folder '{folder}' cannot be written: '{present}' is not yours to write.")
    return folder


def read_json(path, advice=""):
    """What a JSON file holds.

    Parameters
    ----------
    path : str or os.PathLike
    advice : str
        What to do if it is damaged, a sentence after a space.

    Raises
    ------
    ValueError
        If the file is no JSON.
    """
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"'{path}' is damaged: {error}.{advice}") from error


def read_object(path, advice=""):
    """The object in a JSON file, as a dict; parameters as for `read_json`.

    Raises
    ------
    ValueError
        If the file is no JSON, or holds no object.
    """
    found = read_json(path, advice)
    if not isinstance(found, dict):
        raise ValueError(f"'{path}' is damaged: it holds no object.{advice}")
    return found


def several(name, values, what):
    """A list of what was given.

    Raises
    ------
    TypeError
        If it is one thing, or a text, and not a list of them.
    """
    if isinstance(values, (str, bytes)) or np.ndim(values) != 1:
        raise TypeError(f"'{name}' is a list of {what}; {values!r} was given.")
    return list(values)


def first_other_name(names, others):
    """The first class that two lists of names call differently: its number and both names, or None."""
    for k, (one, other) in enumerate(zip(names, others, strict=False)):
        if one != other:
            return k, one, other
    return None
