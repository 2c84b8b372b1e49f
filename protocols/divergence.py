"""How far two trials of one network are apart, over the time since they began to differ."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

# Trials whose states are this far apart (root mean square, in the units of `distance_over_time`) are two trials.
APART = 0.05
# Distances between these grow or decay as the linear equations say, above rounding.
_LINEAR = (1e-13, 1e-2)
# The beginning and the end of a course, over which the largest distance counts, in time scales.
_ENDS = 3
_FEWEST_POINTS = 5


def distance_over_time(before, after, circular):
    """The root mean square, over neurons, of the difference of their states.

    Parameters
    ----------
    before, after : numpy.ndarray
        States of one layer, see `Trial`; one row per time, one column per neuron.
    circular : bool
        Whether they are phases, of which -1/2 and 1/2 are the same.

    Returns
    -------
    numpy.ndarray
        One value per time.
    """
    difference = np.abs(after - before)
    if circular:
        difference = np.minimum(difference, 1 - difference)
    return np.sqrt(np.mean(difference**2, axis=1))


def course(distances, times, time_scale):
    """What a distance does from beginning to end.

    Parameters
    ----------
    distances : numpy.ndarray
        From the moment of the perturbation on.
    times : numpy.ndarray
        Since then, in seconds.
    time_scale : float
        Of the neurons, in seconds.

    Returns
    -------
    dict
        ``distance_start`` and ``distance_end``, the largest in the first and in the last three time scales, the first
        ones counted from the first difference where it comes later than these; ``diverged``, whether the end is more
        than ten times the start, or above `APART`; ``reconverged``, whether it is less than a tenth; both None where
        nothing differs or the time is too short. ``growth_rate`` (1/s) with its
        window, ``rate_from`` and ``rate_to`` (s), NaN where fewer than five distances lie in it: from one time scale
        after the perturbation on, as long as the distance is above rounding and below 0.01.
    """
    found = {"distance_start": np.nan, "distance_end": np.nan, "diverged": None, "reconverged": None}
    found |= {"growth_rate": np.nan, "rate_from": np.nan, "rate_to": np.nan}
    begin, differing = 0.0, np.flatnonzero(distances)
    if len(differing) and times[differing[0]] > _ENDS * time_scale:
        # A layer that hears of the perturbation late differs by nothing until then, and no growth is told from nothing.
        begin = times[differing[0]]
    if not len(times) or times[-1] < begin + 2 * _ENDS * time_scale:
        return found
    start = float(distances[times <= begin + _ENDS * time_scale].max())
    end = float(distances[times >= times[-1] - _ENDS * time_scale].max())
    found |= {"distance_start": start, "distance_end": end}
    if start == end == 0:
        return found
    found["diverged"] = bool(end > APART or end > 10 * start)
    found["reconverged"] = bool(not found["diverged"] and end <= start / 10)
    inside = (times >= time_scale) & (distances >= _LINEAR[0])
    large = np.flatnonzero(distances > _LINEAR[1])
    if len(large):
        inside[large[0] :] = False
    if np.count_nonzero(inside) >= _FEWEST_POINTS:
        rate, _ = np.polyfit(times[inside], np.log(distances[inside]), 1)
        chosen = times[inside]
        found |= {"growth_rate": float(rate), "rate_from": float(chosen[0]), "rate_to": float(chosen[-1])}
    return found


def flux_tube_radius(sizes, diverged):
    """The size of perturbation beyond which trials part, where smaller ones heal.

    The share of perturbations that diverge is taken as ``1 - exp(-size/radius)``: as if walls stood at random along the
    direction of the perturbation. The radius is that of the greatest likelihood.

    Parameters
    ----------
    sizes : array-like of float
    diverged : array-like of bool
        One entry per perturbation.

    Returns
    -------
    float or None
        None unless fewer than half of the smallest perturbations diverge, and half of the largest or more: the radius
        then lies below or above the sizes that were tried, or there is none.

    References
    ----------
    Monteforte & Wolf (2012), Dynamic flux tubes form reservoirs of stability in neuronal circuits, Phys. Rev. X 2,
    041007
    """
    sizes, diverged = np.asarray(sizes, dtype=float), np.asarray(diverged, dtype=bool)
    smallest, largest = diverged[sizes == sizes.min()].mean(), diverged[sizes == sizes.max()].mean()
    if not smallest < 0.5 <= largest:
        return None

    def unlikely(log_radius):
        scaled = sizes / np.exp(log_radius)
        return float(np.sum(scaled[~diverged]) - np.sum(np.log(-np.expm1(-scaled[diverged]))))

    bounds = np.log(sizes.min()) - 10, np.log(sizes.max()) + 10
    return float(np.exp(minimize_scalar(unlikely, bounds=bounds, method="bounded").x))
