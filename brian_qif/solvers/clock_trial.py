"""What a clock-driven trial left: states at every step, spikes and their place inside the step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from brian_qif.equations.adjoint import jacobians
from brian_qif.equations.clocked import FREE
from brian_qif.equations.text import as_symbol
from brian_qif.equations.transposed import renamed, rise_at_crossing
from brian_qif.plan.clocked import ClockedNode
from brian_qif.plan.values import evaluate
from brian_qif.solvers.clock_segments import Stops
from brian_qif.solvers.sweeps import GrazingSpikeError, Request

# Slower than this, relative to the size of the event function per step, a crossing has no bounded slope.
GRAZING = 1e-9


@dataclass
class Stretch:
    """The states of a node at consecutive steps, shape (steps, rows, neurons), from the step ``first`` on."""

    first: int
    states: np.ndarray

    def at_steps(self, steps: np.ndarray) -> np.ndarray:
        """The states at the beginning of steps, those before the first and after the last being as these."""
        return self.states[np.clip(np.asarray(steps) - self.first, 0, len(self.states) - 1)]

    def between(self, step: np.ndarray, share: np.ndarray) -> np.ndarray:
        """The states at a share of steps, by straight lines."""
        share = share[:, None, None]
        return (1 - share) * self.states[step - self.first] + share * self.states[step + 1 - self.first]


@dataclass
class NodeTrial:
    """One sample of one node.

    ``steps`` and ``units`` list the spikes in the order of ``times``, which are interpolated inside the steps; ``end``
    is the state at the end of the trial, shape (rows, neurons), and ``spiked_at`` that at the end of the step of the
    first spike of all, for the neuron that spiked. ``stretch`` has the states at the beginning of every step and at the
    end, or is None where they are computed again when they are needed.
    """

    steps: np.ndarray
    units: np.ndarray
    times: np.ndarray
    end: np.ndarray
    spiked_at: np.ndarray | None
    stretch: Stretch | None


def within_steps(times: np.ndarray, dt: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The steps in which times from the start of the trial lie, and the share of the step that has passed then."""
    place = np.asarray(times) / dt
    # A time on the clock is that of the clock.
    place = np.where(np.abs(place - np.round(place)) < 1e-6, np.round(place), place)
    step = np.minimum(place.astype(int), count - 1)
    return step, place - step


@dataclass
class ClockHistory:
    """One of the samples that were run together.

    ``nodes``: by node its `NodeTrial`; ``given``: by source the times, units and steps of its spikes; ``stops``: where
    its simulation can be taken up again; ``states``: a function that computes the states of a node at some times.
    """

    nodes: dict[int, NodeTrial]
    given: dict[int, tuple]
    request: Request
    stops: Stops
    states: Callable[[int, np.ndarray], np.ndarray] | None = None


def by_step(history: ClockHistory, k: int) -> np.ndarray:
    """The step of every spike of a node, in the order of the record."""
    return history.nodes[k].steps if k in history.nodes else history.given[k][2]


def spike_numbers(trial: NodeTrial) -> np.ndarray:
    """For every spike, how many the neuron had before."""
    numbers = np.zeros(len(trial.units), dtype=int)
    order = np.lexsort((trial.steps, trial.units))
    units = trial.units[order]
    place = np.arange(len(units))
    first = np.r_[True, units[1:] != units[:-1]] if len(units) else np.zeros(0, dtype=bool)
    numbers[order] = place - np.maximum.accumulate(np.where(first, place, 0))
    return numbers


def most_within(trial: NodeTrial, window: int) -> int:
    """The largest number of spikes of one neuron within so many steps, both ends included."""
    most = 1
    for n in np.unique(trial.units) if window else ():
        steps = np.sort(trial.steps[trial.units == n])
        most = max(most, int(np.max(np.searchsorted(steps, steps + window, side="right") - np.arange(len(steps)))))
    return most


def end_of_step(node: ClockedNode, states: np.ndarray, units: np.ndarray) -> tuple[dict[str, np.ndarray], list]:
    """What every statement of a step assigns, from states of shape (rows, places) of some neurons, free to move."""
    statements, after = renamed(node.system.step, node.system.states)
    known = dict(zip(node.system.states, states, strict=True))
    known |= {name: x[units] if x.size > 1 else x for name, x in node.values().items()}
    known[FREE.name] = np.ones(1)
    for name, expression in statements:
        known[name] = np.broadcast_to(evaluate(expression, known), states.shape[1:])
    return known, [known[after[name]] for name in node.system.states]


def safe_state(node: ClockedNode, trials: list[NodeTrial]) -> np.ndarray:
    """A state at which the threshold and the reset have finite derivatives: one at which a neuron spiked, if any did.

    Raises
    ------
    FloatingPointError
        If no such state is found.
    """
    candidates = [np.full(len(node.states), value) for value in (1.0, 0.1, -1.0)]
    candidates[:0] = [trial.end[:, 0] for trial in trials]
    for trial in trials:
        if trial.spiked_at is not None:
            candidates[:0] = [trial.spiked_at]
    found = jacobians(node.system)
    parts = [
        x
        for table in (found.event_by_state, found.jump_by_state, found.jump_by_parameter)
        for row in table
        for x in row
    ]
    parts += [rate.subs(_landing(node), simultaneous=True) for rate in node.system.rates] + list(node.system.rates)
    for state in candidates:
        known = {**dict(zip(node.system.states, state, strict=True)), **node.values()}
        with np.errstate(all="ignore"):
            if all(np.all(np.isfinite(evaluate(part, known))) for part in parts):
                return state
    raise FloatingPointError(f"The reset of '{node.name}' is not finite at any state that was tried.")


def _landing(node: ClockedNode):
    return dict(zip(map(as_symbol, node.system.states), node.system.jump, strict=True))


def place_spikes(
    node: ClockedNode, states: np.ndarray, steps: np.ndarray, units: np.ndarray, first: int = 0
) -> np.ndarray:
    """Where inside their steps spikes are: between 0 and 1, by a straight line through the event function.

    ``steps`` are counted from ``first``, where ``states`` begin.

    Raises
    ------
    NotImplementedError
        For a neuron that was at its threshold before the step.
    GrazingSpikeError
        For a crossing that is too slow to have a slope.
    """
    if len(steps) == 0:
        return np.zeros(0)
    before = states[steps, :, units].T
    known, after = end_of_step(node, before, units)
    low = np.broadcast_to(evaluate(node.system.event, known), steps.shape)
    at_end = {**known, **dict(zip(node.system.states, after, strict=True))}
    high = np.broadcast_to(evaluate(node.system.event, at_end), steps.shape)
    bad = np.flatnonzero(~(low < 0))
    if len(bad):
        raise NotImplementedError(
            f"Neuron {units[bad[0]]} of '{node.name}' was at or above its threshold already when its step began, at "
            f"{(first + steps[bad[0]]) * node.model.dt} s, so its spike time has no slope: a synapse that acts on what "
            "the threshold looks at lifted it at once, the reset left it there, or it waited there for the end of its "
            "refractory period. EventSolver() solves LIF and QIF neurons with synapses that lift them at once."
        )
    both = {**known, **{f"end_{name}": x for name, x in zip(node.system.states, after, strict=True)}}
    rise = np.broadcast_to(evaluate(rise_at_crossing(node.system, "end"), both), steps.shape)
    slow = np.flatnonzero(~(rise * node.model.dt > GRAZING * (high - low)))
    if len(slow):
        raise GrazingSpikeError(
            f"Neuron {units[slow[0]]} of '{node.name}' only grazes its threshold at "
            f"{(first + steps[slow[0]]) * node.model.dt} s, so its time has no bounded derivative."
        )
    return -low / (high - low)
