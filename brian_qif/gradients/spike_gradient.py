"""The gradient of a loss with respect to anything in a Brian2 network, through its spikes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from brian2 import Network, get_local_namespace

from brian_qif.gradients.losses import Loss, with_dimensions
from brian_qif.gradients.parameters import find_parameter, wanted_slopes
from brian_qif.plan.network_plan import NetworkPlan
from brian_qif.plan.reader import NetworkReading, read_network
from brian_qif.solvers.event import EventSolver, duration_in_seconds
from brian_qif.solvers.sweeps import Record, Request, Seeds, Slopes
from brian_qif.solvers.trajectory import Trajectory


class SpikeGradient:
    """Value and exact gradient of a loss of one trial.

    Parameters
    ----------
    network : `brian2.Network`
        See `EventSolver` for what it may hold.
    loss : `SpikeTimeLoss`, `SpikeFunctionLoss` or `CrossEntropyLoss`
    parameters : list of `brian2.VariableView`
        With respect to what: ``synapses.w``, ``synapses.delay``, ``stimulus.spike_time``, or the initial state
        ``neurons.v``, ``neurons.I``.
    solver : `EventSolver`, optional
    namespace : dict, optional
        Values of names in the equations that no group defines; by default those around the call.

    Attributes
    ----------
    trajectory : `Trajectory`
        The trial of the last call.

    Raises
    ------
    TypeError
        If the loss is none, or a parameter is not a variable of the network.
    NotImplementedError
        For everything in the network that the solver does not support, by name, when the object is made.

    Notes
    -----
    The gradient is exact up to rounding, times the sensitivity of the trajectory. It is the derivative of the
    trial with the spikes that it has: a spike that is about to appear or vanish does not show in it.

    References
    ----------
    Wunderlich & Pehle, Scientific Reports 11, 12829 (2021); Klos & Memmesheimer, arXiv:2309.14523.

    Examples
    --------
    >>> from brian2 import *
    >>> from brian_qif import SpikeGradient, SpikeTimeLoss
    >>> from brian_qif.models import QIFGroup
    >>> stimulus = SpikeGeneratorGroup(2, [0, 1], [2, 5]*ms)
    >>> neurons = QIFGroup(1, tau_m=20*ms, tau_s=10*ms)
    >>> synapses = Synapses(stimulus, neurons, "w : 1", on_pre="I_post += w")
    >>> synapses.connect()
    >>> synapses.w = 8
    >>> network = Network(stimulus, neurons, synapses)
    >>> loss = SpikeTimeLoss(neurons, target=12*ms)
    >>> gradient = SpikeGradient(network, loss, parameters=[synapses.w])
    >>> value, slopes = gradient(40*ms)
    >>> slopes[0].shape
    (2,)
    """

    def __init__(
        self,
        network: Network,
        loss: Loss,
        parameters: Sequence,
        solver: EventSolver | None = None,
        namespace: dict | None = None,
        level: int = 0,
    ):
        self.network, self.loss = network, loss
        self.solver = EventSolver() if solver is None else solver
        if not hasattr(loss, "evaluate"):
            raise TypeError(f"A loss such as SpikeTimeLoss is needed; {loss!r} was given.")
        if not isinstance(parameters, (list, tuple)):
            raise TypeError("parameters is a list of variables, for instance parameters=[synapses.w].")
        self._views = list(parameters)
        self._namespace = get_local_namespace(level=level + 1) if namespace is None else namespace
        self.trajectory: Trajectory | None = None
        reading = self.read()
        self.solver.find_backend(reading.plan)

    def __repr__(self):
        names = ", ".join(f"{view.group.name}.{view.name}" for view in self._views)
        return f"<SpikeGradient of {type(self.loss).__name__} by {names}, exact up to rounding; {self.solver!r}>"

    def read(self) -> NetworkReading:
        """The network as it is now; refuses what the solver, the loss or a parameter cannot deal with."""
        reading = read_network(self.network, self._namespace)
        self.loss.check(reading)
        self.parameters = [find_parameter(reading, view) for view in self._views]
        return reading

    def __call__(self, duration):
        """Value and slopes for a trial from the network's present state.

        Parameters
        ----------
        duration : `brian2.Quantity`
            Length of the trial.

        Returns
        -------
        value : float or `brian2.Quantity`
        slopes : list of array or `brian2.Quantity`
            In the order of ``parameters``, each with the shape of its parameter and the unit of the value over the
            unit of the parameter.
        """
        seconds = duration_in_seconds(duration)
        reading = self.read()
        request = Request(seconds, self.loss.averages(reading))
        prepared = self.solver.prepare(reading.plan)
        record = prepared.forward(request)
        value, seeds, _ = self.loss.evaluate(reading, record, seconds)
        slopes = self.carry_back(reading.plan, prepared, record, seeds, seconds)
        self.trajectory = Trajectory(reading, seconds, record)
        return with_dimensions(value, self.loss.dimensions), [
            with_dimensions(slope, self.loss.dimensions / parameter.dimensions)
            for slope, parameter in zip(slopes, self.parameters, strict=True)
        ]

    def carry_back(
        self, plan: NetworkPlan, prepared, record: Record, seeds: Seeds, duration: float
    ) -> list[np.ndarray]:
        """One slope per parameter, SI numbers."""
        slopes: Slopes = prepared.reverse(record, seeds, wanted_slopes(self.parameters))

        return [parameter.slope(slopes, plan, duration) for parameter in self.parameters]

    # -- parameters as plain arrays: for checks, optimisers and training -----------------------------------------

    def values(self) -> list[np.ndarray]:
        """The present values of the parameters, SI numbers, copies."""
        plan = self.read().plan
        return [parameter.value(plan) for parameter in self.parameters]

    def write(self, values: Sequence[np.ndarray]) -> None:
        """Write values (SI numbers) into the network."""
        for parameter, value in zip(self.parameters, values, strict=True):
            if parameter.kind == "spike_times":
                raise NotImplementedError(f"{parameter.label} is read-only in Brian2; use the group's set_spikes.")
            parameter.view.set_item(
                slice(None) if parameter.shape else "True", with_dimensions(value, parameter.dimensions)
            )

    def with_values(self, plan: NetworkPlan, values: Sequence[np.ndarray]) -> NetworkPlan:
        """A plan in which the parameters have other values (SI numbers)."""
        for parameter, value in zip(self.parameters, values, strict=True):
            plan = parameter.put(plan, value)
        return plan
