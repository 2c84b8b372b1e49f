"""Any smooth neuron, integrated numerically with its events and its adjoint (docs/mathematics.md, "Any smooth neuron").

The state of a group has one row per state variable, in SI units. A step is a chain of polynomials, cut where a shorter
one is more accurate; the spike is a root of the event's condition along them. Slower than the closed forms, and an
independent check of them.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from brian_qif.equations.adjoint import jacobians
from brian_qif.plan.network_plan import HybridNode
from brian_qif.plan.values import compiled_together
from brian_qif.solvers import collocation
from brian_qif.solvers.collocation import Piece
from brian_qif.solvers.linear import GRAZING_SLOPE
from brian_qif.solvers.sweeps import GrazingSpikeError

# A step that is cut into pieces shorter than this part of it leads to infinity.
SHORTEST_PIECE = 2.0**-52
# A piece is at most so many times as long as the fastest of its variables takes by itself.
REACH = 0.5
# The reverse sweep needs the pieces of a block of steps twice.
KEPT_STEPS = 80


class NumericNeurons:
    """Flow, spikes and adjoints of one group of neurons with any smooth equations."""

    def __init__(self, node: HybridNode):
        self.node, self.system = node, node.system
        self.names = self.system.parameters
        self.numbers = [node.numbers[name] for name in self.names]
        derivatives = jacobians(self.system)
        self._rates = self._compiled(self.system.rates)
        self._jump = self._compiled(self.system.jump)
        self._event = self._compiled(() if self.system.event is None else (self.system.event,))
        matrices = ("rates_by_state", "rates_by_parameter", "event_by_state", "event_by_parameter")
        matrices += ("jump_by_state", "jump_by_parameter")
        self._matrices = {
            name: self._compiled(tuple(part for row in getattr(derivatives, name) for part in row)) for name in matrices
        }
        watched = {symbol.name for symbol in self.system.event.free_symbols} if self.node.spikes else set()
        self._watched = [name in watched for name in self.system.states]
        self._recent = lru_cache(maxsize=KEPT_STEPS)(self._integrate)

    def _compiled(self, expressions):
        return compiled_together((*self.system.states, *self.names), expressions)

    # -- functions of the system at states x, whose last axis is that of the neurons ------------------------------

    def _values(self, function, x: np.ndarray, numbers) -> np.ndarray:
        parts = function(*x, *numbers)
        values = np.empty((len(parts), *x.shape[1:]))
        for k, part in enumerate(parts):
            values[k] = part
        return values

    def rates(self, x: np.ndarray, neuron: int | None = None) -> np.ndarray:
        """dx/dt."""
        return self._values(self._rates, x, self._numbers_of(neuron))

    def event(self, x: np.ndarray, neuron: int | None = None) -> np.ndarray:
        """The condition of the spike, negative before it."""
        return self._values(self._event, x, self._numbers_of(neuron))[0]

    def jump(self, x: np.ndarray, neuron: int) -> np.ndarray:
        """The state of a neuron after its spike."""
        return self._values(self._jump, x, self._numbers_of(neuron))

    def matrix(self, name: str, x: np.ndarray, neuron: int | None = None) -> np.ndarray:
        """A Jacobian: one row per component, one column per state or parameter, then the shape of a state."""
        columns = len(self.names) if name.endswith("parameter") else len(self.system.states)
        values = self._values(self._matrices[name], x, self._numbers_of(neuron))
        return values.reshape(-1 if len(values) else 0, columns, *x.shape[1:])

    def _numbers_of(self, neuron: int | None):
        if neuron is None:
            return self.numbers
        return [number[neuron % number.size] for number in self.numbers]

    # -- states ----------------------------------------------------------------------------------------------

    def initial_state(self) -> np.ndarray:
        return self.node.states.astype(float)

    def voltage(self, state: np.ndarray) -> np.ndarray:
        return state[0]

    def currents(self, state: np.ndarray) -> np.ndarray:
        return state[1:]

    def seed_voltage(self, state: np.ndarray, adjoint: np.ndarray, seed: np.ndarray) -> None:
        """Add the slope of a loss with respect to the first state variable."""
        adjoint[0] += seed

    def steps_needed(self, state: np.ndarray, step: float) -> int:
        """The flow cuts its steps itself."""
        return 1

    def rescale(self, state: np.ndarray) -> None:
        """The rows are the user's variables themselves."""
        return None

    # -- forward ---------------------------------------------------------------------------------------------

    def pieces(self, state: np.ndarray, step: float) -> tuple[Piece, ...]:
        """The solution over a step; a neuron stands still after the piece in which it passes its threshold."""
        return self._recent(np.ascontiguousarray(state).tobytes(), step)

    def _integrate(self, state: bytes, step: float) -> tuple[Piece, ...]:
        x = np.frombuffer(state).reshape(len(self.system.states), self.node.size)
        pieces, begin, length = [], 0.0, step
        moving = np.ones(self.node.size, dtype=bool)
        while begin < step:
            with np.errstate(all="ignore"):
                parts, reach = self._scales(x, moving)
                length = min(length, reach, step - begin)
                piece = self._piece(x, begin, length, moving, parts)
                while piece is None or not piece.remainder <= 1:
                    length /= 2
                    if not length >= SHORTEST_PIECE * step:
                        raise ArithmeticError(self._unbounded(x))
                    piece = self._piece(x, begin, length, moving, parts)
            pieces.append(piece)
            if length == step - begin:
                break
            begin, x = begin + length, piece.after
            if self.node.spikes:
                moving = moving & (self.event(x) < 0)
            if piece.iterations <= collocation.FEW_ITERATIONS:
                length *= 2
        return tuple(pieces)

    def _scales(self, x: np.ndarray, moving: np.ndarray) -> tuple[np.ndarray, float]:
        """The size of the parts of each rate, which may cancel, and how long a piece can reach."""
        jacobian = np.abs(self.matrix("rates_by_state", x))
        parts = np.einsum("abn,bn->an", jacobian, np.abs(x)) + np.abs(self.rates(x))
        fastest = np.max(np.einsum("aan->an", jacobian) * moving)
        return parts, REACH / max(fastest, np.finfo(float).tiny)

    def _unbounded(self, x: np.ndarray) -> str:
        fastest = int(np.argmax(np.max(np.abs(self.rates(x)) / (np.abs(x) + np.finfo(float).tiny), axis=0)))
        state = ", ".join(
            f"{name} = {value:.6g}" for name, value in zip(self.system.states, x[:, fastest], strict=True)
        )
        return (
            f"The equations of '{self.node.name}' have no smooth solution beyond {state} of neuron "
            f"{self.node.first_neuron + fastest}: a state grows to infinity, or a rate is not defined there. Lower the "
            "threshold, or change the equations."
        )

    def _piece(self, x, begin: float, length: float, moving, parts) -> Piece | None:
        def rates(nodes):
            return np.where(moving, self.rates(nodes), 0.0)

        size = np.maximum(np.abs(x) + length * parts, np.finfo(float).tiny)
        solved = collocation.solve_nodes(rates, x, length, size)
        if solved is None:
            return None
        nodes, slope, iterations = solved
        left_out = length * collocation.highest(slope) / collocation.size_with(size, nodes)
        event = None
        if self.node.spikes:
            values = self.event(nodes)
            event = collocation.COEFFICIENTS @ values
            of_event = np.einsum("bn,bn->n", np.abs(self.matrix("event_by_state", x)[0]), np.abs(x))
            of_event = np.maximum(of_event + np.max(np.abs(values), axis=0), np.finfo(float).tiny)
            left_out = np.vstack([left_out, collocation.highest(values) / of_event])
        after = x + length * np.einsum("j,ajn->an", collocation.WEIGHTS, slope)
        remainder = float(np.max(left_out)) / collocation.TOLERANCE
        return Piece(begin, length, x, nodes, after, event, remainder, iterations, moving)

    def flow(self, state: np.ndarray, step: float) -> np.ndarray:
        pieces = self.pieces(state, step)
        return pieces[-1].after.copy() if pieces else state.copy()

    def crossings(self, state: np.ndarray, after: np.ndarray, step: float) -> dict[int, float]:
        """Time of the first upward crossing of each neuron that crosses within the step."""
        found: dict[int, float] = {}
        if not self.node.spikes:
            return found
        for piece in self.pieces(state, step):
            possible = piece.event[0] + np.sum(np.abs(piece.event[1:]), axis=0) >= 0
            for neuron in np.flatnonzero(possible):
                place = collocation.first_rise(piece.event[:, neuron])
                if place is not None:
                    found.setdefault(int(neuron), min(piece.begin + place * piece.length, step))
        return found

    def spike(self, state: np.ndarray, neuron: int) -> None:
        state[:, neuron] = self.jump(state[:, neuron], neuron)
        if not self.event(state[:, neuron], neuron) < 0:
            raise ValueError(
                f"'{self.node.name}': the reset leaves neuron {self.node.first_neuron + neuron} at or above its "
                "threshold, so a spike would never end."
            )

    def spike_at_once(self, state: np.ndarray, neuron: int) -> None:
        """A spike that an arrival caused by lifting the neuron beyond its threshold."""
        self.spike(state, neuron)

    def may_lift(self, port: int, weights: np.ndarray) -> np.ndarray:
        """Which arrivals may lift a neuron over its threshold at once."""
        return np.full(len(weights), self._watched[1 + port])

    def order_matters(self, port: int) -> bool:
        """Whether arrivals of one time at one neuron change the slopes of each other."""
        return True

    def above_threshold(self, state: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Which neurons stand at or above their threshold."""
        return np.unique(targets[self.event(state)[targets] >= 0])

    def arrive(self, state: np.ndarray, port: int, targets: np.ndarray, weights: np.ndarray) -> None:
        np.add.at(state[1 + port], targets, weights)

    # -- adjoint ---------------------------------------------------------------------------------------------

    def flow_adjoint(self, state: np.ndarray, step: float, adjoint: np.ndarray, slopes: dict | None = None):
        """The adjoint before a step; its integrals with f_theta are added to ``slopes`` where these are wanted."""
        for piece in reversed(self.pieces(state, step)):
            jacobian = np.where(piece.moving, self.matrix("rates_by_state", piece.nodes), 0.0)
            nodes, adjoint = collocation.solve_adjoint(piece, jacobian, adjoint)
            if slopes is not None:
                by_parameter = self.matrix("rates_by_parameter", piece.nodes)
                total = np.einsum("j,ajn,apjn->pn", collocation.WEIGHTS, piece.moving * nodes, by_parameter)
                for name, slope in zip(self.names, piece.length * total, strict=True):
                    slopes[name] += slope
        return adjoint.copy()

    def spike_adjoint(self, state, neuron: int, adjoint, seed: float, slopes: dict | None) -> None:
        """Eq. (jump): ``state`` is the state before the reset, ``seed`` the slope with respect to the spike time."""
        x = state[:, neuron]
        rates, by_state = self.rates(x, neuron), self.matrix("event_by_state", x, neuron)[0]
        rise = by_state @ rates
        # The peak lies rise**2/(2 |g''|) above the threshold; within some rounding of g nothing is known of the spike.
        bend = np.abs(by_state) @ np.abs(self.matrix("rates_by_state", x, neuron)) @ np.abs(rates)
        if not rise > GRAZING_SLOPE * np.sqrt(bend * (np.abs(by_state) @ np.abs(x))):
            raise GrazingSpikeError(
                f"Neuron {self.node.first_neuron + neuron} of '{self.node.name}' only grazes its threshold; "
                "its spike time has no bounded derivative."
            )
        by_time = self._through_jump(x, rates, neuron, adjoint, slopes) + seed
        adjoint[:, neuron] -= by_time / rise * by_state
        self._add(slopes, neuron, -by_time / rise * self.matrix("event_by_parameter", x, neuron)[0])

    def spike_at_once_adjoint(self, state, neuron: int, adjoint, seed: float, slopes: dict | None) -> float:
        """Before the reset at the time of an arrival; returns the slope with respect to that time."""
        x = state[:, neuron]
        return seed + self._through_jump(x, self.rates(x, neuron), neuron, adjoint, slopes)

    def _through_jump(self, x, rates, neuron: int, adjoint, slopes) -> float:
        """Takes the adjoint back through h; returns its slope with respect to the time of the jump."""
        after = adjoint[:, neuron].copy()
        by_state = self.matrix("jump_by_state", x, neuron)
        adjoint[:, neuron] = after @ by_state
        self._add(slopes, neuron, after @ self.matrix("jump_by_parameter", x, neuron))
        return float(after @ (by_state @ rates - self.rates(self.jump(x, neuron), neuron)))

    def _add(self, slopes: dict | None, neuron: int, values: np.ndarray) -> None:
        if slopes is not None:
            for name, value in zip(self.names, values, strict=True):
                slopes[name][neuron] += value

    def arrival_adjoint(self, port: int, adjoint: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> None:
        """An arrival shifts the state by a constant, so the adjoint goes through unchanged."""

    def arrival_slopes(self, state: np.ndarray, port: int, adjoint: np.ndarray, targets: np.ndarray, weights):
        """Slope of the loss with respect to the time of an arrival; the adjoint is that after it."""
        after = state.copy()
        self.arrive(after, port, targets, weights)
        return np.sum(adjoint * (self.rates(state) - self.rates(after)), axis=0)[targets]

    def weight_slopes(self, state: np.ndarray, port: int, adjoint: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Slope of the loss with respect to what an arrival adds."""
        return adjoint[1 + port, targets]

    def initial_slopes(self, adjoint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return adjoint[0].copy(), adjoint[1:].copy()
