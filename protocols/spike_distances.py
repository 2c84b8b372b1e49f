"""Spike-train distances over time, by the libraries that define them: elephant and PySpike."""

from __future__ import annotations

import numpy as np
import pandas as pd

from brian_qif.protocols.checks import several
from brian_qif.protocols.perturbed_network import ROUNDING

# By name: the library that computes it, and the package to install.
_LIBRARIES = {"victor_purpura": "elephant", "van_rossum": "elephant", "spike": "pyspike"}
MEASURES = tuple(_LIBRARIES)


def require_libraries(measures):
    """Refuse measures that are not known, or whose library is missing.

    Parameters
    ----------
    measures : sequence of str

    Raises
    ------
    ValueError
        For an unknown one.
    ImportError
        If a library is not installed.
    """
    from importlib.util import find_spec

    for name in several("distances", measures, "names"):
        if name not in _LIBRARIES:
            raise ValueError(f"There is no distance '{name}'; there are {', '.join(MEASURES)}.")
        if find_spec(_LIBRARIES[name]) is None:
            raise ImportError(
                f"The distance '{name}' needs {_LIBRARIES[name]}: pip install 'brian_qif[distances]', or leave it out"
                " of 'distances'."
            )


def distances_over_time(before, after, n_neurons, duration, time_scale, measures=MEASURES, windows=20):
    """How far the spikes of one layer in two trials are apart, window by window.

    Parameters
    ----------
    before, after : tuple of numpy.ndarray
        Times (seconds) and neurons of the spikes.
    n_neurons : int
        The number of neurons of the layer.
    duration : float
        Of the trial, in seconds.
    time_scale : float
        In seconds: 1/q of Victor and Purpura, tau of van Rossum.
    measures : sequence of str
        'victor_purpura' and 'van_rossum', summed over neurons, from the spikes within each window; 'spike', the mean
        over neurons of the SPIKE profile in the middle of the window, which looks ahead to the next spikes.
    windows : int
        Of equal length.

    Returns
    -------
    pandas.DataFrame
        With the columns ``measure``, ``time`` (the middle of the window) and ``distance``.

    References
    ----------
    Victor & Purpura (1996), J. Neurophysiol. 76, 1310; van Rossum (2001), Neural Comput. 13, 751, normalised so that
    one spike against none is 1; Kreuz et al. (2013), J. Neurophysiol. 109, 1457
    """
    edges = np.linspace(0, duration, windows + 1)
    trains = [_trains(train, n_neurons) for train in (before, after)]
    changed = [pair for pair in zip(*trains, strict=True) if not _same(*pair)]
    rows = []
    for measure in measures:
        values = np.zeros(windows)
        for pair in changed:
            values += _MEASURES[measure](pair, edges, time_scale)
        if measure == "spike":
            values /= n_neurons
        middles = (edges[:-1] + edges[1:]) / 2
        rows += [{"measure": measure, "time": t, "distance": d} for t, d in zip(middles, values, strict=True)]
    return pd.DataFrame(rows)


def _trains(train, n_neurons):
    times, neurons = train
    return [np.sort(times[neurons == k]) for k in range(n_neurons)]


def _same(first, second):
    """Whether two trains are the same up to rounding, which the libraries would amplify."""
    return len(first) == len(second) and bool(np.all(np.abs(first - second) <= ROUNDING))


def _in_windows(pair, edges, distance):
    """A distance of the spikes within each window; zero without asking where they are the same."""
    values = np.zeros(len(edges) - 1)
    for k, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        parts = [times[(times >= low) & (times < high)] for times in pair]
        if not _same(*parts):
            values[k] = distance(parts, low, high)
    return values


def _victor_purpura(pair, edges, time_scale):
    import quantities
    from elephant.spike_train_dissimilarity import victor_purpura_distance

    def distance(parts, low, high):
        cost = quantities.Quantity(1 / time_scale, "1/s")
        return victor_purpura_distance(_neo(parts, low, high), cost_factor=cost)[0, 1]

    return _in_windows(pair, edges, distance)


def _van_rossum(pair, edges, time_scale):
    import quantities
    from elephant.spike_train_dissimilarity import van_rossum_distance

    def distance(parts, low, high):
        return van_rossum_distance(_neo(parts, low, high), time_constant=time_scale * quantities.s)[0, 1]

    return _in_windows(pair, edges, distance)


def _neo(parts, low, high):
    import neo

    return [neo.SpikeTrain(times, units="s", t_start=low, t_stop=high) for times in parts]


def _spike(pair, edges, time_scale):
    import pyspike

    trains = [pyspike.SpikeTrain(times, (edges[0], edges[-1])) for times in pair]
    middles = (edges[:-1] + edges[1:]) / 2
    return np.asarray(pyspike.spike_profile(*trains)(middles.tolist()))


_MEASURES = {"victor_purpura": _victor_purpura, "van_rossum": _van_rossum, "spike": _spike}
