"""What all solvers do alike: simulate a network as it is now."""

from __future__ import annotations

from typing import Any

from brian2 import Network, Quantity, get_local_namespace

from brian_qif.arguments import single_time
from brian_qif.plan.network_plan import NetworkPlan
from brian_qif.plan.reader import NetworkReading
from brian_qif.solvers.sweeps import PreparedNetwork, Request
from brian_qif.solvers.trajectory import Trajectory


class NetworkSolver:
    """A solver: it can ``read`` a network and ``prepare`` the plan that it read."""

    def read(self, network: Network, namespace: dict | None) -> NetworkReading:
        """The network as this solver takes it."""
        raise NotImplementedError

    def prepare(self, plan: NetworkPlan) -> PreparedNetwork:
        """A plan, packed for what runs it."""
        raise NotImplementedError

    def find_backend(self, plan: NetworkPlan) -> Any:
        """What runs a plan."""
        raise NotImplementedError

    def simulate(
        self, network: Network, duration: Quantity, namespace: dict | None = None, level: int = 0
    ) -> Trajectory:
        """Simulate from the network's present state; the network itself is not changed.

        Parameters
        ----------
        network : `brian2.Network`
        duration : `brian2.Quantity`
            Length of the trial, a time.
        namespace : dict, optional
            Values of names in the equations that no group defines; by default those around the call.

        Returns
        -------
        `Trajectory`

        Raises
        ------
        NotImplementedError
            For objects and equations that are not supported, by name.
        DimensionMismatchError
            If ``duration`` is not a time.
        """
        seconds = duration_in_seconds(duration)
        namespace = get_local_namespace(level=level + 1) if namespace is None else namespace
        reading = self.read(network, namespace)
        prepared = self.prepare(reading.plan)
        return Trajectory(reading, seconds, prepared.forward(Request(seconds)))


def duration_in_seconds(duration: Quantity) -> float:
    """The length of a trial as a number.

    Raises
    ------
    TypeError, DimensionMismatchError
        If it is not one time.
    ValueError
        If it is not positive and finite.
    """
    seconds = single_time(duration, "The duration of a trial is a time, for instance 40*ms")
    if not 0 < seconds < float("inf"):
        raise ValueError(f"The duration of a trial must be positive and finite; it is {seconds} s.")
    return seconds
