"""Measures of a loss landscape, each a plain function of arrays."""

from __future__ import annotations

import numpy as np

# How far a slope and a finite difference may be apart, as a part of the larger, and which are too small to tell.
DISAGREEMENT, NEGLIGIBLE = 0.1, 1e-6


def lipschitz(losses, distances):
    """Local Lipschitz estimates: at each point, the steepest way to a neighbour.

    Parameters
    ----------
    losses : numpy.ndarray
        By row and column; further axes are kept.
    distances : tuple of float
        Between neighbouring rows, and between neighbouring columns.

    Returns
    -------
    numpy.ndarray
        The largest ``|L(x) - L(x')|/|x - x'|`` over the two to four neighbours of each point.
    """
    found = np.zeros(losses.shape)
    for axis, distance in enumerate(distances):
        steep = np.abs(np.diff(losses, axis=axis)) / distance
        here, there = [slice(None)] * losses.ndim, [slice(None)] * losses.ndim
        here[axis], there[axis] = slice(None, -1), slice(1, None)
        np.maximum(found[tuple(here)], steep, out=found[tuple(here)])
        np.maximum(found[tuple(there)], steep, out=found[tuple(there)])
    return found


def total_variation(losses, extents):
    """The total variation of the rows and columns of a grid per unit length, on average.

    Parameters
    ----------
    losses : numpy.ndarray
        By row and column; further axes are averaged over.
    extents : tuple of float
        The length of a column, and that of a row.

    Returns
    -------
    float
    """
    by_axis = [np.mean(np.sum(np.abs(np.diff(losses, axis=axis)), axis=axis)) / extents[axis] for axis in (0, 1)]
    return float(np.mean(by_axis))


def gradient_variance(lines):
    """How much gradients differ between points at several distances along lines.

    Parameters
    ----------
    lines : list of dict
        Each with ``lags``, ``squared_differences`` (by lag and point, NaN behind the end) and ``squared_norms``.

    Returns
    -------
    list of dict
        For each lag: the mean of ``|g(x) - g(x + e u)|**2/|g(x)|**2``, and the median; the mean of the numerator over
        that of the denominator, which points of small gradients do not dominate; the mean of the numerator; the number
        of points.
    """
    rows = []
    for k, lag in enumerate(lines[0]["lags"]):
        differences = np.concatenate([line["squared_differences"][k] for line in lines])
        norms = np.concatenate([line["squared_norms"] for line in lines])
        used = np.isfinite(differences) & np.isfinite(norms) & (norms > 0)
        differences, norms = differences[used], norms[used]
        there = len(norms) > 0
        rows.append(
            {
                "lag": int(lag),
                "relative": float(np.mean(differences / norms)) if there else None,
                "median": float(np.median(differences / norms)) if there else None,
                "pooled": float(np.mean(differences) / np.mean(norms)) if there else None,
                "absolute": float(np.mean(differences)) if there else None,
                "points": len(norms),
            }
        )
    return rows


def disagreeing(slopes, differences):
    """The share of directions and samples whose slope is not what a finite difference says.

    Parameters
    ----------
    slopes : numpy.ndarray
        By direction and sample.
    differences : numpy.ndarray
        By direction, step and sample.

    Returns
    -------
    list of float
        For each step, the share in which the two differ by more than a tenth of the larger; None if all are too small.
    """
    shares = []
    for k in range(differences.shape[1]):
        size = np.maximum(np.abs(slopes), np.abs(differences[:, k]))
        told = size > NEGLIGIBLE  # NaN, where a spike grazes its threshold, is not
        apart = np.abs(slopes - differences[:, k])[told] > DISAGREEMENT * size[told]
        shares.append(float(np.mean(apart)) if told.any() else None)
    return shares


def share_with_error(count, total):
    """A share and its standard error."""
    share = count / total
    return float(share), float(np.sqrt(share * (1 - share) / total))


def jump_measures(changes, variation, length):
    """Counts of what scans along lines found.

    Parameters
    ----------
    changes : pandas.DataFrame
        With the columns ``kind``, ``jump``, ``silenced`` and ``downstream``.
    variation, length : float
        The total variation and the length of all lines together.

    Returns
    -------
    dict
    """
    size = changes["jump"].abs()
    found = {"scanned_length": float(length), "variation_of_lines": float(variation)}
    for kind, name in (("inside", "inside_trial"), ("at the end", "at_end"), ("unresolved", "unresolved")):
        own = changes["kind"] == kind
        found[f"changes_{name}"] = int(own.sum())
        found[f"jumps_{name}"] = int((own & (size > 0)).sum())
        found[f"{name}_share_of_variation"] = float(size[own].sum() / variation) if variation > 0 else 0.0
    found["jumps_per_unit_length"] = (found["jumps_inside_trial"] + found["jumps_at_end"]) / length
    found["jump_share_of_variation"] = found["inside_trial_share_of_variation"] + found["at_end_share_of_variation"]
    found["neurons_silenced"] = int(changes["silenced"].sum())
    return found
