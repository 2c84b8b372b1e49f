"""Gauss-Legendre collocation: a step of an ordinary differential equation as a polynomial in time.

On a piece of length h the solution is ``x(s) = x(0) + h int_0^s F`` with F the polynomial through the rates at the
Gauss-Legendre nodes c_i in (0, 1), so its nodes satisfy ``x_i = x(0) + h sum_j INTEGRALS[i, j] f(x_j)``
(docs/mathematics.md, "Any smooth neuron"). Arrays have the shape (state variables, nodes, neurons).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import legendre
from scipy.optimize import brentq

NODES = 16
_POINTS, _WEIGHTS = legendre.leggauss(NODES)
WEIGHTS = _WEIGHTS / 2
# Legendre coefficients of the polynomial through values at the nodes: the quadrature is exact for their products.
COEFFICIENTS = (2 * np.arange(NODES)[:, None] + 1) * legendre.legvander(_POINTS, NODES - 1).T * WEIGHTS


def _integrals() -> np.ndarray:
    """Integrals from 0 to each node of the polynomials that are 1 at one node and 0 at the others."""
    values = legendre.legvander(_POINTS, NODES)
    degrees = np.arange(1, NODES)
    # The integral of P_k from -1 is (P_(k+1) - P_(k-1))/(2 k + 1).
    of_degrees = np.column_stack([_POINTS + 1, (values[:, 2:] - values[:, :-2]) / (2 * degrees + 1)])
    return of_degrees @ COEFFICIENTS / 2


INTEGRALS = _integrals()

# What the two highest coefficients add to the solution, relative to its size, and when iterations have converged.
TOLERANCE = 1e-14
CONVERGED = 2e-15
STALLED = 1e-13
MOST_ITERATIONS = 30
# The error of the k-th iteration falls as (L h)^k/k!: after so few of them the next piece may be twice as long. The
# remainder cannot tell, for it ends at rounding.
FEW_ITERATIONS = 8
# Beyond L h = 2 a shorter piece is sooner done: the iteration of this number still changes more than that.
EARLY, HOPELESS = 6, 0.02


@dataclass(frozen=True)
class Piece:
    """A part of a step: it starts at ``begin`` and is ``length`` long.

    ``before`` and ``after`` are the states at its ends, ``nodes`` those at the nodes. ``event`` has the Legendre
    coefficients of the event's condition, shape (nodes, neurons), or None. ``remainder`` is what the polynomial leaves
    out over what it may, ``iterations`` how many it took. ``moving`` is False for neurons that stand still because they
    have spiked.
    """

    begin: float
    length: float
    before: np.ndarray
    nodes: np.ndarray
    after: np.ndarray
    event: np.ndarray | None
    remainder: float
    iterations: int
    moving: np.ndarray


def solve_nodes(rates: Callable, before: np.ndarray, length: float, size: np.ndarray):
    """States and rates at the nodes and the number of fixed-point iterations, or None where they do not converge.

    ``size`` is what errors are measured against, per state variable and neuron, where the nodes are not larger.
    """
    start = before[:, None, :]
    nodes = np.repeat(start, NODES, axis=1)
    previous = np.inf
    for iteration in range(MOST_ITERATIONS):
        slope = rates(nodes)
        moved = start + length * (INTEGRALS @ slope)
        change = (np.abs(moved - nodes) / size_with(size, moved)[:, None, :]).max()
        nodes = moved
        if not np.isfinite(change) or (iteration == EARLY and change > HOPELESS):
            return None
        if change <= CONVERGED or (change <= STALLED and change >= previous):
            return nodes, slope, iteration
        previous = change
    return None


def size_with(size: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """The size of states also where they start at zero and something else sets them moving."""
    return np.maximum(size, np.max(np.abs(nodes), axis=1))


def highest(values: np.ndarray) -> np.ndarray:
    """The larger of the two highest Legendre coefficients of a polynomial through values at the nodes."""
    return np.max(np.abs(COEFFICIENTS[-2:] @ values), axis=-2)


def first_rise(coefficients: np.ndarray) -> float | None:
    """Where in [0, 1] a Legendre series, negative at 0, first rises through zero."""
    if legendre.legval(-1.0, coefficients) >= 0:
        return 0.0
    if coefficients[0] + np.sum(np.abs(coefficients[1:])) < 0:
        return None
    slope = legendre.legder(coefficients)
    # Coefficients that cannot move a root would only make the companion matrix badly scaled.
    slope = legendre.legtrim(slope, 1e-16 * np.max(np.abs(slope)))
    turns = legendre.legroots(slope)
    turns = np.sort(turns.real[(np.abs(turns.imag) < 1e-6) & (np.abs(turns.real) < 1)])
    for begin, end in zip([-1.0, *turns], [*turns, 1.0], strict=True):
        if legendre.legval(end, coefficients) >= 0:
            root = brentq(
                legendre.legval, begin, end, (coefficients,), xtol=1e-300, rtol=4 * np.finfo(float).eps, maxiter=500
            )
            return (1 + root) / 2
    return None


def solve_adjoint(piece: Piece, jacobian: np.ndarray, adjoint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The adjoint at the nodes of a piece and at its begin, from that at its end.

    ``jacobian[a, b]`` is the derivative of the rate of a by b. The nodes of the adjoint equation's own collocation are
    those of the exact transpose of the piece, because ``w_i INTEGRALS[i, j] + w_j INTEGRALS[j, i] = w_i w_j``.
    """
    rows, _, _, neurons = jacobian.shape
    backwards = WEIGHTS - INTEGRALS
    matrix = np.einsum("ij,bajn->naibj", backwards, jacobian).reshape(neurons, rows * NODES, rows * NODES)
    end = np.repeat(adjoint.T[:, :, None], NODES, axis=2).reshape(neurons, rows * NODES, 1)
    nodes = np.linalg.solve(np.eye(rows * NODES) - piece.length * matrix, end)
    nodes = nodes.reshape(neurons, rows, NODES).transpose(1, 2, 0)
    return nodes, adjoint + piece.length * np.einsum("j,bajn,bjn->an", WEIGHTS, jacobian, nodes)
