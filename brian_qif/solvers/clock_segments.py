"""Trials that are too long for the memory, in segments: where a simulation stops, and what it takes to go on.

The forward network runs segment after segment, each from where the last one stopped, and the reverse pass runs each of
them again, with the same program and the same numbers: what is computed again has the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Segments:
    """A trial of ``steps`` steps, cut into segments of ``length``; one segment is the whole."""

    steps: int
    length: int

    @property
    def count(self) -> int:
        return -(-self.steps // self.length)

    @property
    def whole(self) -> bool:
        return self.count == 1

    def first(self, segment: int) -> int:
        return segment * self.length

    def within(self, segment: int) -> int:
        """How many steps of a segment belong to the trial; the last one is simulated beyond its end."""
        return min(self.length, self.steps - self.first(segment))

    def of_step(self, step: np.ndarray) -> np.ndarray:
        return np.asarray(step) // self.length

    def chunks(self, extra: int) -> list[tuple[int, int]]:
        """The segments of the reverse pass, first to last: the step of their first reverse step, and their number of
        reverse steps.

        The reverse pass goes from step ``steps - 1 + extra`` down to -1. A chunk that ends below the first step of a
        forward segment ends one step lower, so that all are equally long.
        """
        if self.whole:
            return [(self.steps - 1 + extra, self.steps + extra + 1)]
        count = -(-(self.steps + extra + 1) // self.length)
        return [((chunk + 1) * self.length - 2, self.length) for chunk in reversed(range(count))]


@dataclass
class Stop:
    """Where a segment begins.

    ``arrays`` are the values of the forward network's variables by label, ``before`` by node the states one step
    earlier, shape (rows, samples, neurons).
    """

    arrays: dict[str, np.ndarray]
    before: dict[int, np.ndarray]


@dataclass
class Stops:
    """The samples that were run together, as far as their simulation can be taken up again.

    ``spikes``: by node the neurons, counted over all copies, and the steps of all spikes, by step and neuron.
    """

    segments: Segments
    stops: list[Stop] = field(default_factory=list)
    spikes: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)


def longest_segment(steps: int, per_step: int, per_stop: int, bound: float) -> int | None:
    """The longest segments of a trial for which a segment and all stops fit into so many bytes; None if none do."""
    if per_step * steps <= bound:
        return steps
    # per_step*length + per_stop*steps/length <= bound, and one more stop for what is left over.
    room = bound - per_stop
    root = room**2 - 4 * per_step * per_stop * steps
    if room <= 0 or root < 0:
        return None
    length = int((room + np.sqrt(root)) / (2 * per_step))
    return length if length >= 1 else None


def on_their_way(pre: np.ndarray, delays: np.ndarray, spikes: tuple[np.ndarray, np.ndarray], now: int) -> np.ndarray:
    """What spikes before the step ``now`` still do from then on: pairs of a step, counted from now, and a synapse.

    The order is that in which Brian2 puts them into its queue: by step, neuron and synapse.
    """
    units, steps = spikes
    longest = int(np.max(delays, initial=0))
    late = (steps < now) & (steps >= now - longest)
    units, steps = units[late], steps[late]
    order = np.argsort(pre, kind="stable")
    first = np.searchsorted(pre[order], units)
    counts = np.searchsorted(pre[order], units, side="right") - first
    synapses = order[np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(np.sum(counts))]
    after = np.repeat(steps, counts) + delays[synapses] - now
    return np.stack([after, synapses], axis=1)[after >= 0].astype(np.int32)
