"""Synapses with a state in the reverse pass: what every arrival found, computed again from the spikes.

The state of a synapse depends on the arrivals at it and on nothing else, so no run has to record it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from brian_qif.equations.synaptic import ELAPSED, reverse_synapse
from brian_qif.plan.network_plan import Pathway
from brian_qif.plan.synaptic import LAST
from brian_qif.plan.values import evaluate


@dataclass
class Arriving:
    """Arrivals at synapses, counted over samples, by synapse and then by step.

    ``number`` is how many spikes the neuron had before, ``spike`` the place of the spike in what was given.
    """

    synapse: np.ndarray
    step: np.ndarray
    number: np.ndarray
    spike: np.ndarray

    def select(self, chosen: np.ndarray) -> Arriving:
        return Arriving(self.synapse[chosen], self.step[chosen], self.number[chosen], self.spike[chosen])

    @property
    def rank(self) -> np.ndarray:
        """For every arrival, how many there were at its synapse before."""
        place = np.arange(len(self.synapse))
        first = np.diff(self.synapse, prepend=-1) != 0
        return place - np.maximum.accumulate(np.where(first, place, 0))


def arrivals_of(
    pathway: Pathway, steps: np.ndarray, spikes: list[tuple[np.ndarray, np.ndarray]], last: int
) -> Arriving:
    """The arrivals of the spikes of all samples, each a pair of units and steps, after delays of some steps.

    Left out are spikes of which an arrival would be after the step ``last``.
    """
    parts = []
    order = np.argsort(pathway.pre, kind="stable")
    for b, (units, at) in enumerate(spikes):
        sorted_spikes = np.lexsort((at, units))
        units, at = units[sorted_spikes], at[sorted_spikes]
        place = np.arange(len(units))
        numbers = place - np.maximum.accumulate(np.where(np.diff(units, prepend=-1) != 0, place, 0))
        sent = at + np.max(steps) <= last
        units, at, numbers, sorted_spikes = units[sent], at[sent], numbers[sent], sorted_spikes[sent]
        first = np.searchsorted(pathway.pre[order], units)
        counts = np.searchsorted(pathway.pre[order], units, side="right") - first
        synapses = order[np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(np.sum(counts))]
        late = np.repeat(at, counts) + steps[synapses]
        own = b * len(pathway.pre) + synapses
        parts.append(np.stack([own, late, np.repeat(numbers, counts), np.repeat(sorted_spikes, counts)]))
    synapse, step, number, spike = np.concatenate(parts, axis=1)
    return Arriving(synapse, step, number, spike).select(np.lexsort((step, synapse)))


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
    last = start[LAST].copy()
    values = {name: np.zeros(len(arriving.step)) for name in (*system.states, ELAPSED.name)}
    for events in one_by_one(arriving):
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


def one_by_one(arriving: Arriving) -> list[np.ndarray]:
    """First the first arrivals at all synapses, then the second ones, and so on."""
    ranks = arriving.rank
    by_rank = np.argsort(ranks, kind="stable")
    bounds = np.searchsorted(ranks[by_rank], np.arange(np.max(ranks, initial=-1) + 2))
    return [by_rank[low:high] for low, high in zip(bounds[:-1], bounds[1:], strict=True)]


def take_back(
    pathway: Pathway, found: Found, by_amount, by_time: Callable, carried: dict[str, np.ndarray]
) -> np.ndarray:
    """The slope by the time of every arrival.

    ``by_amount`` has the slopes by what arrivals add; ``by_time`` gives, from the places of arrivals and what they
    add, the slopes by their times as far as they go through the neurons alone. ``carried`` has the adjoint of the
    states after the last of these arrivals, and the slope by the interval that follows, and is changed.
    """
    system, count = pathway.state.system, len(pathway.pre)
    reverse, total = reverse_synapse(system), np.zeros(len(found.arriving.step))
    for events in reversed(one_by_one(found.arriving)):
        synapses = found.arriving.synapse[events]
        known = {name: x[events] for name, x in found.values.items()} | numbers_at(pathway, synapses % count)
        known |= {f"adjoint_{name}": carried[name][synapses] for name in system.states}
        known["by_amount"] = by_amount[events]
        for name, expression in (*reverse.program, *reverse.transposed):
            known[name] = np.broadcast_to(evaluate(expression, known), synapses.shape)
        interval = evaluate(reverse.slopes[ELAPSED.name], known)
        total[events] = by_time(events, known[reverse.amount]) + interval - carried[ELAPSED.name][synapses]
        carried[ELAPSED.name][synapses] = interval
        for name in system.states:
            carried[name][synapses] = evaluate(reverse.slopes[name], known)
    return total


def nothing_carried(pathway: Pathway, samples: int) -> dict[str, np.ndarray]:
    """After the last arrivals nothing depends on the states that they left."""
    return {name: np.zeros(len(pathway.pre) * samples) for name in (*pathway.state.system.states, ELAPSED.name)}


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
