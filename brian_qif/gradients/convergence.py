"""The check of a clock-driven gradient: it must approach that of the event-driven solver as the step is halved.

A Taylor test would be none: with spikes and resets on a grid, the simulated loss is a sawtooth of its parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2 import second

from brian_qif.gradients.spike_gradient import SpikeGradient
from brian_qif.solvers.clock import ClockSolver
from brian_qif.solvers.clock_tasks import step_length
from brian_qif.solvers.event import EventSolver

HALVINGS = 4
# Where a spike lies inside its step moves single errors up and down; over four halvings of the step, errors of order 1
# fall by 16, and by 3 at the very least.
LEAST_ORDER = 0.4
# Below this, relative to the slopes, there is nothing left that could fall.
ROUNDING = 1e-9
CUT_OFF_ERROR = 5


@dataclass(frozen=True)
class ConvergenceReport:
    """Distances of clock-driven slopes from the event-driven ones.

    ``errors`` has one row per step of ``steps`` (seconds) and one column per parameter of ``labels``: the Euclidean
    distance over the norm of the event-driven slopes. ``floor`` is what remains of the cut-off that stands in for
    infinity, an error that no step removes; ``orders`` has a fit per parameter.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_qif import ClockSolver, SpikeGradient, SpikeTimeLoss, check_gradient
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network("lif")
    >>> gradient = SpikeGradient(network, SpikeTimeLoss(neurons, 12*ms), [synapses.w], ClockSolver(dt=0.5*ms))
    >>> report = check_gradient(gradient, 40*ms)
    >>> report.passed, report.errors.shape
    (True, (5, 1))
    """

    labels: list[str]
    steps: np.ndarray
    errors: np.ndarray
    orders: np.ndarray
    floor: float
    passed: bool

    def __str__(self):
        lines = [f"convergence to the event-driven slopes, {'passed' if self.passed else 'FAILED'}"]
        for column, label in enumerate(self.labels):
            errors = ", ".join(f"{error:.2e}" for error in self.errors[:, column])
            lines.append(f"{label}: order {self.orders[column]:.2f}; relative errors {errors}")
        lines.append("for steps of " + ", ".join(f"{step:g} s" for step in self.steps))
        if self.floor:
            lines.append(f"a cut-off stands in for infinity: errors down to {self.floor:.1e} are its own")
        return "\n".join(lines)


def check_convergence(gradient: SpikeGradient, duration) -> ConvergenceReport:
    """Compare the slopes for steps of dt, dt/2, ..., dt/16 with those of `EventSolver`.

    Raises
    ------
    NotImplementedError
        For surrogate gradients, which approach no gradient, and networks that no event-driven solver takes.
    """
    solver: Any = gradient.solver
    if solver.surrogate is not None:
        raise NotImplementedError(
            "A surrogate gradient is the gradient of no loss, so there is nothing to check it by."
        )

    for pathway in gradient.read().plan.pathways:
        if pathway.state is not None:
            raise NotImplementedError(
                f"'{pathway.name}' has synapses with a state, which no event-driven solver takes, so there is nothing "
                "to converge to. Check the same network with static synapses, and compare slopes for dt and dt/2."
            )

    def slopes(solver):
        other = SpikeGradient(gradient.network, gradient.loss, gradient.views, solver, gradient.namespace)
        return [np.ravel(np.asarray(slope, dtype=float)) for slope in other(duration)[1]]

    exact = slopes(EventSolver(numeric=True))
    first = step_length(gradient.read().plan)
    steps = first / 2.0 ** np.arange(HALVINGS + 1)
    errors = np.array([_distances(slopes(ClockSolver(solver.device, step * second)), exact) for step in steps])
    # What is neglected beyond a cut-off is some times its inverse: 4 times in tests/gradients/test_clock_slopes.py.
    cut_offs = [getattr(node, "cut_off", None) for node in gradient.read().plan.nodes]
    floor = max((CUT_OFF_ERROR / cut_off for cut_off in cut_offs if cut_off), default=0.0)
    orders = np.array([_order(steps, column, floor) for column in errors.T])
    passed = bool(np.all(orders >= LEAST_ORDER))
    labels = [parameter.label for parameter in gradient.parameters]
    return ConvergenceReport(labels, steps, errors, orders, floor, passed)


def _distances(found, exact) -> list[float]:
    norms = [max(np.linalg.norm(slope), np.finfo(float).tiny) for slope in exact]
    return [float(np.linalg.norm(a - b) / norm) for a, b, norm in zip(found, exact, norms, strict=True)]


def _order(steps, errors, floor) -> float:
    """A straight line through the logarithms; infinite where nothing but rounding or the cut-off is left."""
    above = errors > max(ROUNDING, floor)
    if not above[-1]:
        return np.inf
    return float(np.polyfit(np.log(steps[above]), np.log(errors[above]), 1)[0]) if np.sum(above) > 1 else 0.0
