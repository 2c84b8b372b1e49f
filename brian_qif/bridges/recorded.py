"""Recorded spikes of one group, whether a solver or a monitor of Brian2 recorded them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from brian2 import SpikeMonitor
from brian2.groups.group import Group

from brian_qif.solvers.trajectory import Trajectory


class RecordedSpikes(NamedTuple):
    """Spikes of a group: ``times`` in seconds and ``neurons``, in time order, and the trial's ``start`` and ``end``."""

    name: str
    size: int
    times: np.ndarray
    neurons: np.ndarray
    start: float
    end: float


def recorded_groups(recorded: Trajectory | SpikeMonitor) -> list[str]:
    """The names of the groups whose spikes were recorded.

    Raises
    ------
    TypeError
        If it is neither a `Trajectory` nor a `brian2.SpikeMonitor`.
    """
    if isinstance(recorded, Trajectory):
        return list(recorded.spikes)
    if isinstance(recorded, SpikeMonitor):
        return [recorded.source.name]
    raise TypeError(
        f"Recorded spikes are a Trajectory, as a solver gives it, or a SpikeMonitor; {recorded!r} was given."
    )


def check_trajectory(trajectory: Trajectory) -> None:
    """Refuse what has no states to be read.

    Raises
    ------
    TypeError
        If it is no `Trajectory`.
    """
    if not isinstance(trajectory, Trajectory):
        raise TypeError(
            f"States are read from a Trajectory, as a solver gives it: EventSolver().simulate(network, 40*ms); "
            f"{trajectory!r} was given."
        )


def recorded_spikes(recorded: Trajectory | SpikeMonitor, group: Group | str | None = None) -> RecordedSpikes:
    """The spikes of one group.

    Parameters
    ----------
    recorded : `Trajectory` or `brian2.SpikeMonitor`
    group : `brian2.Group` or str, optional
        Which group of a trajectory; a monitor has one.

    Raises
    ------
    TypeError
        If nothing was recorded there, or a trajectory is given without a group.
    ValueError
        If there is no such group.
    """
    names = recorded_groups(recorded)
    if isinstance(recorded, Trajectory):
        if group is None:
            raise TypeError(f"Which group of the trajectory? It has {', '.join(names)}.")
        spikes, name = recorded.spikes[group], getattr(group, "name", group)
        end = recorded.start + recorded.duration
        return RecordedSpikes(name, recorded.size(group), np.asarray(spikes.t), spikes.i, recorded.start, end)
    name = names[0] if group is None else getattr(group, "name", group)
    if name != names[0]:
        raise ValueError(f"The monitor '{recorded.name}' recorded '{names[0]}', not '{name}'.")
    times, neurons = np.asarray(recorded.t), np.asarray(recorded.i)
    order = np.argsort(times, kind="stable")
    end = np.asarray(recorded.clock.t[:]).item()
    return RecordedSpikes(name, len(recorded.source), times[order], neurons[order], 0.0, end)
