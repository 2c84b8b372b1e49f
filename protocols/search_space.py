"""What a search varies, and between which limits: the same limits for every model of neuron."""

from __future__ import annotations

import math
from dataclasses import dataclass

from brian_qif.protocols.recipes import recipe_of, relative_sizes


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


def search_space(inputs):
    """The fields of a recipe that are searched.

    Every model has the same limits and so the same care; its own recipe lies inside and is the first trial. As recipes
    do, limits scale with the number of inputs: of fewer than 700, each stands for several. The hidden neurons'
    ``tau_s`` is half of their ``tau_m``, for which QIF neurons have their closed form, so one range is for both.

    Parameters
    ----------
    inputs : int
        The number of input neurons.

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
    width, merged, _ = relative_sizes(inputs)
    clip = width / math.sqrt(merged)
    return {
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
        "shift": Range(0, max(1, round(4 * merged))),
        "stretch": Range(0.0, 0.3),
        "jitter": Range(0.0, 4 * merged),
        "batch_size": Choice((8, 16, 32, 64)),
    }


def start_of(neuron, inputs):
    """The values of a model's own recipe for what is searched.

    Parameters
    ----------
    neuron : 'lif' or 'qif'
        The model of the hidden neurons.
    inputs : int
        The number of input neurons.

    Returns
    -------
    dict
        They lie within the limits.
    """
    recipe = recipe_of(neuron, inputs=inputs)
    return {name: getattr(recipe, name) for name in search_space(inputs)}
