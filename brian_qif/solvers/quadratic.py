"""Quadratic neurons with tau_m = 2 tau_s in projective coordinates (docs/mathematics.md, "QIF without infinities").

The state of a group is an array of three rows, p, q and I, with v = p/q. A spike is a zero of q; passing through it
is the reset from plus to minus infinity. Only the ratio p/q matters, so (p, q) may be rescaled at will, and the loss
is homogeneous of degree 0 in it.
"""

from __future__ import annotations

import numpy as np

from brian_qif.plan.network_plan import NeuronNode

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


class QuadraticNeurons:
    """Flow, spikes and adjoints of one group of QIF neurons."""

    def __init__(self, node: NeuronNode):
        self.node = node

    def initial_state(self) -> np.ndarray:
        v = self.node.v
        large = np.abs(v) > 1
        p = np.where(large, 1.0, v)
        q = np.where(large, 1 / np.where(large, v, 1.0), 1.0)
        return np.array([p, q, self.node.current])

    def voltage(self, state: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return state[0] / state[1]

    def steps_needed(self, state: np.ndarray, step: float) -> int:
        """Into how many equal parts a step is cut so that the first of them holds at most one spike per neuron."""
        scaled = step / self.node.tau_m
        strongest = np.sqrt(np.max(np.abs(state[2]), initial=0.0) / LARGEST_PHASE)
        return max(1, int(np.ceil(scaled / LONGEST_STEP)), int(np.ceil(scaled * strongest)))

    def rescale(self, state: np.ndarray) -> np.ndarray:
        """Multiply (p, q) of every neuron by a power of two, in place; returns the factors."""
        _, exponent = np.frexp(np.maximum(np.abs(state[0]), np.abs(state[1])))
        factors = np.ldexp(1.0, -exponent)
        state[:2] *= factors
        return factors

    # -- forward ---------------------------------------------------------------------------------------------

    def flow(self, state: np.ndarray, step: float) -> np.ndarray:
        p, q, current = state
        decay, r = np.exp(-step / self.node.tau_m), -np.expm1(-step / self.node.tau_m)
        cosine, ratio = stumpff(current * r**2)
        return np.array(
            [decay * (cosine * p + current * r * ratio * q), cosine * q - r * ratio * p, decay**2 * current]
        )

    def crossings(self, state: np.ndarray, after: np.ndarray, step: float) -> dict[int, float]:
        """Time of the zero of q for each neuron that has one within the step; q = 0 at its start is the last spike."""
        crossed = (state[1] * after[1] < 0) | ((after[1] == 0) & (state[1] != 0))
        return {int(neuron): self._zero(*state[:, neuron]) for neuron in np.flatnonzero(crossed)}

    def _zero(self, p: float, q: float, current: float) -> float:
        """tan(w r) = w q/p with w = sqrt(I); artanh for I < 0."""
        root = np.sqrt(abs(current))
        if current > 0:
            angle = np.arctan2(root * q, p) if q > 0 else np.arctan2(-root * q, -p)
            r = angle / root
        elif current < 0:
            r = np.arctanh(root * q / p) / root
        else:
            r = q / p
        return -self.node.tau_m * np.log1p(-r)

    def spike(self, state: np.ndarray, neuron: int) -> None:
        state[1, neuron] = 0.0

    def arrive(self, state: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> None:
        np.add.at(state[2], targets, weights)

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
        return np.array(
            [
                decay * cosine * slope_p - r * ratio * slope_q,
                decay * current * r * ratio * slope_p + cosine * slope_q,
                decay**2 * slope_current + p_by_current * slope_p + q_by_current * slope_q,
            ]
        )

    def spike_adjoint(self, state: np.ndarray, neuron: int, adjoint: np.ndarray, seed: float) -> None:
        """At q = 0, dt = tau_m dq/p; the neuron's own trajectory is smooth through its spike."""
        adjoint[1, neuron] += seed * self.node.tau_m / state[0, neuron]

    def arrival_slopes(self, state: np.ndarray, adjoint: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Slope of the loss with respect to the time of an arrival, per unit of weight."""
        return adjoint[2, targets] / self.node.tau_s - state[1, targets] * adjoint[0, targets] / self.node.tau_m

    def initial_slopes(self, adjoint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Through the chart in which the state began: (v, 1) or (1, 1/v)."""
        v = self.node.v
        large = np.abs(v) > 1
        inverse = 1 / np.where(large, v, 1.0)
        return np.where(large, -adjoint[1] * inverse**2, adjoint[0]), adjoint[2].copy()
