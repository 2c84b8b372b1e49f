"""What a simulation did: spikes and states, with units."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from brian2 import NeuronGroup, Quantity, second
from brian2.groups.group import Group

from brian_qif.arguments import check_dimensions
from brian_qif.plan.reader import NetworkReading
from brian_qif.solvers.clock_trial import ClockHistory
from brian_qif.solvers.reference import ReferenceNetwork
from brian_qif.solvers.sweeps import Record, Request


class Spikes(NamedTuple):
    """Spikes of one group in time order: ``t`` (a time) and the neurons' indices ``i``."""

    t: Quantity
    i: np.ndarray


class SpikesOfGroups:
    """Spikes by group: ``trajectory.spikes[neurons].t``. Iteration gives the names of the groups."""

    def __init__(self, reading: NetworkReading, record: Record):
        self._reading, self._record = reading, record

    def __getitem__(self, group: Group | str) -> Spikes:
        node = self._reading.node(group)
        return Spikes(Quantity(self._record.spike_times[node], dim=second.dim), self._record.spike_units[node])

    def __iter__(self) -> Iterator[str]:
        return iter([node.name for node in self._reading.plan.nodes])

    def __len__(self) -> int:
        return len(self._reading.plan.nodes)

    def __repr__(self):
        counts = zip(self._reading.plan.nodes, self._record.spike_times, strict=True)
        return "Spikes(" + ", ".join(f"{node.name}: {len(times)}" for node, times in counts) + ")"


class Trajectory:
    """The outcome of a simulation.

    Attributes
    ----------
    spikes : mapping from group to `Spikes`
        ``spikes[group].t`` and ``.i``, in time order; as exact as the solver says.
    duration : float
        Length of the trial in seconds.
    start : float
        The time at which it began, in seconds.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_qif import EventSolver
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network()
    >>> trajectory = EventSolver().simulate(network, 40*ms)
    >>> trajectory.spikes[neurons].i
    array([1, 0])
    >>> trajectory.state(neurons, "I", [2, 5]*ms).round(3)
    array([[4.   , 5.   ],
           [5.963, 7.704]])
    """

    def __init__(self, reading: NetworkReading, duration: float, record: Record, stimuli: dict | None = None):
        self._reading, self._record, self._stimuli = reading, record, stimuli
        self.duration, self.start = duration, reading.plan.start
        self.spikes = SpikesOfGroups(reading, record)

    def __repr__(self):
        return f"Trajectory({self.duration} s, {self.spikes!r})"

    def size(self, group: Group | str) -> int:
        """The number of neurons of a group."""
        return self._reading.plan.nodes[self._reading.node(group)].size

    def state(self, group: NeuronGroup, name: str, times: Quantity) -> Quantity:
        """A state variable of a group at given times.

        Exact up to rounding with `EventSolver`: the trial is simulated once more by the NumPy reference to read it.
        With `ClockSolver`, what Brian2 has at the beginning of a step, and between steps a straight line.

        Parameters
        ----------
        group : `brian2.NeuronGroup`
        name : str
            Name of the voltage or the current in the group's equations.
        times : `brian2.Quantity`
            Times within the trial; a time at which a spike arrives shows the state just after it.

        Returns
        -------
        `brian2.Quantity`
            One row per time, one column per neuron; shape (neurons,) for a single time.
        """
        node = self._reading.node(group)
        plan = self._reading.plan
        group_read = self._reading.neurons.get(node)
        if group_read is None or not isinstance(name, str) or name not in group_read.state_names:
            known = " and ".join(f"'{x}'" for x in group_read.state_names) if group_read else "no state variables"
            raise ValueError(f"'{plan.nodes[node].name}' has {known}; '{name}' cannot be read.")
        seconds = self._times_within_trial(times)
        row = group_read.state_names.index(name)
        values = self._rows(node, row, seconds)
        return Quantity(values if np.ndim(times) else values[0], dim=group.variables[name].dim)

    def _rows(self, node: int, row: int, seconds: np.ndarray) -> np.ndarray:
        plan = self._reading.plan
        if isinstance(self._record.history, ClockHistory):
            states: Any = self._record.history.states
            return states(node, seconds)[:, row]
        order = np.argsort(seconds, kind="stable")
        request = Request(self.duration, samples={node: seconds[order]})
        samples = ReferenceNetwork(plan).forward(request, self._stimuli).samples[node][:, row]
        entry, values = plan.nodes[node], np.empty_like(samples)
        values[order] = entry.v_offset + entry.v_scale * samples if row == 0 else entry.current_scale[row - 1] * samples
        return values

    def _times_within_trial(self, times) -> np.ndarray:
        message = "States are read at times, for instance [10, 12]*ms"
        check_dimensions(times, second, message)
        seconds = np.atleast_1d(np.asarray(times, dtype=float))
        if seconds.ndim > 1:
            raise ValueError(f"{message}, in one row; an array of shape {seconds.shape} was given.")
        start = self._reading.plan.start
        outside = ~((seconds >= start) & (seconds <= start + self.duration))
        if np.any(outside):
            raise ValueError(
                f"The time {seconds[outside][0]} s lies outside the trial, {start} s to {start + self.duration} s."
            )
        return seconds
