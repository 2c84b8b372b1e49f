"""The gradient of a loss with respect to anything in a Brian2 network, through its spikes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from brian2 import Network, Quantity, get_local_namespace
from brian2.core.variables import VariableView

from brian_qif.gradients.losses import Loss, with_dimensions
from brian_qif.gradients.parameters import add_own_slopes, find_parameter, wanted_slopes, with_values
from brian_qif.plan.reader import NetworkReading
from brian_qif.solvers.event import EventSolver
from brian_qif.solvers.simulation import NetworkSolver, duration_in_seconds
from brian_qif.solvers.sweeps import PreparedNetwork, Record, Seeds, Slopes
from brian_qif.solvers.trajectory import Trajectory


class SpikeGradient:
    """Value and gradient of a loss of one trial, as exact as its solver.

    Parameters
    ----------
    network : `brian2.Network`
        See `EventSolver` for what it may hold.
    loss : `SpikeTimeLoss`, `SpikeFunctionLoss`, `StateLoss` or `CrossEntropyLoss`
    parameters : list
        With respect to what: variables such as ``synapses.w``, ``synapses.delay``, ``stimulus.spike_time``, the initial
        state ``neurons.v``, ``neurons.I``, or parameters of the equations, ``neurons.tau_m``; and constants of the
        script as pairs, ``(neurons, "tau")``: the slope through the equations of that group alone.
    solver : `EventSolver` or `ClockSolver`, optional
        By default an `EventSolver`.
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
    With `EventSolver` the gradient is exact up to rounding, times the sensitivity of the trajectory. It is the
    derivative of the trial with the spikes that it has: a spike that is about to appear or vanish does not show in it.

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
        solver: NetworkSolver | None = None,
        namespace: dict | None = None,
        level: int = 0,
    ):
        self.network, self.loss = network, loss
        self.solver = EventSolver() if solver is None else solver
        if not isinstance(self.solver, NetworkSolver):
            raise TypeError(f"The solver is an EventSolver or a ClockSolver; {solver!r} was given.")
        if not hasattr(loss, "evaluate"):
            raise TypeError(f"A loss such as SpikeTimeLoss is needed; {loss!r} was given.")
        if not isinstance(parameters, (list, tuple)):
            raise TypeError(
                f"parameters is a list of variables, for instance parameters=[synapses.w]; {parameters!r} was given."
            )
        self.views = list(parameters)
        self.namespace = get_local_namespace(level=level + 1) if namespace is None else namespace
        self.trajectory: Trajectory | None = None
        self._check_loss()
        reading = self.read()
        self.solver.find_backend(reading.plan)

    def _check_loss(self):
        surrogate = getattr(self.solver, "surrogate", None)
        if self.views and getattr(self.loss, "needs_surrogate", False) and surrogate is None:
            raise NotImplementedError(
                f"A number of spikes is constant until it jumps, so {self.solver!r} has no slope by it. For a "
                f"{type(self.loss).__name__}, use ClockSolver(surrogate='superspike'); with exact slopes, use a "
                "FirstSpikeCrossEntropyLoss, or a CrossEntropyLoss on a readout that hears the spikes."
            )

    def __repr__(self):
        names = ", ".join(parameter.label for parameter in self.parameters)
        return f"<SpikeGradient of {type(self.loss).__name__} by {names}; {self.solver!r}>"

    def read(self) -> NetworkReading:
        """The network as it is now; refuses what the solver, the loss or a parameter cannot deal with."""
        reading = self.solver.read(self.network, self.namespace)
        self.loss.check(reading)
        self.parameters = [find_parameter(reading, view) for view in self.views]
        return reading

    def __call__(self, duration: Quantity) -> tuple[float | Quantity, list[np.ndarray | Quantity]]:
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
        prepared = self.solver.prepare(reading.plan)
        record = prepared.forward(self.loss.request(reading, seconds))
        value, seeds, _ = self.loss.evaluate(reading, record, seconds)
        slopes = self.carry_back(reading, prepared, record, seeds, seconds)
        self.trajectory = Trajectory(reading, seconds, record)
        return with_dimensions(value, self.loss.dimensions), [
            with_dimensions(slope, self.loss.dimensions / parameter.dimensions)
            for slope, parameter in zip(slopes, self.parameters, strict=True)
        ]

    def carry_back(
        self, reading: NetworkReading, prepared: PreparedNetwork, record: Record, seeds: Seeds, duration: float
    ) -> list[np.ndarray]:
        """One slope per parameter, SI numbers."""
        slopes = prepared.reverse(record, seeds, wanted_slopes(self.parameters, reading))
        return self._by_parameter(reading, slopes, seeds, duration)

    def carry_back_many(
        self, reading: NetworkReading, prepared: Any, records: Sequence[Record], seeds: Sequence[Seeds], duration: float
    ) -> list[list[np.ndarray]]:
        """The same for trials that were simulated side by side: for each, one slope per parameter."""
        slopes = prepared.reverse_many(records, seeds, wanted_slopes(self.parameters, reading))
        return [self._by_parameter(reading, *one, duration) for one in zip(slopes, seeds, strict=True)]

    def _by_parameter(self, reading: NetworkReading, slopes: Slopes, seeds: Seeds, duration: float) -> list[np.ndarray]:
        add_own_slopes(slopes, seeds)
        return [parameter.slope(slopes, seeds, reading, duration) for parameter in self.parameters]

    def flat(self, duration: Quantity) -> tuple[Callable[[np.ndarray], tuple[float, np.ndarray]], np.ndarray]:
        """Value and gradient as plain SI numbers, for `scipy.optimize`.

        Parameters
        ----------
        duration : `brian2.Quantity`
            Length of the trial.

        Returns
        -------
        function : callable
            ``function(x) -> (value, gradient)`` of one vector, all parameters one after the other; it changes nothing
            in the network. ``scipy.optimize.minimize(function, x, jac=True)`` takes it.
        x : `numpy.ndarray`
            The vector of the present values. `unflatten` makes values of it that `write` takes.
        """
        seconds = duration_in_seconds(duration)
        reading = self.read()
        start = [parameter.value(reading) for parameter in self.parameters]

        def function(x):
            moved = self.with_values(reading, self.unflatten(x))
            prepared = self.solver.prepare(moved.plan)
            record = prepared.forward(self.loss.request(moved, seconds))
            value, seeds, _ = self.loss.evaluate(moved, record, seconds)
            slopes = self.carry_back(moved, prepared, record, seeds, seconds)
            return value, np.concatenate([np.ravel(slope) for slope in slopes])

        return function, np.concatenate([np.ravel(value) for value in start])

    def unflatten(self, x: np.ndarray) -> list[np.ndarray]:
        """One array per parameter, in its shape, from the vector of :meth:`flat`."""
        sizes = [int(np.prod(parameter.shape)) for parameter in self.parameters]
        if np.shape(x) != (sum(sizes),):
            raise ValueError(f"The parameters have {sum(sizes)} values; a vector of shape {np.shape(x)} was given.")
        parts = np.split(np.asarray(x, dtype=float), np.cumsum(sizes)[:-1])
        return [part.reshape(parameter.shape) for part, parameter in zip(parts, self.parameters, strict=True)]

    # -- parameters as plain arrays: for checks, optimisers and training -----------------------------------------

    def values(self) -> list[np.ndarray]:
        """The present values of the parameters, SI numbers, copies."""
        reading = self.read()
        return [parameter.value(reading) for parameter in self.parameters]

    def write(self, values: Sequence[np.ndarray]) -> None:
        """Write values (SI numbers) into the network.

        Raises
        ------
        NotImplementedError
            For what Brian2 holds read-only, and for constants of the script, which the network does not own.
        ValueError
            For other shapes, a negative delay, and numbers that are not finite; nothing is written then.
        """
        self.check_writable()
        if len(values) != len(self.parameters):
            raise ValueError(f"There are {len(self.parameters)} parameters; {len(values)} values were given.")
        checked = [parameter.check(value) for parameter, value in zip(self.parameters, values, strict=True)]
        for parameter, value in zip(self.parameters, checked, strict=True):
            if not np.all(np.isfinite(value)):
                raise ValueError(f"{parameter.label} was given values that are not finite.")
        for parameter, value in zip(self.parameters, checked, strict=True):
            parameter.given.set_item(
                slice(None) if parameter.shape else "True", with_dimensions(value, parameter.dimensions)
            )

    def check_writable(self) -> None:
        """Refuse parameters that :meth:`write` could not write.

        Raises
        ------
        NotImplementedError
            For what Brian2 holds read-only, and for constants of the script, which the network does not own.
        """
        for parameter in self.parameters:
            if parameter.kind == "spike_times":
                raise NotImplementedError(f"{parameter.label} is read-only in Brian2; use the group's set_spikes.")
            if not isinstance(parameter.given, VariableView):
                raise NotImplementedError(
                    f"'{parameter.name}' is a constant of the script, which cannot be written from here; declare it as "
                    f"a parameter of '{parameter.owner}' ('{parameter.name} : unit (shared, constant)')."
                )

    def with_values(self, reading: NetworkReading, values: Sequence[np.ndarray]) -> NetworkReading:
        """The network as it would be with other values (SI numbers) of the parameters."""
        return with_values(reading, self.parameters, values)
