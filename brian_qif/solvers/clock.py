"""The clock-driven solver: Brian2's own simulation, and the gradient of its limit for small steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from brian2 import Network, Quantity

from brian_qif.arguments import check_dimensions, single_time
from brian_qif.equations.surrogate import SHAPES, Surrogate
from brian_qif.plan.clocked import ClockedNode
from brian_qif.plan.network_plan import NetworkPlan
from brian_qif.plan.reader import NetworkReading, read_network
from brian_qif.solvers.clock_sweeps import ClockNetwork
from brian_qif.solvers.clock_tasks import delay_steps, find_device
from brian_qif.solvers.simulation import NetworkSolver


class ClockSolver(NetworkSolver):
    """Simulate a network of any smooth neurons as Brian2 does, step by step, and carry slopes back through it.

    Parameters
    ----------
    device : str
        Where both passes run: "runtime" (Brian2's code generation target, as the preferences have it),
        "cpp_standalone" (programs that are built once and run often), "genn" (the same for GeNN, on the processor;
        for networks with one delay per `Synapses`, see docs/devices.md) or "cuda_standalone" (the same for brian2cuda;
        its programs have never run on a card so far).
    dt : `brian2.Quantity`, optional
        The step; by default that of the groups' clock.

    surrogate : str, optional
        Take the published approximation in place of the exact slopes through spikes: at every step a spike counts as a
        smooth function of how far the neuron is from its threshold. "sigmoid", "superspike" or "triangular".
    surrogate_slope : float or `brian2.Quantity`
        How steep that function is, in the inverse unit of the threshold's variable.

    Raises
    ------
    ValueError
        If there is no such device or surrogate, or the step or the slope is not positive.
    ImportError
        If this machine lacks what the device needs; the message says what.

    Notes
    -----
    Supported are every `NeuronGroup` with smooth equations and one of Brian2's state updaters (exact,
    exponential_euler, euler, rk2, rk4, heun), with one comparison as its threshold, any statements on its state
    variables as its reset, and a refractory period of any length; `SpikeGeneratorGroup`; and `Synapses` that add a
    weight to a state variable, with any delays, and may have variables of their own that on_pre and on_post change and
    that follow linear equations. All on one clock. Trials too long for the preference `brian_qif.trajectory_memory` are
    computed in segments.

    Between spikes, slopes are those of the map that Brian2 computes, up to rounding. Through a spike they are those of
    the limit of small steps: the spike is placed inside its step by interpolation, and reset and synapses act as at
    that time. The error of a slope is of order 1 in dt, per spike. Reported spike times are the interpolated ones;
    Brian2's own monitors have the beginning of the step.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_qif import ClockSolver
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network()
    >>> solver = ClockSolver(dt=0.1*ms)
    >>> solver
    <ClockSolver, device 'runtime', dt = 0.0001 s: exact between spikes, order 1 in dt through spikes>
    >>> trajectory = solver.simulate(network, 40*ms)
    >>> len(trajectory.spikes[neurons].t)
    2
    """

    def __init__(
        self,
        device: str = "runtime",
        dt: Quantity | None = None,
        surrogate: str | None = None,
        surrogate_slope: float | Quantity = 10.0,
    ):
        if not isinstance(device, str):
            raise TypeError(f"device is a name such as 'runtime' or 'cpp_standalone'; {device!r} was given.")
        self.device, self.dt = device, None
        missing = find_device(device).missing()
        if missing is not None:
            raise ImportError(missing)
        if dt is not None:
            self.dt = single_time(dt, "The step dt of a ClockSolver is a time, for instance 0.1*ms")
            if not 0 < self.dt < float("inf"):
                raise ValueError(f"The step dt of a ClockSolver must be positive and finite; it is {self.dt} s.")

        self.surrogate = None
        if surrogate is not None:
            if not isinstance(surrogate, str) or surrogate not in SHAPES:
                known = ", ".join(repr(name) for name in SHAPES)
                raise ValueError(f"There is no surrogate {surrogate!r}; there are {known}.")
            check_dimensions(surrogate_slope, surrogate_slope, "surrogate_slope of a ClockSolver is a number")
            if np.ndim(surrogate_slope) != 0:
                raise TypeError(f"surrogate_slope of a ClockSolver is one number; {surrogate_slope!r} was given.")
            self.surrogate = Surrogate(surrogate, float(surrogate_slope))
            if not 0 < self.surrogate.slope < float("inf"):
                raise ValueError(f"The slope of a surrogate must be positive and finite; it is {surrogate_slope}.")

    def __repr__(self):
        step = "" if self.dt is None else f", dt = {self.dt} s"
        through = "order 1 in dt through spikes"
        if self.surrogate is not None:
            through = f"surrogate through spikes ({self.surrogate.shape}, slope {self.surrogate.slope:g}), not exact"
        return f"<ClockSolver, device {self.device!r}{step}: exact between spikes, {through}>"

    def read(self, network: Network, namespace: dict | None) -> NetworkReading:
        """The network as this solver takes it."""
        reading = read_network(network, namespace, clocked=True, dt=self.dt)
        clocks = {node.model.dt for node in reading.plan.nodes if isinstance(node, ClockedNode)}
        if len(clocks) > 1:
            steps = ", ".join(f"{dt} s" for dt in sorted(clocks))
            raise NotImplementedError(
                f"The groups of the network have different clocks ({steps}); give all the same dt."
            )
        return reading

    def prepare(self, plan: NetworkPlan) -> ClockNetwork:
        """A plan for the device of this solver."""
        return ClockNetwork(plan, self.find_backend(plan), self.surrogate)

    def find_backend(self, plan: NetworkPlan) -> Any:
        """The device that runs a plan.

        Raises
        ------
        NotImplementedError
            If it cannot.
        """
        device = find_device(self.device)
        refusal = device.refusal(plan)
        if refusal is not None:
            raise NotImplementedError(f"The device '{device.name}' cannot run this network: {refusal}")
        for p, pathway in enumerate(plan.pathways):
            if self.surrogate is not None and pathway.state is not None:
                raise NotImplementedError(
                    f"Surrogate gradients are not carried back through synapses with a state, as '{pathway.name}' has; "
                    "ClockSolver() without surrogate does so."
                )
            late = isinstance(plan.nodes[pathway.source], ClockedNode) and np.any(delay_steps(plan, p) > 0)
            if self.surrogate is not None and late:
                raise NotImplementedError(
                    f"Surrogate gradients are not carried back through delays; set those of '{pathway.name}' to zero."
                )
        return device
