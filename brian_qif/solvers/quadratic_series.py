"""Quadratic neurons with any time constants, several currents, a constant drive, or a finite threshold.

In plain time the projective coordinates stay linear (docs/mathematics.md, "QIF without infinities"): with
J(t) = drive + sum of the currents, q' = -p/tau_m and p' = (J q - p)/tau_m. Steps are so short that a power series in
time leaves rounding only. A further row of the state, `free`, is 0 while a refractory neuron is held.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial.polynomial import polyder, polyroots, polyval
from scipy.optimize import brentq

from brian_qif.plan.network_plan import VOLTAGE
from brian_qif.solvers.linear import GRAZING_SLOPE
from brian_qif.solvers.quadratic import ProjectiveNeurons
from brian_qif.solvers.sweeps import GrazingSpikeError, ModelSlopes

# |J| x^2 <= 1 and x <= 1/2 with x the step over the time constants; what 24 terms leave out is below 1e-20.
LARGEST_PHASE = 1.0
LONGEST_STEP = 0.5
TERMS = 24


class SeriesQuadraticNeurons(ProjectiveNeurons):
    """Flow, spikes and adjoints of QIF neurons for which there is no closed form."""

    def __init__(self, node):
        super().__init__(node)
        self.at_infinity = node.spikes_at_infinity
        self.holds = bool(np.any(node.refractory > 0))
        self.threshold = np.broadcast_to(node.threshold, node.size)
        self.reset_level = np.broadcast_to(node.reset, node.size)
        self.refractory = np.broadcast_to(node.refractory, node.size)

    def initial_state(self) -> np.ndarray:
        state = super().initial_state()
        return np.vstack([state, np.ones(self.node.size)]) if self.holds else state

    def _free(self, state: np.ndarray) -> np.ndarray:
        return state[-1] if self.holds else super()._free(state)

    def steps_needed(self, state: np.ndarray, step: float) -> int:
        """Into how many equal parts a step is cut so that the series holds in the first of them."""
        strongest = np.sum(np.abs(self.currents(state)), axis=0) + np.abs(self.node.drive)
        scaled = step / self.tau_m
        fastest = scaled / LONGEST_STEP
        if self.count:
            fastest = np.maximum(fastest, np.max(step / self.tau_s, axis=0) / LONGEST_STEP)
        limits = np.maximum(fastest, scaled * np.sqrt(strongest / LARGEST_PHASE))
        return max(1, int(np.ceil(np.max(limits, initial=1.0))))

    # -- power series in x = t/tau_m ---------------------------------------------------------------------------

    def _current_series(self, currents: np.ndarray) -> np.ndarray:
        """Coefficients of each current's decay: shape (currents, terms, neurons)."""
        powers = np.arange(TERMS).reshape(-1, 1)
        factorials = np.cumprod(np.maximum(powers, 1), axis=0)
        ratio = -(self.tau_m / self.tau_s)[:, None, :]
        return currents[:, None, :] * ratio**powers / factorials

    def _total_series(self, state: np.ndarray) -> np.ndarray:
        total = np.sum(self._current_series(self.currents(state)), axis=0).reshape(TERMS, -1)
        total[0] += self.node.drive
        return total

    @staticmethod
    def _series(total, p, q, source=None):
        """Coefficients of p and q; ``source`` is a further term of dp/dx."""
        ps, qs = np.zeros((TERMS, *np.shape(p))), np.zeros((TERMS, *np.shape(p)))
        ps[0], qs[0] = p, q
        for n in range(TERMS - 1):
            # The reduction itself: on few neurons, what np.sum does around it takes longer.
            rise = np.add.reduce(total[: n + 1] * qs[n::-1]) - ps[n]
            if source is not None:
                rise += source[n]
            ps[n + 1], qs[n + 1] = rise / (n + 1), ps[n] / -(n + 1)
        return ps, qs

    # -- forward ---------------------------------------------------------------------------------------------

    def flow(self, state: np.ndarray, step: float) -> np.ndarray:
        after = state.copy()
        x = step / self.tau_m
        ps, qs = self._series(self._total_series(state), state[0], state[1])
        powers = x ** np.arange(TERMS)[:, None]
        free = self._free(state) != 0
        after[0] = np.where(free, np.sum(ps * powers, axis=0), state[0])
        after[1] = np.where(free, np.sum(qs * powers, axis=0), state[1])
        after[2 : 2 + self.count] = np.exp(-step / self.node.tau_s) * self.currents(state)
        return after

    def crossings(self, state: np.ndarray, after: np.ndarray, step: float) -> dict[int, float]:
        """Time of the spike of each neuron that has one within the step."""
        if self.at_infinity:
            candidates, level = self.zero_crossed(state, after), np.zeros(self.node.size)
        else:
            candidates, level = np.flatnonzero(self._free(state) != 0), self.threshold
        found = {}
        ps, qs = self._series(self._total_series(state), state[0], state[1])
        for n in candidates:
            # For an infinite threshold, the zero of q; else p - threshold q rises through zero (q stays positive).
            series = -np.sign(state[1, n]) * qs[:, n] if self.at_infinity else ps[:, n] - level[n] * qs[:, n]
            x = _first_rise(series, step / self.tau_m[n])
            if x is not None:
                found[int(n)] = x * self.tau_m[n]
        return found

    def spike(self, state: np.ndarray, neuron: int) -> None:
        if self.at_infinity:
            super().spike(state, neuron)
            return
        self._put(state, neuron, self.reset_level[neuron])
        if self.holds:
            state[-1, neuron] = 0.0

    def spike_at_once(self, state: np.ndarray, neuron: int) -> None:
        """A spike that an arrival caused by lifting the voltage beyond the threshold."""
        self._put(state, neuron, self._landing(state, neuron))
        if self.holds:
            state[-1, neuron] = 0.0

    def _landing(self, state, neuron):
        if not self.node.subtracts:
            return self.reset_level[neuron]
        return state[0, neuron] / state[1, neuron] - (self.threshold[neuron] - self.reset_level[neuron])

    @staticmethod
    def _put(state, neuron, v):
        largest = max(1.0, abs(v))
        state[0, neuron], state[1, neuron] = v / largest, 1 / largest

    def above_threshold(self, state: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Which neurons stand at or above their threshold and are free to spike."""
        if self.at_infinity:
            return targets[:0]
        above = state[0, targets] >= self.threshold[targets] * state[1, targets]
        return np.unique(targets[above & (self._free(state)[targets] != 0)])

    def release(self, state: np.ndarray, neuron: int) -> None:
        """The end of the refractory period."""
        state[-1, neuron] = 1.0

    def arrive(self, state: np.ndarray, port: int, targets: np.ndarray, weights: np.ndarray) -> None:
        if port == VOLTAGE:
            weights = weights * self._free(state)[targets]
        super().arrive(state, port, targets, weights)

    # -- adjoint ---------------------------------------------------------------------------------------------

    def flow_adjoint(self, state: np.ndarray, step: float, adjoint: np.ndarray) -> np.ndarray:
        before = adjoint.copy()
        total, x = self._total_series(state), step / self.tau_m
        powers = x ** np.arange(TERMS)[:, None]
        free = self._free(state) != 0

        def carried(p, q, source=None):
            ps, qs = self._series(total, p, q, source)
            return adjoint[0] * np.sum(ps * powers, axis=0) + adjoint[1] * np.sum(qs * powers, axis=0)

        one, zero = np.ones(self.node.size), np.zeros(self.node.size)
        before[0] = np.where(free, carried(one, zero), adjoint[0])
        before[1] = np.where(free, carried(zero, one), adjoint[1])
        _, qs = self._series(total, state[0], state[1])
        decays = self._current_series(np.ones((self.count, self.node.size)))
        for k in range(self.count):
            source = [np.sum(decays[k, : n + 1] * qs[n::-1][: n + 1], axis=0) for n in range(TERMS)]
            by_current = np.exp(-step / self.tau_s[k]) * adjoint[2 + k]
            before[2 + k] = by_current + np.where(free, carried(zero, zero, source), 0.0)
        return self._homogeneous(state, before)

    def spike_adjoint(self, state, neuron: int, adjoint, seed: float, slopes: ModelSlopes | None) -> None:
        """At infinity as without a threshold; else eq. (jump) for v = p/q, whose slope is q times that of p."""
        if self.at_infinity:
            super().spike_adjoint(state, neuron, adjoint, seed, slopes)
            return
        threshold, reset = self.threshold[neuron], self.reset_level[neuron]
        rise = self._rate(state, neuron, threshold)
        largest = np.sum(np.abs(self.currents(state)[:, neuron])) + threshold**2 + abs(threshold)
        if rise * self.tau_m[neuron] <= GRAZING_SLOPE * largest:
            raise GrazingSpikeError(
                f"Neuron {self.node.first_neuron + neuron} of '{self.node.name}' only grazes its threshold; "
                "its spike time has no bounded derivative."
            )
        by_reset = adjoint[0, neuron] / max(1.0, abs(reset))
        after = 0.0 if self.refractory[neuron] > 0 else self._rate(state, neuron, reset)
        by_v = (by_reset * after - seed) / rise
        self._set_slope(state, neuron, adjoint, by_v)
        if slopes is not None:
            slopes.threshold[neuron] -= by_v
            slopes.reset[neuron] += by_reset

    def spike_at_once_adjoint(self, state, neuron: int, adjoint, seed: float, slopes: ModelSlopes | None) -> float:
        """Before the reset at the time of an arrival; returns the slope with respect to that time."""
        keeps = 1.0 if self.node.subtracts else 0.0
        v, landing = state[0, neuron] / state[1, neuron], self._landing(state, neuron)
        by_reset = adjoint[0, neuron] / max(1.0, abs(landing))
        before = self._rate(state, neuron, v)
        after = 0.0 if self.refractory[neuron] > 0 else self._rate(state, neuron, landing)
        self._set_slope(state, neuron, adjoint, keeps * by_reset)
        if slopes is not None:
            slopes.reset[neuron] += by_reset
            slopes.threshold[neuron] -= keeps * by_reset
        return seed + by_reset * (keeps * before - after)

    def release_adjoint(self, state: np.ndarray, neuron: int, adjoint: np.ndarray) -> float:
        """Slope with respect to the time of release; ``state`` is that before it, when v stands still."""
        v, q = state[0, neuron] / state[1, neuron], state[1, neuron]
        return -adjoint[0, neuron] * q * self._rate(state, neuron, v)

    def _rate(self, state, neuron, v):
        """dv/dt at a voltage."""
        total = np.sum(self.currents(state)[:, neuron]) + self._drive(neuron)
        return (v * (v - 1) + total) / self.tau_m[neuron]

    @staticmethod
    def _set_slope(state, neuron, adjoint, by_v):
        p, q = state[:2, neuron]
        adjoint[0, neuron], adjoint[1, neuron] = by_v / q, -by_v * p / q**2

    def rate_slopes(self, state: np.ndarray, adjoint: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As for all quadratic neurons; a held voltage does not feel its parameters."""
        by_tau_m, by_tau_s, by_drive = super().rate_slopes(state, adjoint)
        free = self._free(state)
        return free * by_tau_m, by_tau_s, free * by_drive


def _first_rise(series: np.ndarray, length: float) -> float | None:
    """Where a power series, negative at 0, first rises through zero within [0, length]."""
    scaled = series * length ** np.arange(len(series))
    if scaled[0] >= 0:
        return 0.0 if scaled[0] > 0 or scaled[1] > 0 else None
    if scaled[0] + np.sum(np.maximum(scaled[1:], 0)) < 0:
        return None
    # Coefficients that cannot move a root would only make the companion matrix badly scaled.
    slope = polyder(scaled)
    relevant = np.flatnonzero(np.abs(slope) > 1e-18 * np.max(np.abs(slope)))
    turns = polyroots(slope[: relevant[-1] + 1]) if len(relevant) else np.array([])
    turns = np.sort(turns.real[(np.abs(turns.imag) < 1e-6) & (turns.real > 0) & (turns.real < 1)])
    for begin, end in zip([0.0, *turns], [*turns, 1.0], strict=True):
        if polyval(end, scaled) >= 0:
            root = brentq(polyval, begin, end, args=(scaled,), xtol=1e-300, rtol=4 * np.finfo(float).eps, maxiter=500)
            return root * length
    return None
