"""Recorded spikes and states as objects of neo, which analysis libraries such as Elephant take."""

from __future__ import annotations

import numpy as np
from brian2 import NeuronGroup, Quantity, SpikeMonitor
from brian2.groups.group import Group

from brian_qif.bridges.recorded import check_trajectory, recorded_spikes
from brian_qif.solvers.trajectory import Trajectory

try:
    import neo
    import quantities
except ImportError as error:
    raise ImportError(
        "brian_qif.bridges.neo needs neo: install neo, or brian_qif with its extra 'neo', for instance "
        "pip install '.[neo]' in its folder."
    ) from error


def spike_trains(recorded: Trajectory | SpikeMonitor, group: Group | str | None = None) -> list[neo.SpikeTrain]:
    """The spikes of a group, one `neo.SpikeTrain` per neuron, also for those without spikes.

    Parameters
    ----------
    recorded : `brian_qif.Trajectory` or `brian2.SpikeMonitor`
    group : `brian2.Group` or str, optional
        Which group of a trajectory; a monitor has one.

    Returns
    -------
    list of `neo.SpikeTrain`
        In seconds, from the start to the end of the trial, with the annotations ``group`` and ``neuron``.

    Raises
    ------
    TypeError
        If no spikes were recorded there, or a trajectory is given without a group.
    ValueError
        If there is no such group.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_qif import EventSolver
    >>> from brian_qif.bridges.neo import spike_trains
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network()
    >>> trains = spike_trains(EventSolver().simulate(network, 40*ms), neurons)
    >>> [len(train) for train in trains]
    [1, 1]
    """
    spikes = recorded_spikes(recorded, group)
    return [
        neo.SpikeTrain(
            spikes.times[spikes.neurons == neuron],
            units="s",
            t_start=spikes.start,
            t_stop=spikes.end,
            group=spikes.name,
            neuron=neuron,
        )
        for neuron in range(spikes.size)
    ]


def state_signal(
    trajectory: Trajectory, group: NeuronGroup, name: str, times: Quantity
) -> neo.IrregularlySampledSignal:
    """A state variable of a group at given times.

    Parameters
    ----------
    trajectory : `brian_qif.Trajectory`
    group : `brian2.NeuronGroup`
    name : str
        The voltage or a synaptic current of its equations.
    times : `brian2.Quantity`
        Ascending times within the trial.

    Returns
    -------
    `neo.IrregularlySampledSignal`
        One channel per neuron, in the SI unit of the variable.

    Raises
    ------
    TypeError
        If it is no trajectory, or the times are none.
    ValueError
        If there is no such group or variable, or the times do not ascend.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_qif import EventSolver
    >>> from brian_qif.bridges.neo import state_signal
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network()
    >>> signal = state_signal(EventSolver().simulate(network, 40*ms), neurons, "v", [5, 10]*ms)
    >>> signal.shape
    (2, 2)
    """
    check_trajectory(trajectory)
    states = np.atleast_2d(trajectory.state(group, name, times))
    if np.any(np.diff(np.atleast_1d(times)) < 0):
        raise ValueError(f"The times of a neo signal ascend; {times!r} was given.")
    dimensions = dict(zip(_BASE_UNITS, group.variables[name].dim._dims, strict=True))
    unit = quantities.dimensionless
    for base, exponent in dimensions.items():
        unit = unit * quantities.Quantity(1.0, base) ** exponent
    return neo.IrregularlySampledSignal(
        np.atleast_1d(np.asarray(times, dtype=float)),
        np.asarray(states),
        units=unit.units,
        time_units="s",
        name=f"{group.name}.{name}",
    )


# Brian2's order of the base dimensions.
_BASE_UNITS = ("m", "kg", "s", "A", "K", "mol", "cd")
