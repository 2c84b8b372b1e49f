"""How much gradients differ between neighbouring points around a network, from a millionth of a step on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from brian_qif.protocols.landscape_pieces import GRID
from brian_qif.protocols.landscape_subject import Subject, dot, probe_of

# With the seed and the number of a point, what the point and the direction away from it are drawn from.
_PLACES, _AWAY = 10, 11
DISTANCES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)  # to the neighbours, in steps
_OUTLIERS = 0.01


@dataclass(frozen=True)
class GradientPairs:
    """A point of the plane, drawn at random, and neighbours of it in a random direction at several distances."""

    point: int
    extent: float

    @property
    def name(self):
        return f"gradient_pairs_{self.point:03d}"

    def compute(self, subject: Subject) -> dict[str, np.ndarray]:
        """Squares of gradients and of their differences, of the mean loss and of each sample, by distance.

        ``changed``: whether the spikes of a sample are others, one more or less of some neuron.
        """
        probe, samples = probe_of(subject), range(len(subject.samples))
        places = np.random.default_rng([subject.seed, _PLACES, self.point]).uniform(-self.extent, self.extent, 2)
        corner = [(place, probe.direction(GRID, k)) for k, place in enumerate(places)]
        away = probe.direction(_AWAY, self.point)
        points = [probe.at(*corner)] + [probe.at(*corner, (distance, away)) for distance in DISTANCES]
        squares, differences = np.empty(len(samples)), np.empty((len(DISTANCES), len(samples)))
        changed = np.empty(differences.shape, bool)
        totals = [0.0] * len(points)
        for n in samples:
            trials = [point.trial(n) for point in points]
            gradients = [_flat(point.slopes(trial)) for point, trial in zip(points, trials, strict=True)]
            counts = [np.bincount(probe.spikes(trial.record)[1], minlength=probe.neurons) for trial in trials]
            squares[n] = gradients[0] @ gradients[0]
            for k, (gradient, count) in enumerate(zip(gradients[1:], counts[1:], strict=True)):
                differences[k, n] = np.sum((gradient - gradients[0]) ** 2)
                changed[k, n] = not np.array_equal(count, counts[0])
            totals = [total + gradient / len(samples) for total, gradient in zip(totals, gradients, strict=True)]
        return {
            "places": places,
            "length": np.sqrt(dot(away, away)),
            "squared_norm": totals[0] @ totals[0],
            "squared_differences": np.array([np.sum((total - totals[0]) ** 2) for total in totals[1:]]),
            "squared_norms_of_samples": squares,
            "squared_differences_of_samples": differences,
            "changed": changed,
        }


def _flat(gradient):
    return np.concatenate([np.ravel(part) for part in gradient])


def variance_by_distance(pairs):
    """The variance of gradients between neighbouring points, by distance; means, medians, and what a few pairs carry.

    Parameters
    ----------
    pairs : list of dict
        What `GradientPairs` computed.

    Returns
    -------
    list of dict
        For each distance, of the mean loss: ``relative``, the mean of ``|g(x) - g(x + e u)|**2/|g(x)|**2`` over
        points; ``median`` of these; ``pooled``, the mean numerator over the mean denominator. The same of single
        samples, with ``sample_`` before, and ``sample_trimmed``: pooled without the hundredth of the pairs with the
        largest differences, of which ``sample_largest`` is the share in the sum of all. ``changed``: the share of pairs
        whose spikes differ in number; ``sample_unchanged``: pooled over the others.
    """
    lengths = [float(pair["length"]) for pair in pairs]
    norms = np.array([pair["squared_norm"] for pair in pairs])
    norms_of_samples = np.concatenate([pair["squared_norms_of_samples"] for pair in pairs])
    rows = []
    for k, step in enumerate(DISTANCES):
        own = np.array([pair["squared_differences"][k] for pair in pairs])
        of_samples = np.concatenate([pair["squared_differences_of_samples"][k] for pair in pairs])
        changed = np.concatenate([pair["changed"][k] for pair in pairs])
        rows.append(
            {
                "step": step,
                "distance": step * float(np.mean(lengths)),
                "points": len(pairs),
                **_ratios(own, norms),
                **{f"sample_{name}": value for name, value in _ratios(of_samples, norms_of_samples).items()},
                **_without_the_largest(of_samples, norms_of_samples),
                "changed": float(np.mean(changed)),
                "sample_unchanged": _ratios(of_samples[~changed], norms_of_samples[~changed])["pooled"],
            }
        )
    return rows


def _ratios(differences, norms):
    """Mean and median of the ratios, and the ratio of the means; None where there is nothing to tell."""
    told = np.isfinite(differences) & np.isfinite(norms) & (norms > 0)  # NaN where a spike grazes its threshold
    if not told.any():
        return {"relative": None, "median": None, "pooled": None}
    differences, norms = differences[told], norms[told]
    return {
        "relative": float(np.mean(differences / norms)),
        "median": float(np.median(differences / norms)),
        "pooled": float(np.sum(differences) / np.sum(norms)),
    }


def _without_the_largest(differences, norms):
    told = np.isfinite(differences) & np.isfinite(norms)
    differences, norms = differences[told], norms[told]
    order = np.argsort(differences, kind="stable")
    most = order[: len(order) - max(1, round(_OUTLIERS * len(order)))]
    total = float(np.sum(differences))
    return {
        "sample_trimmed": float(np.sum(differences[most]) / np.sum(norms[most])) if np.any(norms[most]) else None,
        "sample_largest": float(1 - np.sum(differences[most]) / total) if total > 0 else None,
    }
