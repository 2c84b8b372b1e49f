"""Synapses with a state in the reverse pass: what every arrival found, computed again from the spikes.

The state of a synapse depends on the arrivals at it and on nothing else, so no run has to record it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from brian_qif.equations.synaptic import ELAPSED, reverse_synapse
from brian_qif.plan.network_plan import Pathway
from brian_qif.plan.synaptic import LAST
from brian_qif.plan.values import evaluate


@dataclass
class Arriving:
    """Arrivals at synapses, counted over samples: ``synapse``, ``step``, and the ``number`` of the spike of its neuron,
    by synapse and then by step."""

    synapse: np.ndarray
    step: np.ndarray
    number: np.ndarray

    def select(self, chosen: np.ndarray) -> Arriving:
        return Arriving(self.synapse[chosen], self.step[chosen], self.number[chosen])

    @property
    def rank(self) -> np.ndarray:
        """For every arrival, how many there were at its synapse before."""
        place = np.arange(len(self.synapse))
        first = np.diff(self.synapse, prepend=-1) != 0
        return place - np.maximum.accumulate(np.where(first, place, 0))


def arrivals_of(pathway: Pathway, steps: np.ndarray, spikes: list[tuple[np.ndarray, np.ndarray]]) -> Arriving:
    """The arrivals of the spikes of all samples, each a pair of units and steps, after delays of some steps."""
    parts = []
    order = np.argsort(pathway.pre, kind="stable")
    for b, (units, at) in enumerate(spikes):
        sorted_spikes = np.lexsort((at, units))
        units, at = units[sorted_spikes], at[sorted_spikes]
        place = np.arange(len(units))
        numbers = place - np.maximum.accumulate(np.where(np.diff(units, prepend=-1) != 0, place, 0))
        first = np.searchsorted(pathway.pre[order], units)
        counts = np.searchsorted(pathway.pre[order], units, side="right") - first
        synapses = order[np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(np.sum(counts))]
        late = np.repeat(at, counts) + steps[synapses]
        parts.append(np.stack([b * len(pathway.pre) + synapses, late, np.repeat(numbers, counts)]))
    synapse, step, number = np.concatenate(parts, axis=1) if parts else np.zeros((3, 0), dtype=int)
    by_synapse = np.lexsort((step, synapse))
    return Arriving(synapse[by_synapse], step[by_synapse], number[by_synapse])


@dataclass
class Found:
    """What arrivals found: by state, and by `ELAPSED`, one number for each."""

    arriving: Arriving
    values: dict[str, np.ndarray]

    def select(self, chosen: np.ndarray) -> Found:
        return Found(self.arriving.select(chosen), {name: x[chosen] for name, x in self.values.items()})


def follow(pathway: Pathway, start: dict[str, np.ndarray], arriving: Arriving, dt: float, first: int) -> Found:
    """Go through arrivals in order, from the states (and the time of the last arrival, counted from the step ``first``)
    that the synapses had before them."""
    system, count = pathway.state.system, len(pathway.pre)
    reverse = reverse_synapse(system)
    now = {name: start[name].copy() for name in system.states}
    last = start[LAST].copy() if LAST in start else np.zeros(len(next(iter(start.values()))))
    values = {name: np.zeros(len(arriving.step)) for name in (*system.states, ELAPSED.name)}
    ranks = arriving.rank
    by_rank = np.argsort(ranks, kind="stable")
    bounds = np.searchsorted(ranks[by_rank], np.arange(np.max(ranks, initial=-1) + 2))
    for low, high in zip(bounds[:-1], bounds[1:], strict=True):
        events = by_rank[low:high]
        synapses = arriving.synapse[events]
        times = (arriving.step[events] - first) * dt
        known = {name: now[name][synapses] for name in system.states} | {ELAPSED.name: times - last[synapses]}
        for name, x in known.items():
            values[name][events] = x
        known |= numbers_at(pathway, synapses % count)
        for name, expression in reverse.program:
            known[name] = np.broadcast_to(evaluate(expression, known), synapses.shape)
        for name in system.states:
            now[name][synapses] = known[reverse.after[name]]
        last[synapses] = times
    return Found(arriving, values)


def numbers_at(pathway: Pathway, synapses: np.ndarray) -> dict[str, np.ndarray]:
    """The parameters of some synapses."""
    numbers, wanted = pathway.state.numbers, pathway.state.system.parameters
    return {name: numbers[name][synapses] if numbers[name].size > 1 else numbers[name] for name in wanted}


def as_tables(found: Found, count: int, room: int, slots: int) -> dict[str, np.ndarray]:
    """What arrivals found by rank and synapse, shape (room, count), with the slot of the spike."""
    values = found.values | ({"qif_slot": found.arriving.number % slots} if slots > 1 else {})
    tables, ranks = {}, found.arriving.rank
    for name, x in values.items():
        tables[name] = np.zeros((room, count))
        tables[name][ranks, found.arriving.synapse] = x
    return tables
