"""Synapses with a state in the reverse pass: what every event at them found, computed again from the spikes.

An event is the arrival of a spike, or a spike of the neuron behind where there is an on_post. The state of a synapse
depends on its events and on nothing else, so no run has to record it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from brian_qif.equations.synaptic import ELAPSED, ReverseSynapse, reverse_synapse
from brian_qif.plan.network_plan import Pathway
from brian_qif.plan.synaptic import LAST
from brian_qif.plan.values import evaluate


@dataclass
class Arriving:
    """Events at synapses, counted over samples, by synapse and then by step, arrivals before spikes behind (``post``).

    Of arrivals, ``number`` is how many spikes the neuron had before, ``spike`` the place of the spike in what was
    given; of spikes behind both are 0.
    """

    synapse: np.ndarray
    step: np.ndarray
    number: np.ndarray
    spike: np.ndarray
    post: np.ndarray

    def select(self, chosen: np.ndarray) -> Arriving:
        return Arriving(*(x[chosen] for x in (self.synapse, self.step, self.number, self.spike, self.post)))

    @property
    def rank(self) -> np.ndarray:
        """For every event, how many there were at its synapse before."""
        place = np.arange(len(self.synapse))
        first = np.diff(self.synapse, prepend=-1) != 0
        return place - np.maximum.accumulate(np.where(first, place, 0))


def arrivals_of(
    pathway: Pathway,
    steps: np.ndarray,
    spikes: list[tuple[np.ndarray, np.ndarray]],
    behind: list[tuple[np.ndarray, np.ndarray]],
    last: int,
) -> Arriving:
    """The events that spikes of all samples make, each a pair of units and steps, arrivals after delays of some steps.

    ``behind`` has the spikes of the neurons behind where there is an on_post, and nothing else. Left out are spikes of
    which an arrival would be after the step ``last``.
    """
    parts = []
    for b, (units, at) in enumerate(spikes):
        sorted_spikes = np.lexsort((at, units))
        units, at = units[sorted_spikes], at[sorted_spikes]
        place = np.arange(len(units))
        numbers = place - np.maximum.accumulate(np.where(np.diff(units, prepend=-1) != 0, place, 0))
        sent = at + np.max(steps) <= last
        units, at, numbers, sorted_spikes = units[sent], at[sent], numbers[sent], sorted_spikes[sent]
        spike, synapses = _at_synapses(pathway.pre, units)
        own, late = b * len(pathway.pre) + synapses, at[spike] + steps[synapses]
        parts.append(np.stack([own, late, numbers[spike], sorted_spikes[spike], np.zeros_like(own)]))
    for b, (units, at) in enumerate(behind):
        spike, synapses = _at_synapses(pathway.post, units)
        own, nothing = b * len(pathway.pre) + synapses, np.zeros_like(synapses)
        parts.append(np.stack([own, at[spike], nothing, nothing, nothing + 1]))
    synapse, step, number, spike, post = np.concatenate(parts, axis=1)
    order = np.lexsort((post, step, synapse))
    return Arriving(synapse, step, number, spike, post == 1).select(order)


def _at_synapses(neurons: np.ndarray, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every synapse of every unit, by the ``neurons`` that synapses have: places of units, and synapses."""
    order = np.argsort(neurons, kind="stable")
    first = np.searchsorted(neurons[order], units)
    counts = np.searchsorted(neurons[order], units, side="right") - first
    place = np.repeat(np.arange(len(units)), counts)
    within = np.arange(np.sum(counts)) - np.repeat(np.cumsum(counts) - counts, counts)
    return place, order[first[place] + within]


@dataclass
class Found:
    """What events found: by state, and by `ELAPSED`, one number for each."""

    arriving: Arriving
    values: dict[str, np.ndarray]

    def select(self, chosen: np.ndarray) -> Found:
        return Found(self.arriving.select(chosen), {name: x[chosen] for name, x in self.values.items()})


def follow(pathway: Pathway, start: dict[str, np.ndarray], arriving: Arriving, dt: float, first: int) -> Found:
    """Go through events in order, from the states (and the time of the last event, counted from the step ``first``)
    that the synapses had before them."""
    system, count = pathway.state.system, len(pathway.pre)
    now = {name: start[name].copy() for name in system.states}
    last = start[LAST].copy()
    values = {name: np.zeros(len(arriving.step)) for name in (*system.states, ELAPSED.name)}
    for events, reverse in one_by_one(pathway, arriving):
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


def one_by_one(pathway: Pathway, arriving: Arriving) -> list[tuple[np.ndarray, ReverseSynapse]]:
    """First the first events at all synapses, then the second ones, and so on, arrivals apart from spikes behind."""
    ranks, system = arriving.rank, pathway.state.system
    by_rank = np.lexsort((arriving.post, ranks))
    keys = 2 * ranks[by_rank] + arriving.post[by_rank]
    bounds = np.flatnonzero(np.diff(keys, prepend=-1, append=-1))
    parts = [by_rank[low:high] for low, high in zip(bounds[:-1], bounds[1:], strict=True)]
    return [(events, reverse_synapse(system, bool(arriving.post[events[0]]))) for events in parts]


def take_back(
    pathway: Pathway, found: Found, by_amount, by_time: Callable, carried: dict[str, np.ndarray]
) -> np.ndarray:
    """The slope by the time of every event.

    ``by_amount`` has the slopes by what arrivals add; ``by_time`` gives, from the places of arrivals and what they
    add, the slopes by their times as far as they go through the neurons alone. ``carried`` has the adjoint of the
    states after the last of these events, and the slope by the interval that follows, and is changed.
    """
    system, count = pathway.state.system, len(pathway.pre)
    total = np.zeros(len(found.arriving.step))
    for events, reverse in reversed(one_by_one(pathway, found.arriving)):
        synapses = found.arriving.synapse[events]
        known = {name: x[events] for name, x in found.values.items()} | numbers_at(pathway, synapses % count)
        known |= {f"adjoint_{name}": carried[name][synapses] for name in system.states}
        known["by_amount"] = by_amount[events]
        for name, expression in (*reverse.program, *reverse.transposed):
            known[name] = np.broadcast_to(evaluate(expression, known), synapses.shape)
        interval = evaluate(reverse.slopes[ELAPSED.name], known)
        through_neurons = 0.0 if reverse.amount is None else by_time(events, known[reverse.amount])
        total[events] = through_neurons + interval - carried[ELAPSED.name][synapses]
        carried[ELAPSED.name][synapses] = interval
        for name in system.states:
            carried[name][synapses] = evaluate(reverse.slopes[name], known)
    return total


def nothing_carried(pathway: Pathway, samples: int) -> dict[str, np.ndarray]:
    """After the last events nothing depends on the states that they left."""
    return {name: np.zeros(len(pathway.pre) * samples) for name in (*pathway.state.system.states, ELAPSED.name)}


def numbers_at(pathway: Pathway, synapses: np.ndarray) -> dict[str, np.ndarray]:
    """The parameters of some synapses."""
    numbers, wanted = pathway.state.numbers, pathway.state.system.parameters
    return {name: numbers[name][synapses] if numbers[name].size > 1 else numbers[name] for name in wanted}


def as_tables(found: Found, count: int, room: int, slots: int) -> dict[str, np.ndarray]:
    """What events found by rank and synapse, shape (room, count), with the slot of the spike."""
    values = found.values | ({"qif_slot": found.arriving.number % slots} if slots > 1 else {})
    tables, ranks = {}, found.arriving.rank
    for name, x in values.items():
        tables[name] = np.zeros((room, count))
        tables[name][ranks, found.arriving.synapse] = x
    return tables
