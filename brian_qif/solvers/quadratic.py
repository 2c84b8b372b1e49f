"""Quadratic neurons in projective coordinates (docs/mathematics.md, "QIF without infinities").

The state of a group is an array of rows: p, q with v = p/q, and one row per synaptic current. A spike at infinity is
a zero of q; passing through it is the reset from plus to minus infinity. Only the ratio p/q matters, so (p, q) may be
rescaled at will, and the loss is homogeneous of degree 0 in it.
"""

from __future__ import annotations

import numpy as np

from brian_qif.plan.network_plan import VOLTAGE, NeuronNode
from brian_qif.solvers.sweeps import ModelSlopes

# Steps are limited so that |I r^2| <= 1: the zeros of q are then more than one step apart (sqrt(I) r < pi).
LARGEST_PHASE = 1.0
LONGEST_STEP = 0.5


def stumpff(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """C(z) = cos(sqrt z) and S(z) = sin(sqrt z)/sqrt z, continued to z <= 0 by cosh and sinh."""
    root = np.sqrt(np.abs(z))
    tiny = root < 1e-4
    safe = np.where(tiny, 1.0, root)
    cosine = np.where(z >= 0, np.cos(root), np.cosh(root))
    ratio = np.where(z >= 0, np.sin(root), np.sinh(root)) / safe
    return cosine, np.where(tiny, 1 - z / 6, ratio)


def stumpff_slope(z: np.ndarray) -> np.ndarray:
    """dS/dz; the quotient (C - S)/(2 z) cancels for small z, where the power series is short."""
    small = np.abs(z) < 0.5
    cosine, ratio = stumpff(z)
    series, term = np.zeros_like(z), np.full_like(z, -1 / 6)
    for n in range(1, 12):
        series = series + n * term
        term = term * -np.where(small, z, 0.0) / ((2 * n + 2) * (2 * n + 3))
    return np.where(small, series, (cosine - ratio) / (2 * np.where(small, 1.0, z)))


def has_closed_form(node: NeuronNode) -> bool:
    """Whether the flow is that of one current with tau_m = 2 tau_s, without a drive, and spikes at infinity."""
    return (
        len(node.currents) == 1
        and bool(np.all(node.tau_m == 2 * node.tau_s[0]))
        and not np.any(node.drive)
        and node.spikes_at_infinity
    )


class ProjectiveNeurons:
    """What all quadratic neurons share: coordinates, arrivals, and spikes at infinity."""

    def __init__(self, node: NeuronNode):
        self.node = node
        self.count = len(node.currents)
        self.tau_m = np.broadcast_to(node.tau_m, node.size)
        self.tau_s = np.broadcast_to(node.tau_s, (self.count, node.size))

    def initial_state(self) -> np.ndarray:
        v = self.node.v
        large = np.abs(v) > 1
        p = np.where(large, np.sign(v), v)
        q = np.where(large, 1 / np.where(large, np.abs(v), 1.0), 1.0)
        return np.array([p, q, *self.node.currents])

    def voltage(self, state: np.ndarray) -> np.ndarray:
        """p/q; where q is zero a neuron has just spiked, and v begins at minus infinity."""
        with np.errstate(divide="ignore"):
            return np.where(state[1] == 0, -np.inf, state[0] / state[1])

    def currents(self, state: np.ndarray) -> np.ndarray:
        return state[2 : 2 + self.count]

    def seed_voltage(self, state: np.ndarray, adjoint: np.ndarray, seed: np.ndarray) -> None:
        """Add the slope of a loss with respect to the voltage; one that it does not look at may be infinite."""
        used = seed != 0
        adjoint[0, used] += seed[used] / state[1, used]
        adjoint[1, used] -= seed[used] * state[0, used] / state[1, used] ** 2

    def rescale(self, state: np.ndarray) -> np.ndarray:
        """Multiply (p, q) of every neuron by a power of two, in place; returns the factors."""
        _, exponent = np.frexp(np.maximum(np.abs(state[0]), np.abs(state[1])))
        factors = np.ldexp(1.0, -exponent)
        state[:2] *= factors
        return factors

    def _free(self, state: np.ndarray) -> np.ndarray:
        """1, or 0 while a refractory neuron is held."""
        return np.ones(self.node.size)

    def zero_crossed(self, state: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Neurons whose q has a zero within the step; q = 0 at its start is the last spike."""
        return np.flatnonzero((state[1] * after[1] < 0) | ((after[1] == 0) & (state[1] != 0)))

    def spike(self, state: np.ndarray, neuron: int) -> None:
        state[1, neuron] = 0.0

    def may_lift(self, port: int, weights: np.ndarray) -> np.ndarray:
        """Which arrivals may lift a neuron over its threshold at once."""
        return (weights > 0) & (port == VOLTAGE)

    def order_matters(self, port: int) -> bool:
        """Whether arrivals of one time at one neuron change the slopes of each other."""
        return port == VOLTAGE

    def above_threshold(self, state: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """No arrival lifts a voltage to infinity."""
        return targets[:0]

    def arrive(self, state: np.ndarray, port: int, targets: np.ndarray, weights: np.ndarray) -> None:
        if port == VOLTAGE:
            np.add.at(state[0], targets, weights * state[1, targets])
        else:
            np.add.at(state[2 + port], targets, weights)

    def _homogeneous(self, state: np.ndarray, adjoint: np.ndarray) -> np.ndarray:
        """Take out of the adjoint, in place, what rounding left along (p, q), which no loss depends on.

        A perturbation along (p, q) never decays: the rounding of slopes by what a neuron remembers would stay in those
        by what it has long forgotten.
        """
        large = np.abs(state[1]) >= np.abs(state[0])
        ratio = np.where(large, state[0], state[1]) / np.where(large, state[1], state[0])
        of_large, of_small = np.where(large, adjoint[1::-1], adjoint[:2])
        of_small = (of_small - ratio * of_large) / (1 + ratio**2)
        of_large = -ratio * of_small
        adjoint[:2] = np.where(large, [of_small, of_large], [of_large, of_small])
        return adjoint

    def spike_adjoint(self, state, neuron: int, adjoint, seed: float, slopes: ModelSlopes | None) -> None:
        """At q = 0, dt = tau_m dq/p; the neuron's own trajectory is smooth through its spike."""
        adjoint[1, neuron] += seed * self.tau_m[neuron] / state[0, neuron]

    def arrival_adjoint(self, port: int, adjoint: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> None:
        """Through v + w = (p + w q)/q."""
        if port == VOLTAGE:
            np.add.at(adjoint[1], targets, weights * adjoint[0, targets])

    def arrival_slopes(self, state: np.ndarray, port: int, adjoint: np.ndarray, targets: np.ndarray, weights):
        """Slope of the loss with respect to the time of an arrival; the adjoint is that after it."""
        p, q = state[:2, targets]
        free = self._free(state)[targets]
        if port == VOLTAGE:
            # f before, carried through the jump, minus f after; written out, as the difference cancels for small w.
            moved = weights * (adjoint[0, targets] * (q - p) + adjoint[1, targets] * q)
            return free * moved / self.tau_m[targets]
        by_current = adjoint[2 + port, targets] / self.tau_s[port, targets]
        return weights * (by_current - free * q * adjoint[0, targets] / self.tau_m[targets])

    def weight_slopes(self, state: np.ndarray, port: int, adjoint: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Slope of the loss with respect to what an arrival adds."""
        if port == VOLTAGE:
            return self._free(state)[targets] * adjoint[0, targets] * state[1, targets]
        return adjoint[2 + port, targets]

    def _drive(self, targets):
        return np.broadcast_to(self.node.drive, self.node.size)[targets]

    def initial_slopes(self, adjoint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Through the chart in which the state began: (v, 1) or (1, 1/v) up to the sign."""
        v = self.node.v
        large = np.abs(v) > 1
        inverse = 1 / np.where(large, v, 1.0)
        by_v = np.where(large, -adjoint[1] * inverse**2 * np.sign(v), adjoint[0])
        return by_v, self.currents(adjoint).copy()

    def rate_slopes(self, state: np.ndarray, adjoint: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Adjoint times the derivative of the vector field by tau_m, by each tau_s, and by the drive."""
        p, q = state[:2]
        total = np.sum(self.currents(state), axis=0) + self.node.drive
        by_tau_m = -(adjoint[0] * (total * q - p) - adjoint[1] * p) / self.node.tau_m**2
        by_tau_s = self.currents(adjoint) * self.currents(state) / self.node.tau_s**2
        return by_tau_m, by_tau_s, adjoint[0] * q / self.node.tau_m


class QuadraticNeurons(ProjectiveNeurons):
    """Flow, spikes and adjoints of QIF neurons with tau_m = 2 tau_s that spike at infinity: the closed form."""

    def steps_needed(self, state: np.ndarray, step: float) -> int:
        """Into how many equal parts a step is cut so that the first of them holds at most one spike per neuron."""
        scaled = step / self.tau_m
        most = np.max(scaled / LONGEST_STEP, initial=1.0)
        return int(np.ceil(max(most, np.max(scaled * np.sqrt(np.abs(state[2]) / LARGEST_PHASE), initial=0.0))))

    # -- forward ---------------------------------------------------------------------------------------------

    def flow(self, state: np.ndarray, step: float) -> np.ndarray:
        p, q, current = state
        decay, r = np.exp(-step / self.node.tau_m), -np.expm1(-step / self.node.tau_m)
        cosine, ratio = stumpff(current * r**2)
        return np.array(
            [decay * (cosine * p + current * r * ratio * q), cosine * q - r * ratio * p, decay**2 * current]
        )

    def crossings(self, state: np.ndarray, after: np.ndarray, step: float) -> dict[int, float]:
        """Time of the zero of q for each neuron that has one within the step."""
        return {int(n): self._zero(n, *state[:, n]) for n in self.zero_crossed(state, after)}

    def _zero(self, neuron: int, p: float, q: float, current: float) -> float:
        """tan(w r) = w q/p with w = sqrt(I); artanh for I < 0."""
        root = np.sqrt(abs(current))
        if current > 0:
            angle = np.arctan2(root * q, p) if q > 0 else np.arctan2(-root * q, -p)
            r = angle / root
        elif current < 0:
            r = np.arctanh(root * q / p) / root
        else:
            r = q / p
        return -self.tau_m[neuron] * np.log1p(-r)

    # -- adjoint ---------------------------------------------------------------------------------------------

    def flow_adjoint(self, state: np.ndarray, step: float, adjoint: np.ndarray) -> np.ndarray:
        p, q, current = state
        slope_p, slope_q, slope_current = adjoint
        decay, r = np.exp(-step / self.node.tau_m), -np.expm1(-step / self.node.tau_m)
        z = current * r**2
        cosine, ratio = stumpff(z)
        cosine_slope, ratio_slope = -(r**2) * ratio / 2, r**2 * stumpff_slope(z)
        p_by_current = decay * (cosine_slope * p + r * (ratio + current * ratio_slope) * q)
        q_by_current = cosine_slope * q - r * ratio_slope * p
        before = [
            decay * cosine * slope_p - r * ratio * slope_q,
            decay * current * r * ratio * slope_p + cosine * slope_q,
            decay**2 * slope_current + p_by_current * slope_p + q_by_current * slope_q,
        ]
        return self._homogeneous(state, np.array(before))
