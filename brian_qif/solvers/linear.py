"""Leaky neurons in closed form (docs/mathematics.md, "LIF"): the flow, the crossing, and their adjoints.

The state of a group is an array of two rows, v and I. "leaky" neurons are "lif" neurons whose threshold is
infinite.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from brian_qif.plan.network_plan import NeuronNode
from brian_qif.solvers.sweeps import GrazingSpikeError

# With so small a slope of v at the threshold, relative to I, the peak of v lies some ten units in the last place above
# it: the spike time has lost half of its digits, and the next rounding may remove the spike.
GRAZING_SLOPE = 1e-7

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


def current_response(step: float, tau_m: float, tau_s: float) -> float:
    """Voltage after ``step`` caused by a unit of current at its start; exact for equal time constants too."""
    # The slower exponential is taken out, so that nothing overflows in a long step.
    x = step * abs(1 / tau_m - 1 / tau_s)
    ratio = -np.expm1(-x) / x if x != 0 else 1.0
    return step / tau_m * np.exp(-step / max(tau_m, tau_s)) * ratio


class LinearNeurons:
    """Flow, spikes and adjoints of one group of LIF or leaky neurons."""

    def __init__(self, node: NeuronNode):
        self.node = node

    def initial_state(self) -> np.ndarray:
        return np.array([self.node.v, self.node.current])

    def voltage(self, state: np.ndarray) -> np.ndarray:
        return state[0]

    def steps_needed(self, state: np.ndarray, step: float) -> int:
        """The closed form holds for any step."""
        return 1

    def rescale(self, state: np.ndarray) -> None:
        """Nothing here grows: v and I are the state itself."""
        return None

    # -- forward ---------------------------------------------------------------------------------------------

    def flow(self, state: np.ndarray, step: float) -> np.ndarray:
        v, current = state
        tau_m, tau_s = self.node.tau_m, self.node.tau_s
        response = current_response(step, tau_m, tau_s)
        return np.array([np.exp(-step / tau_m) * v + response * current, np.exp(-step / tau_s) * current])

    def crossings(self, state: np.ndarray, after: np.ndarray, step: float) -> dict[int, float]:
        """Time of the first upward crossing of each neuron that crosses within the step."""
        threshold = self.node.threshold
        # dv/dt is proportional to I - v; while it is positive and I > 0 it falls, so the tangent bounds the rise.
        bound = state[0] + np.maximum(state[1] - state[0], 0) * step / self.node.tau_m
        turned = (state[1] > state[0]) & (after[1] < after[0]) & (bound >= threshold)
        found = {}
        for neuron in np.flatnonzero((after[0] >= threshold) | (state[0] >= threshold) | turned):
            crossing = self._first_crossing(state[:, neuron], step)
            if crossing is not None:
                found[int(neuron)] = crossing
        return found

    def _first_crossing(self, state: np.ndarray, step: float) -> float | None:
        v, current = state

        def excess(time):
            return self.flow(state, time)[0] - self.node.threshold

        if v >= self.node.threshold:
            return 0.0  # only by rounding, at a spike of another neuron at the same time
        end = step
        if current > v:
            end = min(step, self._time_of_maximum(v, current))
        if excess(end) < 0:
            return None
        return brentq(excess, 0.0, end, xtol=1e-300, rtol=4 * np.finfo(float).eps, maxiter=500)

    def _time_of_maximum(self, v: float, current: float) -> float:
        """Where v(t) = I(t), the only extremum; infinity where it lies in the past."""
        gap = (current - v) / current
        # exp((1/tau_s - 1/tau_m) t) (1 + x) = 1; log1p(x)/x has the limit 1, so equal time constants are no case.
        x = -gap * (1 - self.node.tau_s / self.node.tau_m)
        if current <= 0 or x <= -1:
            return np.inf
        ratio = np.log1p(x) / x if x != 0 else 1.0
        return ratio * gap * self.node.tau_s

    def spike(self, state: np.ndarray, neuron: int) -> None:
        state[0, neuron] = self.node.reset

    def arrive(self, state: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> None:
        np.add.at(state[1], targets, weights)

    # -- adjoint ---------------------------------------------------------------------------------------------

    def flow_adjoint(self, state: np.ndarray, step: float, adjoint: np.ndarray) -> np.ndarray:
        tau_m, tau_s = self.node.tau_m, self.node.tau_s
        slope_v, slope_current = adjoint
        response = current_response(step, tau_m, tau_s)
        return np.array([np.exp(-step / tau_m) * slope_v, np.exp(-step / tau_s) * slope_current + response * slope_v])

    def spike_adjoint(self, state: np.ndarray, neuron: int, adjoint: np.ndarray, seed: float) -> None:
        """Eq. (jump): ``state`` is the state before the reset, ``seed`` the slope with respect to the spike time."""
        current = state[1, neuron]
        rise = current - self.node.threshold
        if rise <= GRAZING_SLOPE * max(abs(current), abs(self.node.threshold)):
            raise GrazingSpikeError(
                f"Neuron {neuron} of '{self.node.name}' only grazes its threshold; "
                "its spike time has no bounded derivative."
            )
        after = current - self.node.reset
        adjoint[0, neuron] = (adjoint[0, neuron] * after - seed * self.node.tau_m) / rise

    def arrival_slopes(self, state: np.ndarray, adjoint: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Slope of the loss with respect to the time of an arrival, per unit of weight."""
        return adjoint[1, targets] / self.node.tau_s - adjoint[0, targets] / self.node.tau_m

    def initial_slopes(self, adjoint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return adjoint[0].copy(), adjoint[1].copy()

    # -- weighted average of the voltage -----------------------------------------------------------------------

    def average_coefficients(self, step: float, rate: float) -> tuple[float, float]:
        """Integral of v(t) exp(-rate t) over a step, per unit of v and per unit of I at its start."""
        tau_m, tau_s = self.node.tau_m, self.node.tau_s
        decay = 1 / tau_m + rate
        of_v = -np.expm1(-decay * step) / decay
        # Gauss-Legendre on panels no longer than the fastest time constant: 16 nodes leave rounding only.
        panels = max(1, int(np.ceil(step * (1 / tau_m + 1 / tau_s + rate))))
        width = step / panels
        times = (np.arange(panels)[:, None] + (1 + _NODES) / 2) * width
        response = np.array([current_response(t, tau_m, tau_s) * np.exp(-rate * t) for t in times.ravel()])
        of_current = width / 2 * np.sum(np.tile(_WEIGHTS, panels) * response)
        return of_v, of_current
