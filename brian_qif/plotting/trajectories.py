"""Spikes and states drawn into axes, after the conventions of brian2tools.

Every function takes ``axes`` (by default matplotlib's current ones), labels them with units, and returns them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from brian2 import NeuronGroup, Quantity, SpikeMonitor, get_dimensions, have_same_dimensions, ms
from brian2.groups.group import Group

from brian_qif.arguments import check_dimensions, single_time
from brian_qif.bridges.recorded import check_trajectory, recorded_spikes
from brian_qif.solvers.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_spikes(
    recorded: Trajectory | SpikeMonitor,
    group: Group | str | None = None,
    time_unit: Quantity = ms,
    axes: Axes | None = None,
    **keywords: Any,
) -> Axes:
    """Draw the spikes of a group as a raster: time to the right, neurons upwards.

    Parameters
    ----------
    recorded : `brian_qif.Trajectory` or `brian2.SpikeMonitor`
    group : `brian2.Group` or str, optional
        Which group of a trajectory; a monitor has one.
    time_unit : `brian2.Unit`
        Unit of the time axis.
    axes : `matplotlib.axes.Axes`, optional
        By default the current axes.
    **keywords
        Handed to `matplotlib.axes.Axes.plot`.

    Returns
    -------
    `matplotlib.axes.Axes`

    Raises
    ------
    TypeError, DimensionMismatchError
        If an argument is of another kind, or a unit one of something else.
    ValueError
        If there is no such group or variable, or a unit is not positive and finite.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_qif import EventSolver
    >>> from brian_qif.plotting.trajectories import plot_spikes
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network()
    >>> axes = plot_spikes(EventSolver().simulate(network, 40*ms), neurons)
    >>> axes.get_xlabel()
    'time (ms)'
    """
    spikes, scale, axes = recorded_spikes(recorded, group), _time_scale(time_unit), _current(axes)
    style = {"linestyle": "none", "marker": ".", "color": "k"} | keywords
    axes.plot(spikes.times / scale, spikes.neurons, **style)
    axes.set(
        xlabel=f"time ({time_unit!s})",
        ylabel=f"neuron of {spikes.name}",
        xlim=(spikes.start / scale, spikes.end / scale),
        ylim=(-0.5, spikes.size - 0.5),
    )
    return axes


def plot_state(
    trajectory: Trajectory,
    group: NeuronGroup,
    name: str,
    times: Quantity,
    time_unit: Quantity = ms,
    unit: Quantity | None = None,
    axes: Axes | None = None,
    **keywords: Any,
) -> Axes:
    """Draw a state variable of a group, a line per neuron.

    Parameters
    ----------
    trajectory : `brian_qif.Trajectory`
    group : `brian2.NeuronGroup`
    name : str
        The voltage or a synaptic current of its equations.
    times : `brian2.Quantity`
        Times within the trial.
    time_unit : `brian2.Unit`
        Unit of the time axis.
    unit : `brian2.Unit`, optional
        Unit of the variable; by default the one that Brian2 would print.
    axes : `matplotlib.axes.Axes`, optional
        By default the current axes.
    **keywords
        Handed to `matplotlib.axes.Axes.plot`.

    Returns
    -------
    `matplotlib.axes.Axes`

    Raises
    ------
    TypeError, DimensionMismatchError
        If an argument is of another kind, or a unit one of something else.
    ValueError
        If there is no such group or variable, or a unit is not positive and finite.

    Examples
    --------
    >>> from brian2 import ms
    >>> import numpy as np
    >>> from brian_qif import EventSolver
    >>> from brian_qif.plotting.trajectories import plot_state
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network()
    >>> axes = plot_state(EventSolver().simulate(network, 40*ms), neurons, "I", np.linspace(0, 40, 100)*ms)
    >>> len(axes.lines)
    2
    """
    check_trajectory(trajectory)
    states, scale = trajectory.state(group, name, times), _time_scale(time_unit)
    plain = have_same_dimensions(states, 1)
    if unit is None:
        unit = 1 if plain else Quantity(states).get_best_unit()
    check_dimensions(unit, Quantity(1, dim=get_dimensions(states)), f"unit is a unit of '{name}'")
    if np.ndim(unit) != 0 or not 0 < float(unit) < np.inf:
        raise ValueError(f"unit is one unit of '{name}'; {unit!r} was given.")
    axes = _current(axes)
    axes.plot(np.asarray(times) / scale, np.asarray(states) / float(unit), **keywords)
    axes.set(xlabel=f"time ({time_unit!s})", ylabel=name if plain else f"{name} ({unit!s})")
    return axes


def _time_scale(time_unit):
    """The unit of a time axis in seconds."""
    scale = single_time(time_unit, "time_unit is a unit of time, such as ms")
    if not 0 < scale < np.inf:
        raise ValueError(f"time_unit is a unit of time, such as ms; {time_unit!r} was given.")
    return scale


def _current(axes):
    if axes is not None:
        if not hasattr(axes, "plot"):
            raise TypeError(f"axes are those of matplotlib, such as plt.gca(), or None; {axes!r} was given.")
        return axes
    from matplotlib import pyplot

    return pyplot.gca()
