"""What a search varies, and between which limits: the same limits for every model of neuron."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from brian_qif.protocols.recipes import SURROGATES, recipe_of, relative_sizes


@dataclass(frozen=True)
class Range:
    """The limits between which a number is searched.

    Parameters
    ----------
    low, high : float or int
        The limits, both included; whole numbers are searched where both are.
    log : bool
        Whether equal ratios are equally likely, instead of equal differences.
    """

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Choice:
    """A value out of a few.

    Parameters
    ----------
    values : tuple
        The values.
    """

    values: tuple


def search_space(inputs, solver="event", surrogate=False):
    """The fields of a recipe that are searched.

    Every model has the same limits and so the same care; its own recipe lies inside and is the first trial. As recipes
    do, limits scale with the number of inputs: of fewer than 700, each stands for several. With the event-driven solver
    the hidden neurons' ``tau_s`` is half of their ``tau_m``: there alone QIF neurons have their closed form, and what
    is searched for one model is searched for both. A clock takes any ratio, so there ``tau_s`` is searched too.

    Parameters
    ----------
    inputs : int
        The number of channels.
    solver : 'event' or 'clock'
        What the networks are trained with.
    surrogate : bool
        Whether the clock-driven solver takes a surrogate, whose shape and slope are then searched.

    Returns
    -------
    dict of str to Range or Choice
        By the name of the field of `Recipe`.

    Examples
    --------
    >>> from brian_qif.protocols.search_space import search_space
    >>> search_space(700)["tau_m"]
    Range(low=0.003, high=0.06, log=True)
    """
    width, merged, merge = relative_sizes(inputs)
    clip = width / math.sqrt(merged)
    space = {
        "learning_rate": Range(6e-4 / width, 6e-2 / width, log=True),
        "readout_learning_rate": Range(3e-3, 0.3, log=True),
        "tau_m": Range(3e-3, 60e-3, log=True),
        "readout_tau_m": Range(5e-3, 100e-3, log=True),
        "readout_tau_s": Range(2e-3, 50e-3, log=True),
        "weight_time": Range(0.05, 1.0, log=True),
        "gain": Range(2.0, 100.0, log=True),
        "initial_spikes": Range(1.0, 30.0, log=True),
        "input_mean": Range(0.0, 1.0),
        "clip": Range(0.5 * clip, 50 * clip, log=True),
        "weight_decay": Range(0.0, 2e-3),
        "shift": Range(0, max(1, round(40 * width))),
        "stretch": Range(0.0, 0.3),
        "jitter": Range(0.0, 40 * width),
        "batch_size": Choice((8, 16, 32, 64)),
        "merge": Choice(tuple(sorted({max(1, merge // 2), merge, min(2 * merge, inputs)}))),
        "taps": Choice((1, 2, 3, 4, 6)),
        "tap_delay": Range(20e-3, 120e-3, log=True),
        "virtual_times": Choice((0, 16)),
    }
    if solver == "clock":
        space["tau_s"] = Range(1.5e-3, 30e-3, log=True)
    if surrogate:
        space["surrogate"] = Choice(SURROGATES)
        space["surrogate_slope"] = Range(0.3, 100.0, log=True)
    return space


def searched_recipe(neuron, inputs, values):
    """A model's own recipe with what a trial tries.

    Virtual times take the place of those on a grid.

    Parameters
    ----------
    neuron, inputs
        See `start_of`.
    values : dict
        By the names of `search_space`.

    Returns
    -------
    Recipe
    """
    recipe = replace(recipe_of(neuron, inputs=inputs), **values)
    return replace(recipe, time_step=0.0) if recipe.virtual_times else recipe


def start_of(neuron, inputs, solver="event", surrogate=False):
    """The values of a model's own recipe for what is searched.

    Parameters
    ----------
    neuron : 'lif' or 'qif'
        The model of the hidden neurons.
    inputs, solver, surrogate
        See `search_space`.

    Returns
    -------
    dict
        They lie within the limits.
    """
    recipe = recipe_of(neuron, inputs=inputs)
    recipe = replace(recipe, tau_s=recipe.tau_m / 2, surrogate="superspike")
    return {name: getattr(recipe, name) for name in search_space(inputs, solver, surrogate)}
