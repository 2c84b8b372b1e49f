"""Initial weights: drawn, and scaled until the neurons fire as often as wanted."""

from __future__ import annotations

import math

import numpy as np


def draw_weights(generator, n_pre, n_post, mean=0.0, smoothing=0.0):
    """Normally distributed weights of standard deviation 1 about a mean.

    Parameters
    ----------
    generator : numpy.random.Generator
        The source of randomness.
    n_pre, n_post : int
        The number of neurons before and behind the synapses.
    mean : float
        The mean, in standard deviations.
    smoothing : float
        The width (standard deviation, in presynaptic neurons) of a Gaussian with which the weights of one neuron are
        smoothed over neighbouring presynaptic neurons, such as the channels of a cochlea. 0 leaves them independent.

    Returns
    -------
    numpy.ndarray
        Shape (n_pre, n_post); flattened, the order of all-to-all synapses.

    Raises
    ------
    ValueError
        If the smoothing is negative.
    """
    if smoothing < 0:
        raise ValueError(f"The width of the smoothing cannot be negative, as {smoothing} is.")
    if smoothing == 0:
        return mean + generator.standard_normal((n_pre, n_post))
    reach = math.ceil(4 * smoothing)
    window = np.exp(-0.5 * (np.arange(-reach, reach + 1) / smoothing) ** 2)
    window /= np.sqrt((window**2).sum())
    noise = generator.standard_normal((n_pre + 2 * reach, n_post))
    smooth = np.stack([np.convolve(column, window, mode="valid") for column in noise.T], axis=1)
    return mean + smooth


def scale_to_activity(batch, values, position, group, samples, duration, spikes, tolerance=0.02):
    """Scale one set of weights until the neurons behind them fire a wanted number of spikes.

    The factor is found by bisection on a logarithmic scale, so signs and proportions of the weights stay.

    Parameters
    ----------
    batch : BatchGradient
        The network, prepared for many samples.
    values : list of numpy.ndarray
        All parameters in SI units, in the order of the batch gradient.
    position : int
        Which of them is scaled.
    group : str
        The name of the group whose spikes are counted.
    samples : sequence of SpikeSample
        The samples over which the activity is averaged.
    duration : Quantity
        The duration of a trial.
    spikes : float
        The wanted mean number of spikes per neuron and sample.
    tolerance : float
        How far the mean may be off, as a share of it.

    Returns
    -------
    values : list of numpy.ndarray
        The parameters with the scaled one in its place.
    activity : float
        The mean number of spikes that was reached.

    Raises
    ------
    ValueError
        If the wanted number is not positive, or no factor between 2**-30 and 2**30 gives it.
    """
    if not spikes > 0:
        raise ValueError(f"The wanted number of spikes has to be positive, not {spikes}.")

    def scaled(exponent):
        return [value * 2.0**exponent if place == position else value for place, value in enumerate(values)]

    def activity(exponent):
        return batch(samples, duration, values=scaled(exponent), reverse=False).spike_counts[group].mean()

    low, high = _bracket(activity, spikes, group)
    for _ in range(60):
        middle = 0.5 * (low + high)
        reached = activity(middle)
        if abs(reached - spikes) <= tolerance * spikes:
            return scaled(middle), float(reached)
        low, high = (middle, high) if reached < spikes else (low, middle)
    raise ValueError(
        f"No scale of the weights gives {spikes} spikes per neuron and sample in '{group}': with this number of"
        f" samples ({len(samples)}) the activity jumps there. Take more samples or a larger tolerance."
    )


def _bracket(activity, spikes, group):
    """Two exponents one apart, too few spikes at the first and enough at the second."""
    exponent = 0
    step = 1 if activity(0) < spikes else -1
    while abs(exponent) < 30:
        exponent += step
        enough = activity(exponent) >= spikes
        if enough == (step > 0):
            return (exponent - 1, exponent) if step > 0 else (exponent, exponent + 1)
    raise ValueError(
        f"No scale of the weights between 2**-30 and 2**30 gives {spikes} spikes per neuron and sample in '{group}';"
        " weights with a positive mean make neurons fire."
    )
