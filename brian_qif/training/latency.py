"""Numbers as spike times: the larger a number, the later the spike of its neuron."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from brian2 import Quantity

from brian_qif.arguments import plain_array, single_time, whole_numbers, yes_or_no
from brian_qif.training.datasets import SpikeSample


def latency_samples(
    values: np.ndarray,
    labels: Sequence[int],
    first: Quantity,
    last: Quantity,
    bias: Quantity | None = None,
    mirror: bool = True,
) -> list[SpikeSample]:
    """One spike per number: at ``first`` for 0, at ``last`` for 1, and evenly between.

    Parameters
    ----------
    values : numpy.ndarray
        Shape (samples, d), between 0 and 1. Input neuron k has the spike of column k.
    labels : sequence of int
        The class of each sample.
    first, last : Quantity
        The times of the spikes for 0 and 1.
    bias : Quantity, optional
        The time of a spike of one further input neuron, the last, the same in every sample: without it, a network
        cannot tell a late sample from an early one.
    mirror : bool
        Whether ``1 - values`` are given too, by d further input neurons, so that every sample has early spikes.

    Returns
    -------
    list of SpikeSample
        What `brian_qif.Trainer` takes, each with its spikes in order of time.

    Raises
    ------
    TypeError
        For values that are no numbers, labels that are no whole numbers, or times that are none.
    DimensionMismatchError
        For times without a unit of time.
    ValueError
        For values outside 0 to 1 or not one label each, times that are negative, or ``last`` not after ``first``.

    References
    ----------
    Kriener, Göltz & Petrovici, The Yin-Yang dataset, NICE '22 (2022); arXiv:2102.08211.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_qif.training.latency import latency_samples
    >>> (sample,) = latency_samples([[0.25, 1]], [2], first=10*ms, last=50*ms, bias=30*ms)
    >>> sample.times, sample.units, sample.label
    (array([0.01, 0.02, 0.03, 0.04, 0.05]), array([3, 0, 4, 2, 1]), 2)
    """
    begin, end = (single_time(time, f"'{name}' is a time") for name, time in (("first", first), ("last", last)))
    if not 0 <= begin < end < np.inf:
        raise ValueError(
            f"Spikes lie between a 'first' time of 0 or more and a later 'last'; {first}, {last} were given."
        )
    values, classes = plain_array(values, "'values'"), whole_numbers(labels, "'labels'")
    if values.ndim != 2 or len(classes) != len(values):
        raise ValueError(
            f"Values have the shape (samples, d), with a label each; their shape is {values.shape}, with {len(classes)}"
            " labels."
        )
    if not np.all((values >= 0) & (values <= 1)):
        raise ValueError("Values that become spike times lie between 0 and 1; some do not.")
    columns = np.hstack([values, 1 - values]) if yes_or_no(mirror, "'mirror'") else values
    times = begin + (end - begin) * columns
    if bias is not None:
        fixed = single_time(bias, "'bias' is a time")
        if not 0 <= fixed < np.inf:
            raise ValueError(f"The 'bias' spike is at a time of 0 or more; {bias} was given.")
        times = np.hstack([times, np.full((len(times), 1), fixed)])
    order = np.argsort(times, axis=1, kind="stable")
    return [SpikeSample(row[units], units, int(label)) for row, units, label in zip(times, order, classes, strict=True)]
