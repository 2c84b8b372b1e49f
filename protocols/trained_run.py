"""What the folder of a training holds: its settings and what was learned, looked at before anything is made of them."""

from __future__ import annotations

from dataclasses import MISSING, fields
from itertools import pairwise
from pathlib import Path

import numpy as np

from brian_qif.arguments import path_of
from brian_qif.protocols.checks import first_other_name, read_json, read_object
from brian_qif.protocols.configuration import refuse_other_kinds
from brian_qif.protocols.networks import NEURONS, OUTPUTS
from brian_qif.protocols.recipes import RECIPES, Recipe
from brian_qif.training.checkpoints import read_checkpoint
from brian_qif.training.datasets import said_units


def recipe_in(settings):
    """The recipe in the settings of a run; fields that the run did not know yet have their defaults."""
    return Recipe(**{field.name: settings[field.name] for field in fields(Recipe) if field.name in settings})


def read_settings(run):
    """The settings of a run.

    Parameters
    ----------
    run : str or os.PathLike
        Its folder.

    Returns
    -------
    dict
        What settings.json holds.

    Raises
    ------
    TypeError
        If the folder is no path.
    FileNotFoundError
        If the folder holds no run, or one that has no checkpoint yet.
    ValueError
        If it is another run than one of ``brian-qif train``, or damaged.
    """
    folder = path_of(run, "The folder of a run")
    for name in ("settings.json", "checkpoint.npz"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"'{folder}' holds no run: {name} is missing.")
    path = folder / "settings.json"
    settings = read_json(path)
    required = {field.name for field in fields(Recipe) if field.default is MISSING}
    required |= {"neuron", "inputs", "hidden", "classes", "recurrent"}
    missing = sorted(required - set(settings if isinstance(settings, dict) else ()))
    if missing:
        raise ValueError(f"'{path}' is not of a run of 'brian-qif train': {', '.join(missing)} is missing.")
    known = {field.name: settings[field.name] for field in fields(Recipe) if field.name in settings}
    refuse_other_kinds(known, RECIPES["lif"], f"'{path}'")
    _refuse_no_network(settings, f"'{path}'")
    return settings


def _refuse_no_network(settings, where):
    """Refuse settings from which no network can be built."""
    sizes = settings["hidden"] if isinstance(settings["hidden"], list) else [settings["hidden"]]
    demands = [
        ("neuron", _among(settings["neuron"], NEURONS), f"one of {', '.join(NEURONS)}"),
        ("output", _among(settings.get("output", "average"), OUTPUTS), f"one of {', '.join(OUTPUTS)}"),
        ("recurrent", settings["recurrent"] in (True, False), "true or false"),
        ("inputs", _counts([settings["inputs"]]), "a whole number, 1 or more"),
        ("classes", _counts([settings["classes"]]), "a whole number, 1 or more"),
        ("hidden", _counts(sizes), "a whole number, 1 or more, or a list of them"),
    ]
    for name, right, kind in demands:
        if not right:
            raise ValueError(f"{where} gives {name} the value {settings[name]!r}; it has to be {kind}.")


def _among(value, names):
    return isinstance(value, str) and value in names


def _counts(values):
    return len(values) > 0 and all(type(value) is int and value >= 1 for value in values)


def learned_values(path):
    """What a checkpoint holds of what was learned.

    Parameters
    ----------
    path : str or os.PathLike
        Of the checkpoint.

    Returns
    -------
    arrays : dict of str to numpy.ndarray
        ``value_0``, ``value_1``... in the order of `Classifier.parameters`.
    duration : float
        Of a trial, in seconds.

    Raises
    ------
    ValueError
        If it is damaged, or the training diverged.
    """
    arrays, description = read_checkpoint(path)
    settings = description.get("settings")
    duration = settings.get("duration") if isinstance(settings, dict) else None
    if isinstance(duration, bool) or not isinstance(duration, (int, float)) or not 0 < duration < np.inf:
        raise ValueError(f"'{path}' is damaged: the duration of its trials is {duration!r}, no positive number.")
    arrays = {name: array for name, array in arrays.items() if name.startswith("value_")}
    if not arrays or any(f"value_{k}" not in arrays for k in range(len(arrays))):
        raise ValueError(f"'{path}' is damaged: it lacks learned values; it has {', '.join(arrays) or 'none'}.")
    for name, array in arrays.items():
        if array.dtype.kind != "f" or array.ndim > 1:
            raise ValueError(f"'{path}' is damaged: its array '{name}' is no row of numbers.")
        if not np.all(np.isfinite(array)):
            raise ValueError(f"'{path}' has weights that are not finite: the training diverged. Choose another run.")
    return arrays, float(duration)


def refuse_other_sizes(path, arrays, sizes):
    """Refuse wrong sizes before there is a network of them, which could be larger than the memory."""
    inputs, hidden, classes = sizes
    layers = [inputs, *(hidden if isinstance(hidden, list) else [hidden]), classes]
    refuse_another_size(path, arrays.get("value_0", np.empty(0)).size, "input_synapses.w", layers[0] * layers[1])
    found, least = sum(array.size for array in arrays.values()), sum(a * b for a, b in pairwise(layers))
    if found < least:
        raise ValueError(f"'{path}' has {found} learned values; its settings say {least} or more.")


def refuse_another_size(path, found, label, expected):
    """Refuse another number of values in a checkpoint than its settings say."""
    if found != expected:
        raise ValueError(f"'{path}' has {found} values of {label}; its settings say {expected}.")


def learned_names(run):
    """The speakers and the names of the classes that a run learned; None where its summary does not say.

    Raises
    ------
    ValueError
        If the summary is damaged.
    """
    path = Path(run) / "summary.json"
    summary = read_object(path) if path.is_file() else {}
    learned = summary.get("training_speakers"), summary.get("class_names")
    for name, values, kind in zip(("training_speakers", "class_names"), learned, (int, str), strict=True):
        if values is not None and not (isinstance(values, list) and all(type(value) is kind for value in values)):
            wanted = "whole numbers" if kind is int else "texts"
            raise ValueError(f"'{path}' is damaged: {name} is a list of {wanted}, not {values!r}.")
    return learned


def refuse_other_inputs(file, inputs, run, labelled=True):
    """Refuse a file that says of itself that it has another number of input neurons than the network.

    Raises
    ------
    FileNotFoundError, ValueError
        If it does, or is missing or damaged.
    """
    said = said_units(file, labelled)
    if said is not None and said != inputs:
        raise ValueError(f"'{file}' has {said} input neurons, but the network of '{run}' has {inputs}.")


def refuse_other_names(samples, learned, run):
    """Refuse samples whose labels mean something else than those that were learned.

    Raises
    ------
    ValueError
        If a class has another name.
    """
    found = first_other_name(learned or [], samples.class_names)
    if found is not None:
        k, one, other = found
        raise ValueError(
            f"'{samples.path}' calls class {k} '{other}', but '{run}' learned it as '{one}': their labels do not"
            " mean the same."
        )
