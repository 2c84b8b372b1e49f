"""Recorded spikes and states as pandas tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from brian2 import NeuronGroup, Quantity, SpikeMonitor, get_unit
from brian2.groups.group import Group

from brian_qif.bridges.recorded import check_trajectory, recorded_groups, recorded_spikes
from brian_qif.solvers.trajectory import Trajectory


def spike_table(recorded: Trajectory | SpikeMonitor, groups: Sequence[Group | str] | None = None) -> pd.DataFrame:
    """One row per spike.

    Parameters
    ----------
    recorded : `brian_qif.Trajectory` or `brian2.SpikeMonitor`
    groups : list, optional
        Groups or their names, by default all.

    Returns
    -------
    `pandas.DataFrame`
        Columns ``group``, ``neuron`` and ``time`` (seconds), by group and then by time.

    Raises
    ------
    TypeError
        If groups are no list, or no spikes were recorded there.
    ValueError
        If there is no such group.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_qif import EventSolver
    >>> from brian_qif.bridges.tables import spike_table
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network()
    >>> table = spike_table(EventSolver().simulate(network, 40*ms), [neurons])
    >>> table[["neuron", "time"]].round(6)
       neuron      time
    0       1  0.016375
    1       0  0.018230
    """
    if not isinstance(groups, (list, tuple, type(None))):
        raise TypeError(f"groups is a list of groups or their names; {groups!r} was given.")
    names = recorded_groups(recorded) if groups is None else groups
    found = [recorded_spikes(recorded, name) for name in names]
    return pd.DataFrame(
        {
            "group": np.repeat([one.name for one in found], [len(one.times) for one in found]),
            "neuron": np.concatenate([np.zeros(0, dtype=np.int64), *(one.neurons for one in found)]),
            "time": np.concatenate([np.zeros(0), *(one.times for one in found)]),
        }
    )


def state_table(trajectory: Trajectory, group: NeuronGroup, name: str, times: Quantity) -> pd.DataFrame:
    """A state variable at given times, one row per time and neuron.

    Parameters
    ----------
    trajectory : `brian_qif.Trajectory`
    group : `brian2.NeuronGroup`
    name : str
        The voltage or a synaptic current of its equations.
    times : `brian2.Quantity`
        Times within the trial.

    Returns
    -------
    `pandas.DataFrame`
        Columns ``time`` (seconds), ``neuron`` and the variable, in SI units; the unit is in
        ``table.attrs["unit"]``.

    Raises
    ------
    TypeError
        If it is no trajectory, or the times are none.
    ValueError
        If there is no such group or variable, or a time lies outside the trial.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_qif import EventSolver
    >>> from brian_qif.bridges.tables import state_table
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network()
    >>> state_table(EventSolver().simulate(network, 40*ms), neurons, "I", [2, 5]*ms).round(3)
        time  neuron      I
    0  0.002       0  4.000
    1  0.002       1  5.000
    2  0.005       0  5.963
    3  0.005       1  7.704
    """
    check_trajectory(trajectory)
    states = np.atleast_2d(np.asarray(trajectory.state(group, name, times)))
    seconds = np.atleast_1d(np.asarray(times, dtype=float))
    neurons = np.arange(states.shape[1])
    table = pd.DataFrame(
        {
            "time": np.repeat(seconds, len(neurons)),
            "neuron": np.tile(neurons, len(seconds)),
            name: states.ravel(),
        }
    )
    dimensions = group.variables[name].dim
    table.attrs["unit"] = "1" if dimensions.is_dimensionless else repr(get_unit(dimensions))
    return table
