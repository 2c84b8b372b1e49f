"""The forward pass of the clock-driven solver: one run of the forward network after the other, and what they left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from brian_qif.plan.clocked import ClockedNode
from brian_qif.plan.network_plan import NetworkPlan, Pathway
from brian_qif.plan.synaptic import LAST
from brian_qif.solvers.clock_inputs import side_by_side, sources_of, within
from brian_qif.solvers.clock_segments import Segments, Stop, Stops, on_their_way
from brian_qif.solvers.clock_tasks import Layout, Values, delay_steps, pre_copies, step_length
from brian_qif.solvers.clock_trial import NodeTrial, Stretch, end_of_step, place_spikes

# Brian2's, for a neuron that has not spiked.
NEVER = -1e4


@dataclass
class SegmentRun:
    """One segment: by node the states of all samples, shape (steps + 1, rows, samples, neurons), and its spikes as
    (neurons counted over samples, steps from the start of the segment)."""

    first: int
    states: dict[int, np.ndarray]
    spikes: dict[int, tuple[np.ndarray, np.ndarray]]


class ForwardRuns:
    """The forward network of a plan on a device, segment by segment."""

    def __init__(self, plan: NetworkPlan, device, key: str, layout: Layout, segments: Segments):
        self.plan, self.device, self.key, self.segments = plan, device, key, segments
        self.layout = Layout(layout.samples, segments.length, layout.multiplicity)
        self.dt = step_length(plan)
        self.clocked = [k for k, node in enumerate(plan.nodes) if isinstance(node, ClockedNode)]

    def start(self, given) -> Stops:
        """The start of a trial with given spikes of the sources."""
        arrays = initial_values(self.plan, self.layout.samples)
        if not self.segments.whole:
            for k in self.clocked:
                count = self.plan.nodes[k].size * self.layout.samples
                if self.plan.nodes[k].model.threshold is not None and self.plan.nodes[k].model.refractory is not None:
                    arrays |= {f"node {k} lastspike": np.full(count, NEVER), f"node {k} not_refractory": np.ones(count)}
        before = {k: initial_states(self.plan.nodes[k], self.layout.samples) for k in self.clocked}
        spikes = {k: side_by_side(self.plan.nodes[k].size, k, given, self.layout) for k in sources_of(self.plan)}
        nothing = np.zeros(0, dtype=int)
        return Stops(self.segments, [Stop(arrays, before)], spikes | {k: (nothing, nothing) for k in self.clocked})

    def run(self, stops: Stops, segment: int) -> SegmentRun:
        """Run a segment from where it begins; where the next one begins is added if it is not known yet."""
        first, stop = self.segments.first(segment), stops.stops[segment]
        arrays = constant_values(self.plan, self.layout) | stop.arrays
        spikes = {f"node {k}": within(stops.spikes[k], first, self.segments.length) for k in sources_of(self.plan)}
        queues = None if self.segments.whole else self._queues(stops, first)
        found = self.device.forward(self.plan, self.layout, self.key, Values(arrays, spikes, {}, queues))
        done = SegmentRun(first, {}, {})
        for k in self.clocked:
            done.states[k], done.spikes[k] = self._left(k, found, segment)
        if segment + 1 == len(stops.stops):
            for k in self.clocked:
                units, steps = done.spikes[k]
                known, before = stops.spikes[k]
                stops.spikes[k] = np.concatenate([known, units]), np.concatenate([before, steps + first])
            if segment + 1 < self.segments.count:
                moved = {label: self._moved(label, found.array(label)) for label in stop.arrays}
                stops.stops.append(Stop(moved, {k: done.states[k][-2].copy() for k in self.clocked}))
        return done

    def _moved(self, label: str, values: np.ndarray) -> np.ndarray:
        """A value at the end of a segment as one at the beginning of the next, whose time begins anew."""
        return values - self.segments.length * self.dt if label.endswith(("lastspike", LAST)) else values

    def _queues(self, stops: Stops, now: int) -> dict[str, np.ndarray]:
        queues = {}
        for p, pathway in enumerate(self.plan.pathways):
            delays = np.tile(delay_steps(self.plan, p), self.layout.copies(pathway.source))
            if np.any(delays > 0):
                pre = pre_copies(self.plan, p, self.layout)
                queues[f"pathway {p}"] = on_their_way(pre, delays, stops.spikes[pathway.source], now)
        return queues

    def _left(self, k: int, found, segment: int) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """What a run left of a node, as far as it belongs to the trial."""
        node, count = self.plan.nodes[k], self.segments.within(segment)
        states = np.empty((count + 1, len(node.system.states), self.layout.samples * node.size))
        for row, name in enumerate(node.system.states):
            kept = found.monitor(f"states {k}", name).reshape(self.segments.length, -1)
            states[: len(kept), row] = kept[: count + 1]
            if count == len(kept):
                states[-1, row] = found.array(f"node {k} {name}")
        states = states.reshape(count + 1, -1, self.layout.samples, node.size)
        bad = np.argwhere(~np.isfinite(states))
        if len(bad):
            step, row, _, n = bad[0]
            raise FloatingPointError(
                f"{node.system.states[row]} of neuron {n} of '{node.name}' is not finite at "
                f"{(self.segments.first(segment) + step) * self.dt} s; take a smaller dt or another method."
            )
        units = steps = np.zeros(0, dtype=int)
        if node.spikes:
            units = found.monitor(f"spikes {k}", "i")
            steps = np.round(found.monitor(f"spikes {k}", "t") / self.dt).astype(int)
        return states, (units[steps < count], steps[steps < count])

    def trials(self, k: int, run: SegmentRun) -> list[NodeTrial]:
        """What a run left of a node, by sample; its spikes have steps of the trial."""
        node, states, (units, steps) = self.plan.nodes[k], run.states[k], run.spikes[k]
        trials = []
        for b in range(self.layout.samples):
            mine = units // node.size == b
            own, at, place = units[mine] % node.size, steps[mine], states[:, :, b]
            shares = place_spikes(node, place, at, own, run.first)
            times = self.plan.start + (run.first + at + shares) * self.dt
            order = np.argsort(times, kind="stable")
            at, own = at[order], own[order]
            spiked_at = None
            if len(at):
                spiked_at = np.array(end_of_step(node, place[at[0], :, own[0]][:, None], own[:1])[1])[:, 0]
            stretch = Stretch(run.first, place)
            trials.append(NodeTrial(run.first + at, own, times[order], place[-1], spiked_at, stretch))
        return trials


def joined(before: NodeTrial | None, after: NodeTrial) -> NodeTrial:
    """The trial up to a segment, and that segment, without their states."""
    if before is None:
        return NodeTrial(after.steps, after.units, after.times, after.end.copy(), after.spiked_at, None)
    times = np.concatenate([before.times, after.times])
    order = np.argsort(times, kind="stable")
    steps, units = (np.concatenate(pair)[order] for pair in ((before.steps, after.steps), (before.units, after.units)))
    first = after.spiked_at if before.spiked_at is None else before.spiked_at
    return NodeTrial(steps, units, times[order], after.end.copy(), first, None)


def initial_states(node: ClockedNode, samples: int) -> np.ndarray:
    """Shape (rows, samples, neurons)."""
    return np.repeat(node.states[:, None], samples, axis=1)


def initial_values(plan: NetworkPlan, samples: int) -> dict[str, np.ndarray]:
    """What changes in a run, by label."""
    values = {
        f"node {k} {name}": np.tile(row, samples)
        for k, node in enumerate(plan.nodes)
        if isinstance(node, ClockedNode)
        for name, row in zip(node.system.states, node.states, strict=True)
    }
    for p, pathway in enumerate(plan.pathways):
        values |= _synaptic(p, pathway, samples, changing=True)
    return values


def _synaptic(p: int, pathway: Pathway, samples: int, changing: bool) -> dict[str, np.ndarray]:
    """The numbers of synapses with a state that change in a run, or those that do not."""
    if pathway.state is None:
        return {}
    names = {*pathway.state.system.states, LAST} & set(pathway.state.numbers)
    return {
        f"pathway {p} {name}": np.tile(np.broadcast_to(x, len(pathway.pre)), samples)
        for name, x in pathway.state.numbers.items()
        if (name in names) == changing
    }


def constant_values(plan: NetworkPlan, layout: Layout) -> dict[str, np.ndarray]:
    """What does not change in a run, by label."""
    values = {}
    for k, node in enumerate(plan.nodes):
        if isinstance(node, ClockedNode):
            values |= numbers_of(node, k, layout)
    for p, pathway in enumerate(plan.pathways):
        if pathway.state is None:
            values[f"pathway {p} weight"] = np.tile(pathway.weights, layout.copies(pathway.source))
        values |= _synaptic(p, pathway, layout.samples, changing=False)
    return values


def numbers_of(node: ClockedNode, k: int, layout: Layout) -> dict[str, np.ndarray]:
    """Parameters, one per neuron and sample."""
    return {
        f"node {k} {name}": np.tile(np.broadcast_to(x, node.size), layout.samples) for name, x in node.numbers.items()
    }
