"""Configurations: fields of a recipe in a JSON file, such as a search leaves behind."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, fields, replace
from pathlib import Path

from brian_qif.protocols.recipes import Recipe, recipe_of, with_steps


def configured_recipe(config, neuron, batch_size=None, learning_rate=None, inputs=700, output=None, layers=1):
    """A model's recipe with the values of a configuration, and with those given by themselves in place of both.

    Parameters
    ----------
    config : dict, str, os.PathLike or None
        Fields of `Recipe` and their values, or a JSON file with them. They are for this number of inputs and are taken
        as they are.
    neuron, batch_size, learning_rate, inputs, layers
        See `recipe_of`.

    Returns
    -------
    Recipe

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not JSON, has a key that no recipe has, or a value of another kind than the recipe's.

    Examples
    --------
    >>> from brian_qif.protocols.configuration import configured_recipe
    >>> recipe = configured_recipe({"tau_m": 0.015}, "lif")
    >>> recipe.tau_m
    0.015
    """
    values = {} if config is None else _checked(config, recipe_of(neuron, inputs=inputs))
    if output is not None:
        values["output"] = output
    recipe = recipe_of(neuron, inputs=inputs, output=values.get("output", "average"), layers=layers)
    return with_steps(replace(recipe, **values), batch_size, learning_rate)


def _checked(config, recipe):
    values, where = (config, "The configuration") if isinstance(config, dict) else (_read(config), f"'{config}'")
    refuse_other_kinds(values, recipe, where)
    return {name: float(value) if type(asdict(recipe)[name]) is float else value for name, value in values.items()}


def refuse_other_kinds(values, recipe, where):
    """Refuse what are no fields of a recipe, or values of another kind than the recipe's.

    Parameters
    ----------
    values : dict
        By the names of fields.
    recipe : Recipe
    where : str
        The beginning of the message: what gives them.

    Raises
    ------
    ValueError
        If there is one.
    """
    known = [field.name for field in fields(Recipe)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"{where} has {', '.join(unknown)}, which no recipe has; there are {', '.join(known)}.")
    for name, value in values.items():
        expected = asdict(recipe)[name]
        if not _alike(value, expected):
            kind = "a whole number" if type(expected) is int else "a finite number" if _number(expected) else "a text"
            raise ValueError(f"{where} gives {name} the value {value!r}; it has to be {kind}.")


def _read(path):
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no configuration '{path}'.")
    try:
        values = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"'{path}' is not JSON: {error}.") from error
    if not isinstance(values, dict):
        raise ValueError(f"'{path}' has to hold one object, such as {{\"tau_m\": 0.02}}.")
    return values


def _alike(value, expected):
    if type(expected) is int:
        return type(value) is int
    if type(expected) is float:
        return _number(value) and math.isfinite(value)
    return expected is None or type(value) is type(expected)


def _number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)
