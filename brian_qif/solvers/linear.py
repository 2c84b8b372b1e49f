"""Leaky neurons in closed form (docs/mathematics.md, "LIF"): the flow, the crossing, and their adjoints.

The state of a group is an array of rows: v, one row per synaptic current, and, for neurons with a refractory period,
`free`, which is 0 while the voltage is held. "leaky" neurons are "lif" neurons whose threshold is infinite.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from brian_qif.plan.network_plan import VOLTAGE, NeuronNode
from brian_qif.solvers.sweeps import GrazingSpikeError, ModelSlopes

# With so small a slope of v at the threshold, relative to I, the peak of v lies some ten units in the last place above
# it: the spike time has lost half of its digits, and the next rounding may remove the spike.
GRAZING_SLOPE = 1e-7

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


def current_response(step, tau_m, tau_s):
    """Voltage after ``step`` caused by a unit of current at its start; exact for equal time constants too."""
    # The slower exponential is taken out, so that nothing overflows in a long step.
    x = step * np.abs(1 / tau_m - 1 / tau_s)
    safe = np.where(x == 0, 1.0, x)
    ratio = np.where(x == 0, 1.0, -np.expm1(-safe) / safe)
    return step / tau_m * np.exp(-step / np.maximum(tau_m, tau_s)) * ratio


def _sum_of_exponentials(amplitudes, time_constants):
    return lambda time: np.sum(amplitudes * np.exp(-time / time_constants))


class LinearNeurons:
    """Flow, spikes and adjoints of one group of LIF or leaky neurons."""

    def __init__(self, node: NeuronNode):
        self.node = node
        self.count = len(node.currents)
        self.holds = bool(np.any(node.refractory > 0))
        self.threshold = np.broadcast_to(node.threshold, node.size)
        self.reset = np.broadcast_to(node.reset, node.size)
        self.tau_m = np.broadcast_to(node.tau_m, node.size)
        self.tau_s = np.broadcast_to(node.tau_s, (self.count, node.size))

    def initial_state(self) -> np.ndarray:
        rows = [self.node.v, *self.node.currents]
        return np.array(rows + [np.ones(self.node.size)] if self.holds else rows)

    def voltage(self, state: np.ndarray) -> np.ndarray:
        return state[0]

    def currents(self, state: np.ndarray) -> np.ndarray:
        return state[1 : 1 + self.count]

    def seed_voltage(self, state: np.ndarray, adjoint: np.ndarray, seed: np.ndarray) -> None:
        """Add the slope of a loss with respect to the voltage."""
        adjoint[0] += seed

    def _free(self, state: np.ndarray):
        return state[-1] if self.holds else 1.0

    def steps_needed(self, state: np.ndarray, step: float) -> int:
        """The closed form holds for any step."""
        return 1

    def rescale(self, state: np.ndarray) -> None:
        """Nothing here grows: v and I are the state itself."""
        return None

    # -- forward ---------------------------------------------------------------------------------------------

    def flow(self, state: np.ndarray, step: float) -> np.ndarray:
        after = state.copy()
        currents, free = self.currents(state), self._free(state)
        response = current_response(step, self.node.tau_m, self.node.tau_s)
        moved = np.exp(-step / self.node.tau_m) * state[0] + np.sum(response * currents, axis=0)
        after[0] = np.where(free == 0, state[0], moved)
        after[1 : 1 + self.count] = np.exp(-step / self.node.tau_s) * currents
        return after

    def rate(self, state: np.ndarray) -> np.ndarray:
        """dv/dt."""
        return self._free(state) * (np.sum(self.currents(state), axis=0) - state[0]) / self.node.tau_m

    def crossings(self, state: np.ndarray, after: np.ndarray, step: float) -> dict[int, float]:
        """Time of the first upward crossing of each neuron that crosses within the step."""
        threshold = self.threshold
        # dv/dt never exceeds its value for the excitatory currents alone, which falls while v rises.
        strongest = np.sum(np.maximum(self.currents(state), 0), axis=0)
        bound = state[0] + np.maximum(strongest - state[0], 0) * step / self.node.tau_m
        possible = (after[0] >= threshold) | (state[0] >= threshold) | (bound >= threshold)
        found = {}
        for neuron in np.flatnonzero(possible & (self._free(state) != 0)):
            crossing = self._first_crossing(int(neuron), state[: 1 + self.count, neuron], step)
            if crossing is not None:
                found[int(neuron)] = crossing
        return found

    def _first_crossing(self, neuron: int, state: np.ndarray, step: float) -> float | None:
        if state[0] >= self.threshold[neuron]:
            return 0.0  # only by rounding, at a spike of another neuron at the same time
        voltage, threshold = self._voltage(neuron, state), self.threshold[neuron]

        def excess(time):
            return voltage(time) - threshold

        turns = self._turns(neuron, state, step)
        for begin, end in zip([0.0, *turns], [*turns, step], strict=True):
            if end > begin and excess(end) >= 0:
                return brentq(excess, begin, end, xtol=1e-300, rtol=4 * np.finfo(float).eps, maxiter=500)
        return None

    def turns(self, neuron: int, state: np.ndarray, step: float) -> list[tuple[float, float]]:
        """Times within a step at which the voltage of a neuron turns, the end of the step, and the voltages there."""
        voltage = self._voltage(neuron, state)
        return [(time, float(voltage(time))) for time in (*self._turns(neuron, state, step), step)]

    def _turns(self, neuron: int, state: np.ndarray, step: float) -> list[float]:
        # After 600 time constants all is smaller than 1e-260 of what it was, and would soon be zero without a sign.
        step = min(step, 600 * max([self.tau_m[neuron], *self.tau_s[:, neuron]]))
        return self._roots(self._derivatives(neuron, state), step)

    def _voltage(self, neuron: int, state: np.ndarray):
        tau_m, tau_s = self.tau_m[neuron], self.tau_s[:, neuron]
        v, currents = state[0], state[1 : 1 + self.count]
        return lambda time: np.exp(-time / tau_m) * v + np.sum(current_response(time, tau_m, tau_s) * currents)

    def _derivatives(self, neuron, state):
        """f_1 = tau_m dv/dt, then f_(n+1) = df_n/dt + rate_n f_n, which has one exponential less; the last has one.

        Between neighbouring roots of f_(n+1), exp(rate_n t) f_n is monotonic, so f_n has one root at most.
        """
        tau_m, tau_s = self.tau_m[neuron], self.tau_s[:, neuron]
        v, currents = state[0], state[1:]

        def rise(time):
            response = current_response(time, tau_m, tau_s)
            return np.sum((np.exp(-time / tau_s) - response) * currents) - np.exp(-time / tau_m) * v

        chain, amplitudes = [rise], currents * (1 / tau_m - 1 / tau_s)
        for k in range(self.count):
            if np.any(amplitudes[k:] != 0):
                chain.append(_sum_of_exponentials(amplitudes[k:], tau_s[k:]))
            amplitudes = amplitudes * (1 / tau_s[k] - 1 / tau_s)
        return chain

    def _roots(self, chain, step) -> list[float]:
        """Roots of the first function of a chain inside the step, between those of the second."""
        function, *rest = chain
        edges = [0.0, *(self._roots(rest, step) if rest else []), step]
        roots = []
        for begin, end in zip(edges[:-1], edges[1:], strict=True):
            if end > begin and function(begin) * function(end) < 0:
                roots.append(brentq(function, begin, end, xtol=1e-300, rtol=4 * np.finfo(float).eps, maxiter=500))
        return roots

    def spike(self, state: np.ndarray, neuron: int) -> None:
        state[0, neuron] = self.reset[neuron]
        if self.holds:
            state[-1, neuron] = 0.0

    def spike_at_once(self, state: np.ndarray, neuron: int) -> None:
        """A spike that an arrival caused by lifting the voltage beyond the threshold."""
        drop = self.threshold[neuron] - self.reset[neuron]
        kept = state[0, neuron] - drop
        self.spike(state, neuron)
        if self.node.subtracts:
            state[0, neuron] = kept

    def may_lift(self, port: int, weights: np.ndarray) -> np.ndarray:
        """Which arrivals may lift a neuron over its threshold at once."""
        return (weights > 0) & (port == VOLTAGE)

    def order_matters(self, port: int) -> bool:
        """Whether arrivals of one time at one neuron change the slopes of each other."""
        return port == VOLTAGE

    def above_threshold(self, state: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Which neurons stand at or above their threshold and are free to spike."""
        free = state[-1, targets] != 0 if self.holds else True
        return np.unique(targets[(state[0, targets] >= self.threshold[targets]) & free])

    def release(self, state: np.ndarray, neuron: int) -> None:
        """The end of the refractory period."""
        state[-1, neuron] = 1.0

    def arrive(self, state: np.ndarray, port: int, targets: np.ndarray, weights: np.ndarray) -> None:
        if port == VOLTAGE:
            weights = weights * (state[-1, targets] if self.holds else 1.0)
        np.add.at(state[1 + port], targets, weights)

    # -- adjoint ---------------------------------------------------------------------------------------------

    def flow_adjoint(self, state: np.ndarray, step: float, adjoint: np.ndarray) -> np.ndarray:
        before = adjoint.copy()
        free = self._free(state)
        response = current_response(step, self.node.tau_m, self.node.tau_s)
        before[0] = np.where(free == 0, 1.0, np.exp(-step / self.node.tau_m)) * adjoint[0]
        before[1 : 1 + self.count] = (
            np.exp(-step / self.node.tau_s) * self.currents(adjoint) + free * response * adjoint[0]
        )
        return before

    def spike_adjoint(self, state, neuron: int, adjoint, seed: float, slopes: ModelSlopes | None) -> None:
        """Eq. (jump): ``state`` is the state before the reset, ``seed`` the slope with respect to the spike time."""
        current, threshold, reset = np.sum(state[1 : 1 + self.count, neuron]), *self._levels(neuron)
        rise = current - threshold
        if rise <= GRAZING_SLOPE * max(np.sum(np.abs(state[1 : 1 + self.count, neuron])), abs(threshold)):
            raise GrazingSpikeError(
                f"Neuron {self.node.first_neuron + neuron} of '{self.node.name}' only grazes its threshold; "
                "its spike time has no bounded derivative."
            )
        after = 0.0 if self.holds and self._period(neuron) > 0 else current - reset
        by_reset = adjoint[0, neuron]
        adjoint[0, neuron] = (by_reset * after - seed * self.tau_m[neuron]) / rise
        if slopes is not None:
            slopes.threshold[neuron] -= adjoint[0, neuron]
            slopes.reset[neuron] += by_reset

    def spike_at_once_adjoint(self, state, neuron: int, adjoint, seed: float, slopes: ModelSlopes | None) -> float:
        """Before the reset at the time of an arrival; returns the slope with respect to that time."""
        current, (threshold, reset) = np.sum(state[1 : 1 + self.count, neuron]), self._levels(neuron)
        by_reset = adjoint[0, neuron]
        keeps = 1.0 if self.node.subtracts else 0.0
        v = state[0, neuron]
        before = (current - v) / self.tau_m[neuron]
        landing = v - (threshold - reset) if self.node.subtracts else reset
        held = self.holds and self._period(neuron) > 0
        after = 0.0 if held else (current - landing) / self.tau_m[neuron]
        adjoint[0, neuron] = keeps * by_reset
        if slopes is not None:
            slopes.reset[neuron] += by_reset
            slopes.threshold[neuron] -= keeps * by_reset
        return seed + by_reset * (keeps * before - after)

    def release_adjoint(self, state: np.ndarray, neuron: int, adjoint: np.ndarray) -> float:
        """Slope with respect to the time of release; ``state`` is that before it, when v stands still."""
        rate = (np.sum(state[1 : 1 + self.count, neuron]) - state[0, neuron]) / self.tau_m[neuron]
        return -adjoint[0, neuron] * rate

    def _levels(self, neuron: int) -> tuple[float, float]:
        return self.threshold[neuron], self.reset[neuron]

    def _period(self, neuron: int) -> float:
        return self.node.refractory[neuron % self.node.refractory.size]

    def arrival_adjoint(self, port: int, adjoint: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> None:
        """An arrival shifts the state by a constant, so the adjoint goes through unchanged."""

    def arrival_slopes(self, state: np.ndarray, port: int, adjoint: np.ndarray, targets: np.ndarray, weights):
        """Slope of the loss with respect to the time of an arrival; the adjoint is that after it."""
        free = state[-1, targets] if self.holds else 1.0
        by_voltage = free * adjoint[0, targets] / self.tau_m[targets]
        if port == VOLTAGE:
            return weights * by_voltage
        return weights * (adjoint[1 + port, targets] / self.tau_s[port, targets] - by_voltage)

    def weight_slopes(self, state: np.ndarray, port: int, adjoint: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Slope of the loss with respect to what an arrival adds."""
        if port == VOLTAGE and self.holds:
            return adjoint[0, targets] * state[-1, targets]
        return adjoint[1 + port, targets]

    def initial_slopes(self, adjoint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return adjoint[0].copy(), self.currents(adjoint).copy()

    def rate_slopes(self, state: np.ndarray, adjoint: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Adjoint times the derivative of the vector field by tau_m, by each tau_s, and by the drive, which is none."""
        by_tau_m = -adjoint[0] * self.rate(state) / self.node.tau_m
        return by_tau_m, self.currents(adjoint) * self.currents(state) / self.node.tau_s**2, np.zeros(self.node.size)

    # -- weighted average of the voltage -----------------------------------------------------------------------

    def average_coefficients(self, step: float, rate: float) -> tuple[np.ndarray, np.ndarray]:
        """Integral of v(t) exp(-rate t) over a step, per unit of v and per unit of each current at its start."""
        tau_m, tau_s = self.node.tau_m, self.node.tau_s
        decay = 1 / tau_m + rate
        of_v = -np.expm1(-decay * step) / decay
        # Gauss-Legendre on panels no longer than the fastest time constant: 16 nodes leave rounding only.
        fastest = 1 / np.min(tau_m) + (1 / np.min(tau_s) if tau_s.size else 0.0) + rate
        panels = max(1, int(np.ceil(step * fastest)))
        width = step / panels
        times = (np.arange(panels)[:, None] + (1 + _NODES) / 2) * width
        weights = width / 2 * np.tile(_WEIGHTS, panels)
        of_current = sum(
            weight * np.exp(-rate * t) * current_response(t, tau_m, tau_s)
            for t, weight in zip(times.ravel(), weights, strict=True)
        )
        return of_v, of_current
