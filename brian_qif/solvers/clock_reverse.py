"""The reverse pass of the clock-driven solver: what its runs are given, step by step backwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from brian_qif.equations.clocked import FREE
from brian_qif.equations.surrogate import Surrogate
from brian_qif.equations.synaptic import ELAPSED
from brian_qif.plan.clocked import ClockedNode
from brian_qif.plan.network_plan import NetworkPlan
from brian_qif.plan.synaptic import LAST
from brian_qif.solvers.clock_forward import numbers_of
from brian_qif.solvers.clock_inputs import side_by_side, within
from brian_qif.solvers.clock_segments import Stop, on_their_way
from brian_qif.solvers.clock_synapses import Found, arrivals_of, as_tables, follow
from brian_qif.solvers.clock_tasks import Layout, Task, Values, delay_steps, pre_copies, step_length
from brian_qif.solvers.clock_trial import (
    ClockHistory,
    NodeTrial,
    Stretch,
    end_of_step,
    safe_state,
    spike_numbers,
    within_steps,
)
from brian_qif.solvers.sweeps import Record, Seeds


@dataclass(frozen=True)
class Chunk:
    """Some reverse steps in a row: the step of the trial that the first belongs to, and their number."""

    top: int
    rows: int

    @property
    def steps(self) -> np.ndarray:
        """The step of the trial that each reverse step belongs to."""
        return self.top - np.arange(self.rows)

    def place(self, steps: np.ndarray) -> np.ndarray:
        """The reverse step that belongs to a step of the trial, counted from the first."""
        return self.top - steps


class ReverseValues:
    """The numbers that a reverse pass over samples side by side is given."""

    def __init__(
        self, plan: NetworkPlan, records: Sequence[Record], seeds: Sequence[Seeds], task: Task, layout: Layout
    ):
        self.plan, self.records, self.seeds, self.task, self.layout = plan, records, seeds, task, layout
        self.histories: list[ClockHistory] = [record.history for record in records]
        self.dt = step_length(plan)
        self.steps = self.histories[0].stops.segments.steps
        self.clocked = [k for k, node in enumerate(plan.nodes) if isinstance(node, ClockedNode)]
        # Reverse steps before this one of the trial, K - 1 + extra, are those of no run.
        self.last = self.steps - 1 + task.extra

    def of(self, chunk: Chunk, stretches: dict[int, list[Stretch]], arrays: dict, resumed: bool) -> Values:
        """What the run of a chunk is given, from the states of its steps by node and sample."""
        values = Values(self._weights() | arrays, {}, {}, {} if resumed else None)
        for k in self.clocked:
            values.tables |= self._tables(k, chunk, stretches[k])
        for p in sorted(self.task.weights):
            k = self.plan.pathways[p].source
            if k not in self.clocked:
                spikes = self._replayed(p)
                values.spikes[f"pathway {p}"] = within(self._backwards(spikes, chunk), 0, chunk.rows)
                self._add_queue(values, f"pathway {p}", p, spikes, chunk)
        for p, pathway in enumerate(self.plan.pathways):
            if pathway.state is not None and (p in self.task.weights or pathway.source in self.clocked):
                self._add_synaptic(values, p, chunk)
        if resumed and self.task.surrogate is None:
            for p, pathway in enumerate(self.plan.pathways):
                for slot in range(self.task.slots_of(pathway)) if pathway.source in self.clocked else ():
                    self._add_queue(values, f"pathway {p} {slot}", p, self._sent(p, slot), chunk)
        return values

    def _add_queue(self, values: Values, label: str, p: int, spikes, chunk: Chunk) -> None:
        delays = np.tile(self._delays(p), self.layout.copies(self.plan.pathways[p].source))
        if values.queues is not None and np.any(delays > 0):
            pre = pre_copies(self.plan, p, self.layout)
            values.queues[label] = on_their_way(pre, delays, self._backwards(spikes, chunk), 0)

    def synaptic(self, p: int, chunk: Chunk) -> Found:
        """What the events at the synapses of a pathway found in a chunk."""
        pathway, (segment, stop) = self.plan.pathways[p], self._stop_before(chunk)
        late = delay_steps(self.plan, p)
        spikes = [self._spikes_of(pathway.source, history) for history in self.histories]
        watched = self.histories if pathway.acts_on_post else []
        behind = [self._spikes_of(pathway.target, history) for history in watched]
        arriving = arrivals_of(pathway, late, spikes, behind, self.last)
        arriving = arriving.select((arriving.step >= segment) & (arriving.step <= chunk.top))
        start = {
            name.removeprefix(f"pathway {p} "): x for name, x in stop.arrays.items() if name.startswith(f"pathway {p} ")
        }
        # A state that is stepped has moved once when spikes arrive in the first step.
        before = -self.dt if pathway.state.stepped else 0.0
        start.setdefault(LAST, np.full(len(pathway.pre) * self.layout.samples, before))
        found = follow(pathway, start, arriving, self.dt, segment)
        return found.select(arriving.step > chunk.top - chunk.rows)

    def _stop_before(self, chunk: Chunk) -> tuple[int, Stop]:
        """The last step before all of a chunk from which the simulation can go on, and what is known there."""
        stops = self.histories[0].stops
        segment = min(max(chunk.top - chunk.rows + 1, 0) // stops.segments.length, len(stops.stops) - 1)
        return stops.segments.first(segment), stops.stops[segment]

    def _spikes_of(self, k: int, history: ClockHistory) -> tuple[np.ndarray, np.ndarray]:
        """Units and steps."""
        return (history.nodes[k].units, history.nodes[k].steps) if k in self.clocked else history.given[k][1:]

    def _add_synaptic(self, values: Values, p: int, chunk: Chunk) -> None:
        pathway, found = self.plan.pathways[p], self.synaptic(p, chunk)
        count = len(pathway.pre) * self.layout.samples
        slots = self.task.slots[pathway.source]
        for name, table in as_tables(found, count, self.task.arrivals[p], slots).items():
            values.tables[f"synaptic {name} {p}"] = table
        arrived = np.bincount(found.arriving.synapse, minlength=count)
        values.arrays |= {f"pathway {p} qif_number": arrived, f"pathway {p} qif_own": np.arange(count)}

    def _delays(self, p: int) -> np.ndarray:
        """In reverse, arrivals are replayed at the time of the latest; the others of the same spike come after it."""
        steps = delay_steps(self.plan, p)
        return np.max(steps) - steps

    @staticmethod
    def _backwards(spikes: tuple[np.ndarray, np.ndarray], chunk: Chunk) -> tuple[np.ndarray, np.ndarray]:
        """The same by reverse step, counted from the first of a chunk."""
        units, steps = spikes
        order = np.lexsort((units, -steps))
        return units[order], chunk.place(steps[order])

    def _replayed(self, p: int) -> tuple[np.ndarray, np.ndarray]:
        """The latest arrivals of the spikes of a source, by generator neuron."""
        k, late = self.plan.pathways[p].source, int(np.max(delay_steps(self.plan, p)))
        given = [history.given for history in self.histories]
        units, steps = side_by_side(self.plan.nodes[k].size, k, given, self.layout, lambda at: at + late)
        return units[steps <= self.last], steps[steps <= self.last]

    def _sent(self, p: int, slot: int) -> tuple[np.ndarray, np.ndarray]:
        """The latest arrivals of the spikes of neurons, those of one slot, by neuron."""
        k, late = self.plan.pathways[p].source, int(np.max(delay_steps(self.plan, p)))
        all_units, all_steps = [], []
        for b, history in enumerate(self.histories):
            trial = history.nodes[k]
            one = self.plan.pathways[p].state is not None
            own = (one | (self._slots(k, trial) == slot)) & (trial.steps + late <= self.last)
            all_units.append(b * self.plan.nodes[k].size + trial.units[own])
            all_steps.append(trial.steps[own] + late)
        return np.concatenate(all_units), np.concatenate(all_steps)

    def _slots(self, k: int, trial: NodeTrial) -> np.ndarray:
        return spike_numbers(trial) % self.task.slots[k]

    def first_arrays(self) -> dict[str, np.ndarray]:
        """The state at the end of the trial, what a step from there would assign, and parameters."""
        arrays = {}
        for k in self.clocked:
            node = self.plan.nodes[k]
            everyone, wide = np.arange(node.size), node.size * self.layout.samples
            ends = [end_of_step(node, history.nodes[k].end, everyone)[0] for history in self.histories]
            own = [name for name in ends[0] if name not in node.values() and name != FREE.name]
            arrays |= {
                f"node {k} {name}": np.concatenate([np.broadcast_to(end[name], node.size) for end in ends])
                for name in own
            }
            arrays |= numbers_of(node, k, self.layout)
            if node.system.event is not None:
                safe = safe_state(node, [history.nodes[k] for history in self.histories])
                for name, value in zip(node.system.states, safe, strict=True):
                    arrays |= {f"node {k} {word}_{name}": np.full(wide, value) for word in ("safe", "event")}
                if self.task.surrogate is not None:
                    arrays[f"node {k} by_count"] = np.zeros(wide)
            if any(node.system.held):
                arrays[f"node {k} {FREE.name}"] = np.ones(wide)
                arrays[f"node {k} holds"] = np.tile(node.held_steps > 1, self.layout.samples)
        for p in self.task.weights:
            for label in slope_labels(self.plan, self.task, p):
                count = len(self.plan.pathways[p].pre) * self.layout.copies(self.plan.pathways[p].source)
                arrays[label] = np.zeros(count)
        for p, pathway in enumerate(self.plan.pathways):
            if pathway.state is not None and (p in self.task.weights or pathway.source in self.clocked):
                arrays |= self._synaptic_arrays(p)
        return arrays

    def _synaptic_arrays(self, p: int) -> dict[str, np.ndarray]:
        """Parameters, and zeros where slopes are added up."""
        pathway, samples = self.plan.pathways[p], self.layout.samples
        system, numbers = pathway.state.system, pathway.state.numbers
        everyone = len(pathway.pre)
        arrays = {name: np.tile(np.broadcast_to(numbers[name], everyone), samples) for name in system.parameters}
        sums = ["by_elapsed", *(f"slope_{name}" for name in system.parameters)]
        sums += [f"adjoint_{name}" for name in system.states] + [*system.states, ELAPSED.name]
        if self.task.slots[pathway.source] > 1:
            sums.append("qif_slot")
        arrays |= {name: np.zeros(everyone * samples) for name in sums}
        return {f"pathway {p} {name}": x for name, x in arrays.items()}

    def _weights(self) -> dict[str, np.ndarray]:
        arrays = {}
        for p, pathway in enumerate(self.plan.pathways):
            if pathway.source in self.clocked and pathway.state is None:
                weights = np.tile(pathway.weights, self.layout.copies(pathway.source))
                arrays |= {f"pathway {p} weight {slot}": weights for slot in range(self.task.slots[pathway.source])}
        return arrays

    def _tables(self, k: int, chunk: Chunk, stretches: list[Stretch]) -> dict[str, np.ndarray]:
        """What the trial left of every step of a chunk, samples side by side."""
        node, rows, task = self.plan.nodes[k], {}, self.task
        trials = [history.nodes[k] for history in self.histories]

        def add(label, samples):
            rows[label] = np.concatenate(samples, axis=1)

        # Beyond the end of the trial nothing moves; the step before its first is that one again.
        steps = np.clip(chunk.steps, 0, self.steps)
        states = [stretch.at_steps(steps) for stretch in stretches]
        for row, name in enumerate(node.system.states):
            add(f"{name} {k}", [own[:, row] for own in states])
        for name in task.seeded[k]:
            row = node.system.states.index(name)
            add(f"seed_{name} {k}", [self._state_seeds(b, k, row, chunk) for b in range(len(trials))])
        if node.system.event is not None:
            add(f"spiked {k}", [self._at_spikes(trial, 1.0, node, chunk) for trial in trials])
            if task.surrogate is None:
                pairs = zip(self.seeds, trials, strict=True)
                own = [seed.spike_times.get(k, np.zeros(len(trial.times))) for seed, trial in pairs]
                pairs = zip(trials, own, strict=True)
                add(f"by_spike_time {k}", [self._at_spikes(*pair, node, chunk) for pair in pairs])
            else:
                add(f"by_count {k}", [self._by_count(k, seed, chunk) for seed in self.seeds])
            slots = [self._slots(k, trial) for trial in trials]
            if task.slots[k] > 1:
                add(f"slot {k}", [self._at_spikes(*pair, node, chunk) for pair in zip(trials, slots, strict=True)])
            for p, pathway in enumerate(self.plan.pathways):
                if pathway.source == k and task.surrogate is None:
                    late = int(np.max(delay_steps(self.plan, p)))
                    for slot in range(task.slots_of(pathway)):
                        arrives = [(own == slot) | (pathway.state is not None) for own in slots]
                        pairs = zip(trials, arrives, strict=True)
                        add(f"arrives {p} {slot}", [self._at_spikes(*pair, node, chunk, late) for pair in pairs])
        if any(node.system.held):
            add(f"is_free {k}", [self._free(node, trial, chunk) for trial in trials])
        return rows

    def _at_spikes(self, trial: NodeTrial, values, node, chunk: Chunk, late: int = 0) -> np.ndarray:
        """A value at every spike, or at its arrival some steps later, and zero elsewhere; rows by reverse step."""
        rows = np.zeros((chunk.rows, node.size))
        place = chunk.place(trial.steps + late)
        inside = (place >= 0) & (place < chunk.rows) & (trial.steps + late <= self.last)
        rows[place[inside], trial.units[inside]] = np.broadcast_to(values, place.shape)[inside]
        return rows

    def _by_count(self, k: int, seeds: Seeds, chunk: Chunk) -> np.ndarray:
        """The slope by the number of spikes, in every step of the trial; rows by reverse step."""
        inside = (chunk.steps >= 0) & (chunk.steps < self.steps)
        return np.where(inside[:, None], seeds.counts.get(k, np.zeros(self.plan.nodes[k].size)), 0.0)

    def _free(self, node, trial: NodeTrial, chunk: Chunk) -> np.ndarray:
        """Whether a neuron may move in a step: 1, or 0 from the step after its spike on, as long as it is held."""
        free, held = np.ones((chunk.rows, node.size)), node.held_steps
        first, last = trial.steps + 1, np.minimum(trial.steps + held[trial.units], self.steps)
        for start, end, n in zip(first, last, trial.units, strict=True):
            low, high = max(chunk.top - end + 1, 0), chunk.top - start + 1
            free[low : max(high, low), n] = 0
        return free

    def _state_seeds(self, b: int, k: int, row: int, chunk: Chunk) -> np.ndarray:
        """The loss's own slopes by the state at the end of every step, for one sample and state variable."""
        total = np.zeros((chunk.rows, self.plan.nodes[k].size))
        record, seeds = self.records[b], self.seeds[b]

        def add(steps, values):
            place = chunk.place(steps - 1)
            inside = (place >= 0) & (place < chunk.rows)
            np.add.at(total, place[inside], values[inside])

        if k in seeds.samples:
            when = record.history.request.samples[k] - self.plan.start
            step, share = within_steps(when, self.dt, self.steps)
            seed = seeds.samples[k][:, row]
            add(step, (1 - share)[:, None] * seed)
            add(step + 1, share[:, None] * seed)
        if k in seeds.averages and row == 0:
            steps = chunk.steps + 1
            inside = (steps >= 0) & (steps <= self.steps)
            weights = average_weights(record.history.request.averages[k], self.dt, self.steps, steps)
            total[inside] += weights[inside][:, None] * seeds.averages[k]
        return total


def slope_labels(plan: NetworkPlan, task: Task, p: int) -> list[str]:
    """Where a reverse network has the slopes by the weights of a pathway, which are to be added up."""
    source = plan.pathways[p].source
    if plan.pathways[p].state is not None:
        return []
    if not isinstance(plan.nodes[source], ClockedNode):
        return [f"pathway {p} slope"]
    return [f"pathway {p} slope {slot}" for slot in range(task.slots[source])]


def average_weights(rate: float, dt: float, count: int, steps: np.ndarray) -> np.ndarray:
    """The trapezoidal rule for the integral over the trial of a state times exp(-rate t), at some of its steps."""
    weights = dt * np.exp(-rate * dt * steps)
    return np.where((steps == 0) | (steps == count), weights / 2, weights)


def seeded_states(plan: NetworkPlan, seeds: Sequence[Seeds]) -> list[set[str]]:
    """By node, the states by which a loss has slopes of its own."""
    found = [set() for _ in plan.nodes]
    for one in seeds:
        for k, seed in one.samples.items():
            used = np.any(seed != 0, axis=(0, 2))
            found[k] |= {name for name, is_used in zip(plan.nodes[k].system.states, used, strict=True) if is_used}
        for k, seed in one.averages.items():
            if np.any(seed != 0):
                found[k].add(plan.nodes[k].system.states[0])
    return found


def new_task(plan: NetworkPlan, seeded, wanted, slots, surrogate: Surrogate | None) -> Task:
    """What a reverse pass has to deliver."""
    extra = 0
    for p in range(len(plan.pathways)):
        delays = delay_steps(plan, p)
        if np.any(delays != delays[0]):
            extra = max(extra, int(np.max(delays)))
    kept = bool(wanted.delays or wanted.spike_times)
    return Task(wanted.weights, wanted.models, seeded, kept, slots, extra, surrogate)
