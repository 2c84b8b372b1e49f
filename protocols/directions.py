"""Directions in the space of a network's weights, along which studies look at its loss."""

from __future__ import annotations

import numpy as np
from brian2 import Synapses

from brian_qif.training.remedies import NeuronOwners

NORMALISATIONS = ("neuron", "none")


def random_direction(parameters, values, generator, normalise="neuron"):
    """A Gaussian direction, rescaled for each neuron to the size of its own weights.

    Parameters
    ----------
    parameters : list of VariableView
        The parameters of the network; only weights of synapses move.
    values : list of numpy.ndarray
        Their values, in SI units.
    generator : numpy.random.Generator
        The same state gives networks of the same shape the same numbers before they are rescaled.
    normalise : 'neuron' or 'none'
        Whether the part d of the direction that each neuron's incoming weights w have becomes ``d |w|/|d|``, so that a
        step of 1 is as large as the weights themselves; or the direction is left as it was drawn.

    Returns
    -------
    list of numpy.ndarray
        One array for each parameter, in SI units; zero for what is no weight.

    Raises
    ------
    ValueError
        For another normalisation.

    References
    ----------
    Li, Xu, Taylor, Studer & Goldstein (2018), Visualizing the loss landscape of neural nets, arXiv:1712.09913

    Examples
    --------
    >>> import numpy as np
    >>> from brian_qif.protocols.directions import random_direction
    >>> from brian_qif.protocols.networks import build_classifier
    >>> made = build_classifier("lif", 4, 3, 2)
    >>> values = [np.ones(12), np.ones(6)]
    >>> direction = random_direction(made.parameters, values, np.random.default_rng(0))
    >>> [part.shape for part in direction]
    [(12,), (6,)]
    """
    if normalise not in NORMALISATIONS:
        raise ValueError(f"A direction is normalised by {' or '.join(NORMALISATIONS)}, not by {normalise!r}.")
    direction = []
    for parameter, value in zip(parameters, values, strict=True):
        if not isinstance(parameter.group, Synapses) or parameter.name == "delay":
            direction.append(np.zeros_like(value))
            continue
        drawn = generator.standard_normal(np.shape(value))
        if normalise == "neuron":
            owners = NeuronOwners(parameter)
            size, own = np.sqrt(owners.sum_of_squares(value)), np.sqrt(owners.sum_of_squares(drawn))
            owners.scale(drawn, np.divide(size, own, out=np.zeros_like(own), where=own > 0))
        direction.append(drawn)
    return direction


def length_of(direction):
    """The Euclidean length of a direction."""
    return float(np.sqrt(sum(np.sum(part**2) for part in direction)))
