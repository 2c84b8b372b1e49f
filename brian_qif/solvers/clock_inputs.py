"""The spikes of sources on the clock, samples side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from brian_qif.plan.network_plan import NetworkPlan, SourceNode
from brian_qif.solvers.clock_tasks import Layout, step_length


def sources_of(plan: NetworkPlan) -> list[int]:
    return [k for k, node in enumerate(plan.nodes) if isinstance(node, SourceNode)]


def given_spikes(plan: NetworkPlan, stimulus: dict, steps: int) -> dict[int, tuple]:
    """The spikes of sources within the trial: times, units, steps; ``stimulus`` replaces those of the plan."""
    given, dt = {}, step_length(plan)
    for k in sources_of(plan):
        node = plan.nodes[k]
        times, units = stimulus.get(k, (node.times, node.units))
        times, units = np.asarray(times, dtype=float), np.asarray(units)
        inside = (times >= plan.start) & (times <= plan.start + steps * dt)
        at = np.floor((times[inside] - plan.start) / dt + 1e-3).astype(int)
        given[k] = (times[inside], units[inside], at)
    return given


def multiplicity(plan: NetworkPlan, given: Sequence[dict[int, tuple]]) -> tuple[int, ...]:
    """By node, how often a unit spikes within one step."""
    most = np.ones(len(plan.nodes), dtype=int)
    for sample in given:
        for k, (_, units, at) in sample.items():
            _, counts = np.unique(np.stack([at, units]), axis=1, return_counts=True)
            most[k] = max(most[k], np.max(counts, initial=1))
    return tuple(int(x) for x in most)


def side_by_side(
    size: int, k: int, given: Sequence[dict[int, tuple]], layout: Layout, place: Callable = lambda at: at
) -> tuple[np.ndarray, np.ndarray]:
    """The spikes of all samples of a source of some size, by generator neuron; spikes at once have a neuron each.

    ``place`` gives the step at which a spike of the step ``at`` is wanted; they come in that order.
    """
    all_units, all_steps = [], []
    for b, sample in enumerate(given):
        _, units, at = sample[k]
        order = np.lexsort((units, at))
        units, at = units[order], at[order]
        same = (np.diff(at, prepend=-1) == 0) & (np.diff(units, prepend=-1) == 0)
        number = np.arange(len(at))
        copy = number - np.maximum.accumulate(np.where(same, 0, number))
        all_units.append((copy * layout.samples + b) * size + units)
        all_steps.append(place(at))
    units, steps = np.concatenate(all_units), np.concatenate(all_steps)
    order = np.lexsort((units, steps))
    return units[order], steps[order]


def within(spikes: tuple[np.ndarray, np.ndarray], first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Those of some steps, counted from the first of these."""
    units, steps = spikes
    inside = (steps >= first) & (steps < first + count)
    return units[inside], steps[inside] - first
