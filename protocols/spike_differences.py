"""What differs between two trials of one network: spikes gained, lost and moved, their order, and from when to when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import kendalltau


@dataclass(frozen=True, eq=False)
class Matching:
    """The spikes of a layer in two trials, laid side by side.

    Attributes
    ----------
    before, after : numpy.ndarray
        Numbers of the spikes that belong together, in both trials; one entry per pair.
    lost, gained : numpy.ndarray
        Numbers of the spikes of the first and of the second trial that have no counterpart.
    cost : float
        The Victor-Purpura distance of the two, summed over neurons.
    """

    before: np.ndarray
    after: np.ndarray
    lost: np.ndarray
    gained: np.ndarray
    cost: float


def match_spikes(before, after, time_scale):
    """Find the spikes of two trials that belong together.

    A spike without counterpart costs 1, and a pair the distance of its times over ``time_scale``; the matching with the
    least cost is found. So no pair is further apart than twice the time scale: a spike that moved further counts as one
    that is lost and one that is gained.

    Parameters
    ----------
    before, after : tuple of numpy.ndarray
        Times (seconds) and neurons of the spikes of one layer.
    time_scale : float
        In seconds.

    Returns
    -------
    Matching

    References
    ----------
    Victor & Purpura (1996), J. Neurophysiol. 76, 1310: the least cost is their distance, with q = 1/time_scale.
    """
    one, other = _by_neuron(before), _by_neuron(after)
    pairs, lost, gained, cost = [], [], [], 0.0
    for neuron in sorted(set(one) | set(other)):
        first, second = one.get(neuron, _NONE), other.get(neuron, _NONE)
        own, rest, paid = _match_one(before[0][first], after[0][second], time_scale)
        pairs.append((first[own[:, 0]], second[own[:, 1]]))
        lost.append(first[rest[0]])
        gained.append(second[rest[1]])
        cost += paid
    columns = [np.concatenate([_NONE, *part]) for part in ([p[0] for p in pairs], [p[1] for p in pairs], lost, gained)]
    return Matching(*columns, cost)


_NONE = np.empty(0, dtype=np.int64)


def _by_neuron(train):
    """The numbers of each neuron's spikes, in time order."""
    times, neurons = train
    order = np.lexsort((times, neurons))
    found, first = np.unique(neurons[order], return_index=True)
    return dict(zip(found.tolist(), np.split(order, first[1:]), strict=True)) if len(found) else {}


def _match_one(first, second, time_scale):
    """Pairs, spikes without counterpart in both, and the cost, for one neuron."""
    if len(first) == len(second):
        cost = float(np.sum(np.abs(first - second))) / time_scale
        if cost < 2:  # any other matching leaves a spike of each unmatched, or crosses
            places = np.arange(len(first))
            return np.stack([places, places], axis=1), (_NONE, _NONE), cost
    n, m = len(first), len(second)
    costs = np.ones((n + m, n + m))
    costs[:n, :m] = np.abs(first[:, None] - second[None, :]) / time_scale
    costs[n:, m:] = 0.0
    rows, columns = linear_sum_assignment(costs)
    paired = (rows < n) & (columns < m)
    pairs = np.stack([rows[paired], columns[paired]], axis=1)
    lost, gained = rows[(rows < n) & (columns >= m)], columns[(rows >= n) & (columns < m)]
    return pairs, (lost, gained), float(costs[rows, columns].sum())


@dataclass(frozen=True)
class LayerChange:
    """How the spikes of one layer differ between two trials; times in seconds.

    Attributes
    ----------
    spikes : int
        Of the first trial.
    gained, lost, shifted : int
        Spikes of the second trial alone, of the first alone, and those at another time.
    rms_shift, largest_shift : float
        Over all spikes that both have; NaN where there are none.
    first, last : float
        The times of the first and of the last spike that is not in both at the same time; NaN where there is none.
    unchanged_after : int
        How many spikes at the same time follow on the last that differs.
    moved_in_rank : int
        Of the spikes that both have, how many have another place in the order of these.
    rank_correlation : float
        Kendall's tau of their order; NaN for fewer than two.
    victor_purpura : float
        The distance, summed over neurons.
    """

    spikes: int
    gained: int
    lost: int
    shifted: int
    rms_shift: float
    largest_shift: float
    first: float
    last: float
    unchanged_after: int
    moved_in_rank: int
    rank_correlation: float
    victor_purpura: float


def layer_change(before, after, time_scale, tolerance):
    """Compare the spikes of one layer.

    Parameters
    ----------
    before, after, time_scale
        See `match_spikes`.
    tolerance : float
        Spikes that differ by less, in seconds, are at the same time.

    Returns
    -------
    LayerChange
    """
    found = match_spikes(before, after, time_scale)
    old, new = before[0][found.before], after[0][found.after]
    shifts = np.abs(new - old)
    moved = shifts > tolerance
    different = np.concatenate(
        [np.minimum(old, new)[moved], before[0][found.lost], after[0][found.gained], np.maximum(old, new)[moved]]
    )
    last = float(different.max()) if len(different) else np.nan
    ranks_before, ranks_after = ranks(old), ranks(new)
    correlated = len(old) > 1
    return LayerChange(
        spikes=len(before[0]),
        gained=len(found.gained),
        lost=len(found.lost),
        shifted=int(np.count_nonzero(moved)),
        rms_shift=float(np.sqrt(np.mean(shifts**2))) if len(shifts) else np.nan,
        largest_shift=float(shifts.max()) if len(shifts) else np.nan,
        first=float(different.min()) if len(different) else np.nan,
        last=last,
        unchanged_after=int(np.count_nonzero(old[~moved] > last)) if len(different) else len(old),
        moved_in_rank=int(np.count_nonzero(ranks_before != ranks_after)),
        rank_correlation=float(kendalltau(old, new).statistic) if correlated else np.nan,
        victor_purpura=found.cost,
    )


def ranks(times):
    """The place of each spike in the order of time, counted from 0; simultaneous ones stay as they are listed."""
    place = np.empty(len(times), dtype=np.int64)
    place[np.argsort(times, kind="stable")] = np.arange(len(times))
    return place
