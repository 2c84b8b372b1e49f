"""The two passes of a clock-driven gradient, as arrays: what a device is given, and what is made of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from brian2 import prefs

from brian_qif.equations.clocked import FREE
from brian_qif.equations.surrogate import Surrogate
from brian_qif.plan.clocked import ClockedNode
from brian_qif.plan.network_plan import NetworkPlan, SourceNode
from brian_qif.solvers.clock_arrivals import Arrivals
from brian_qif.solvers.clock_tasks import Layout, Task, Values, check_finite, delay_steps, step_length, structure
from brian_qif.solvers.clock_trial import (
    ClockHistory,
    NodeTrial,
    end_of_step,
    most_within,
    place_spikes,
    safe_state,
    spike_numbers,
)
from brian_qif.solvers.sweeps import Record, Request, Seeds, Slopes, Wanted

# What else is kept of every neuron and step for the reverse pass: whether it spiked, moved, and what for.
_TABLES = 4


class ClockNetwork:
    """A plan that a device runs; many samples may go through it side by side."""

    def __init__(self, plan: NetworkPlan, device, surrogate: Surrogate | None = None):
        self.plan, self.device, self.surrogate = plan, device, surrogate
        self.dt, self.key = step_length(plan), structure(plan)
        self.clocked = [k for k, node in enumerate(plan.nodes) if isinstance(node, ClockedNode)]

    def forward(self, request: Request, stimuli=None) -> Record:
        """Simulate one trial."""
        return self.forward_many(request, [stimuli])[0]

    def reverse(self, record: Record, seeds: Seeds, wanted: Wanted) -> Slopes:
        """Carry the seeds back through a recorded trial."""
        return self.reverse_many([record], [seeds], wanted)[0]

    # -- forward ---------------------------------------------------------------------------------------------------

    def forward_many(self, request: Request, stimuli: Sequence[dict | None]) -> list[Record]:
        """Simulate trials with other spikes of the sources, see `PreparedNetwork.forward`, as one Brian2 network."""
        self._check(request)
        self.samples_at_once(request)
        steps = self._steps(request.duration)
        given = [self._given(stimulus or {}, steps) for stimulus in stimuli]
        layout = Layout(len(stimuli), steps, self._largest("multiplicity", self._multiplicity(given)))
        spikes = {f"node {k}": self._side_by_side(k, given, layout) for k in self._sources()}
        found = self.device.forward(self.plan, layout, self.key, Values(self._forward_values(layout), spikes, {}))
        trials = {k: self._trials(k, found, layout) for k in self.clocked}
        return [self._record(request, {k: trials[k][b] for k in self.clocked}, given[b]) for b in range(len(stimuli))]

    def _largest(self, name: str, now: tuple[int, ...]) -> tuple[int, ...]:
        """The largest numbers that have been needed so far: what was built for these need not be built again."""
        seen = self.device.seen.setdefault((self.key, name), now)
        self.device.seen[self.key, name] = largest = tuple(map(max, seen, now))
        return largest

    def samples_at_once(self, request: Request) -> int:
        """How many samples the memory for trajectories has room for.

        Raises
        ------
        MemoryError
            If it has no room for one.
        """
        bound = prefs["brian_qif.trajectory_memory"]
        steps = self._steps(request.duration)
        rows = sum(self.plan.nodes[k].size * (len(self.plan.nodes[k].states) + _TABLES) for k in self.clocked)
        # States are held as recorded, and once more in the order of the reverse pass.
        one = 2 * 8 * steps * rows
        if one > bound:
            raise MemoryError(
                f"The states of one trial of {steps} steps take {one / 1e9:.3g} GB, more than the preference "
                f"brian_qif.trajectory_memory allows ({bound / 1e9:.3g} GB). Raise it, or simulate a shorter trial or "
                "with a larger dt."
            )
        return int(min(bound // one, prefs["brian_qif.samples_at_once"]))

    def _sources(self):
        return [k for k, node in enumerate(self.plan.nodes) if isinstance(node, SourceNode)]

    def _check(self, request: Request) -> None:
        if request.peaks:
            raise NotImplementedError(
                "The largest voltage of a trial is known to EventSolver alone; on a clock, average the voltage."
            )
        for k in (*request.averages, *request.samples):
            if isinstance(self.plan.nodes[k], SourceNode):
                raise ValueError(f"'{self.plan.nodes[k].name}' gives spikes and has no state to read.")

    def _steps(self, duration: float) -> int:
        steps = round(duration / self.dt)
        if abs(steps - duration / self.dt) > 1e-6:
            raise ValueError(f"The duration {duration} s is not a whole number of steps of {self.dt} s.")
        return steps

    def _given(self, stimulus, steps: int) -> dict[int, tuple]:
        """The spikes of sources within the trial: times, units, steps."""
        given = {}
        for k in self._sources():
            node = self.plan.nodes[k]
            times, units = stimulus.get(k, (node.times, node.units))
            times, units = np.asarray(times, dtype=float), np.asarray(units)
            inside = (times >= self.plan.start) & (times <= self.plan.start + steps * self.dt)
            at = np.floor((times[inside] - self.plan.start) / self.dt + 1e-3).astype(int)
            given[k] = (times[inside], units[inside], at)
        return given

    def _multiplicity(self, given) -> tuple[int, ...]:
        most = np.ones(len(self.plan.nodes), dtype=int)
        for sample in given:
            for k, (_, units, at) in sample.items():
                _, counts = np.unique(np.stack([at, units]), axis=1, return_counts=True)
                most[k] = max(most[k], np.max(counts, initial=1))
        return tuple(int(x) for x in most)

    def _side_by_side(self, k: int, given, layout: Layout, shift=lambda at: at) -> tuple[np.ndarray, np.ndarray]:
        """The spikes of all samples of a source, by generator neuron; spikes at once have a neuron each."""
        all_units, all_steps = [], []
        for b, sample in enumerate(given):
            _, units, at = sample[k]
            order = np.lexsort((units, at))
            units, at = units[order], at[order]
            same = (np.diff(at, prepend=-1) == 0) & (np.diff(units, prepend=-1) == 0)
            place = np.arange(len(at))
            copy = place - np.maximum.accumulate(np.where(same, 0, place))
            all_units.append((copy * layout.samples + b) * self.plan.nodes[k].size + units)
            all_steps.append(shift(at))
        units, steps = np.concatenate(all_units), np.concatenate(all_steps)
        inside = (steps >= 0) & (steps < layout.steps)
        order = np.lexsort((units[inside], steps[inside]))
        return units[inside][order], steps[inside][order]

    def _forward_values(self, layout: Layout) -> dict[str, np.ndarray]:
        values = {}
        for k in self.clocked:
            node = self.plan.nodes[k]
            values |= {
                f"node {k} {name}": np.tile(row, layout.samples)
                for name, row in zip(node.system.states, node.states, strict=True)
            }
            values |= self._numbers(k, layout)
        for p, pathway in enumerate(self.plan.pathways):
            values[f"pathway {p} weight"] = np.tile(pathway.weights, layout.copies(pathway.source))
        return values

    def _numbers(self, k: int, layout: Layout) -> dict[str, np.ndarray]:
        node = self.plan.nodes[k]
        return {f"node {k} {name}": np.tile(self._wide(x, node), layout.samples) for name, x in node.numbers.items()}

    def _trials(self, k: int, found, layout: Layout) -> list[NodeTrial]:
        node = self.plan.nodes[k]
        rows = []
        for name in node.system.states:
            kept = found.monitor(f"states {k}", name).reshape(layout.steps, -1)
            rows.append(np.vstack([kept, found.array(f"node {k} {name}")]))
        states = np.stack(rows, axis=1).reshape(layout.steps + 1, len(rows), layout.samples, node.size)
        bad = np.argwhere(~np.isfinite(states))
        if len(bad):
            step, row, _, n = bad[0]
            raise FloatingPointError(
                f"{node.system.states[row]} of neuron {n} of '{node.name}' is not finite at {step * self.dt} s; take a "
                "smaller dt or another method."
            )
        spikes = (np.zeros(0, dtype=int), np.zeros(0, dtype=int))
        if node.spikes:
            spikes = (
                found.monitor(f"spikes {k}", "i"),
                np.round(found.monitor(f"spikes {k}", "t") / self.dt).astype(int),
            )
        trials = []
        for b in range(layout.samples):
            mine = spikes[0] // node.size == b
            units, at = spikes[0][mine] % node.size, spikes[1][mine]
            own = states[:, :, b]
            times = self.plan.start + (at + place_spikes(node, own, at, units)) * self.dt
            order = np.argsort(times, kind="stable")
            trials.append(NodeTrial(own, at[order], units[order], times[order]))
        return trials

    def _record(self, request: Request, trials: dict[int, NodeTrial], given) -> Record:
        times = [trials[k].times if k in trials else given[k][0] for k in range(len(self.plan.nodes))]
        units = [trials[k].units if k in trials else given[k][1] for k in range(len(self.plan.nodes))]
        averages = {
            k: np.einsum("k,kn->n", self._average_weights(len(trials[k].states), rate), trials[k].states[:, 0])
            for k, rate in request.averages.items()
        }
        samples = {k: trials[k].at(when - self.plan.start, self.dt) for k, when in request.samples.items()}
        return Record(times, units, averages, ClockHistory(trials, given, request), samples)

    def _average_weights(self, count: int, rate: float) -> np.ndarray:
        """The trapezoidal rule for the integral over the trial of a state times exp(-rate t)."""
        weights = self.dt * np.exp(-rate * self.dt * np.arange(count))
        weights[[0, -1]] /= 2
        return weights

    # -- reverse ---------------------------------------------------------------------------------------------------

    def reverse_many(self, records: Sequence[Record], seeds: Sequence[Seeds], wanted: Wanted) -> list[Slopes]:
        """Carry seeds back through trials that were simulated together."""
        histories = [record.history for record in records]
        if self.surrogate is not None:
            self._check_surrogate(seeds, wanted)
        steps = self._steps(histories[0].request.duration)
        layout = Layout(len(records), steps, self._largest("multiplicity", (1,) * len(self.plan.nodes)))
        state_seeds = [self._state_seeds(record, seed) for record, seed in zip(records, seeds, strict=True)]
        task = self._task(histories, state_seeds, wanted)
        values = Values(self._reverse_arrays(histories, layout, task), {}, {})
        for k in self.clocked:
            values.tables |= self._tables(k, histories, seeds, state_seeds, layout, task)
        for p in sorted(task.weights):
            k = self.plan.pathways[p].source
            if k not in self.clocked:
                longest = np.max(delay_steps(self.plan, p))
                given = [history.given for history in histories]
                last = steps - 1 + task.extra
                long = Layout(layout.samples, steps + task.extra + 1, layout.multiplicity)
                values.spikes[f"pathway {p}"] = self._side_by_side(
                    k, given, long, lambda at, late=last - longest: late - at
                )
        found = self.device.reverse(self.plan, layout, task, self.key, values)
        read = lru_cache(maxsize=None)(found.array)
        slopes = [self._slopes(read, b, layout, task, wanted) for b in range(len(records))]
        if task.kept:
            arrivals = Arrivals(self.plan, found, layout, task)
            for b, record in enumerate(records):
                arrivals.add_slopes(slopes[b], b, record, wanted)
        for one in slopes:
            check_finite(one, self.plan)
        return slopes

    def _check_surrogate(self, seeds: Sequence[Seeds], wanted: Wanted) -> None:
        used = {
            k for seed in seeds for k, slope in seed.spike_times.items() if k in self.clocked and np.any(slope != 0)
        }
        for k in used:
            raise NotImplementedError(
                f"Surrogate gradients have no slope by the spike times of '{self.plan.nodes[k].name}'; use a loss on "
                "voltages (CrossEntropyLoss, StateLoss), or ClockSolver() without surrogate."
            )
        if wanted.delays or wanted.spike_times:
            raise NotImplementedError(
                "Surrogate gradients have no slopes by delays and spike times; ClockSolver() without one has them."
            )

    def _state_seeds(self, record: Record, seeds: Seeds) -> dict[int, np.ndarray]:
        """The loss's own slopes by the states at every step, by node."""
        result = {}
        for k, seed in seeds.samples.items():
            when = record.history.request.samples[k] - self.plan.start
            result[k] = record.history.nodes[k].at_adjoint(when, seed, self.dt)
        for k, seed in seeds.averages.items():
            states = record.history.nodes[k].states
            total = result.setdefault(k, np.zeros_like(states))
            weights = self._average_weights(len(states), record.history.request.averages[k])
            total[:, 0] += weights[:, None] * seed
        return result

    def _task(self, histories, state_seeds, wanted: Wanted) -> Task:
        plan = self.plan
        seeded = [set() for _ in plan.nodes]
        for sample in state_seeds:
            for k, total in sample.items():
                used = np.any(total != 0, axis=(0, 2))
                seeded[k] |= {name for name, is_used in zip(plan.nodes[k].system.states, used, strict=True) if is_used}
        longest = [0] * len(plan.nodes)
        extra = 0
        for p, pathway in enumerate(plan.pathways):
            delays = delay_steps(plan, p)
            longest[pathway.source] = max(longest[pathway.source], int(np.max(delays)))
            if np.any(delays != delays[0]):
                extra = max(extra, int(np.max(delays)))
        slots = self._largest(
            "slots",
            tuple(
                max([1, *(most_within(history.nodes[k], longest[k]) for history in histories)])
                if k in self.clocked
                else 1
                for k in range(len(plan.nodes))
            ),
        )
        return Task(
            wanted.weights,
            wanted.models,
            self._all_seeded(seeded),
            bool(wanted.delays or wanted.spike_times),
            slots,
            extra,
            self.surrogate,
        )

    def _all_seeded(self, now: list[set[str]]) -> tuple[tuple[str, ...], ...]:
        seen = self.device.seen.setdefault((self.key, "seeded"), [set() for _ in now])
        for before, names in zip(seen, now, strict=True):
            before |= names
        return tuple(tuple(sorted(names)) for names in seen)

    def _reverse_arrays(self, histories, layout: Layout, task: Task) -> dict[str, np.ndarray]:
        """The state at the end of the trial, what a step from there would assign, and parameters."""
        arrays = {}
        for k in self.clocked:
            node = self.plan.nodes[k]
            everyone, wide = np.arange(node.size), node.size * layout.samples
            ends = [end_of_step(node, history.nodes[k].states[-1], everyone)[0] for history in histories]
            own = [name for name in ends[0] if name not in node.values() and name != FREE.name]
            arrays |= {
                f"node {k} {name}": np.concatenate([self._wide(end[name], node) for end in ends]) for name in own
            }
            arrays |= self._numbers(k, layout)
            if node.system.event is not None:
                safe = safe_state(node, [history.nodes[k] for history in histories])
                for name, value in zip(node.system.states, safe, strict=True):
                    arrays |= {f"node {k} {word}_{name}": np.full(wide, value) for word in ("safe", "event")}
            if any(node.system.held):
                arrays[f"node {k} {FREE.name}"] = np.ones(wide)
                arrays[f"node {k} holds"] = np.tile(node.held_steps > 1, layout.samples)
        for p, pathway in enumerate(self.plan.pathways):
            if pathway.source in self.clocked:
                weights = np.tile(pathway.weights, layout.copies(pathway.source))
                arrays |= {f"pathway {p} weight {slot}": weights for slot in range(task.slots[pathway.source])}
        return arrays

    @staticmethod
    def _wide(values, node):
        return np.broadcast_to(values, node.size)

    def _tables(self, k, histories, seeds, state_seeds, layout: Layout, task: Task) -> dict[str, np.ndarray]:
        """What the trial left of every step, in the order of the reverse pass, samples side by side."""
        node, rows = self.plan.nodes[k], {}

        def add(label, samples):
            rows[f"{label} {k}"] = np.concatenate(samples, axis=1)

        trials = [history.nodes[k] for history in histories]
        for row, name in enumerate(node.system.states):
            add(name, [self._backwards(trial.states[:-1, row], trial.states[-1, row], task) for trial in trials])
        for name in task.seeded[k]:
            row = node.system.states.index(name)
            own = [
                sample[k][:, row] if k in sample else np.zeros_like(trials[0].states[:, 0]) for sample in state_seeds
            ]
            # Seeds act at the end of a step: one row later than what is loaded.
            add(f"seed_{name}", [np.vstack([np.zeros((task.extra, node.size)), seed[::-1]]) for seed in own])
        if node.system.event is not None:
            add("spiked", [self._at_spikes(trial, 1.0, node, layout, task) for trial in trials])
            own = [
                seed.spike_times.get(k, np.zeros(len(trial.times))) for seed, trial in zip(seeds, trials, strict=True)
            ]
            add("by_spike_time", [self._at_spikes(*pair, node, layout, task) for pair in zip(trials, own, strict=True)])
            slots = [spike_numbers(trial) % task.slots[k] for trial in trials]
            if task.slots[k] > 1:
                add("slot", [self._at_spikes(*pair, node, layout, task) for pair in zip(trials, slots, strict=True)])
            for p, pathway in enumerate(self.plan.pathways):
                if pathway.source == k and self.surrogate is None:
                    late = int(np.max(delay_steps(self.plan, p)))
                    for slot in range(task.slots[k]):
                        arrives = [
                            self._at_spikes(trial, own == slot, node, layout, task, late)
                            for trial, own in zip(trials, slots, strict=True)
                        ]
                        rows[f"arrives {p} {slot}"] = np.concatenate(arrives, axis=1)
        if any(node.system.held):
            add("is_free", [self._backwards(self._free(node, trial), np.ones(node.size), task) for trial in trials])
        return rows

    @staticmethod
    def _backwards(by_step: np.ndarray, beyond: np.ndarray, task: Task) -> np.ndarray:
        """Rows by reverse step; beyond the end of the trial nothing moves, and the last is that of step 0 again."""
        return np.vstack([np.tile(beyond, (task.extra, 1)), by_step[::-1], by_step[:1]])

    @staticmethod
    def _at_spikes(trial: NodeTrial, values, node, layout: Layout, task: Task, late: int = 0) -> np.ndarray:
        """A value at every spike, or at its arrival some steps later, and zero elsewhere; rows by reverse step."""
        rows = np.zeros((layout.steps + task.extra + 1, node.size))
        place = layout.steps - 1 + task.extra - trial.steps - late
        inside = place >= 0
        rows[place[inside], trial.units[inside]] = np.broadcast_to(values, place.shape)[inside]
        return rows

    @staticmethod
    def _free(node, trial: NodeTrial) -> np.ndarray:
        """Whether a neuron may move in a step: 1, or 0 from the step after its spike on, as long as it is held."""
        count = len(trial.states) - 1
        free, held = np.ones((count, node.size)), node.held_steps
        for step, n in zip(trial.steps, trial.units, strict=True):
            free[step + 1 : step + held[n], n] = 0
        return free

    def _slopes(self, read, b: int, layout: Layout, task: Task, wanted: Wanted) -> Slopes:
        slopes = Slopes()
        for p in wanted.weights:
            pathway = self.plan.pathways[p]
            labels = [f"pathway {p} slope"]
            if pathway.source in self.clocked:
                labels = [f"pathway {p} slope {slot}" for slot in range(task.slots[pathway.source])]
            parts = (read(label).reshape(-1, layout.samples, len(pathway.pre))[:, b].sum(axis=0) for label in labels)
            slopes.weights[p] = sum(parts)
        for k in wanted.initial & frozenset(self.clocked):
            rows = [self._part(read(f"node {k} adjoint_{name}"), k, b) for name in self.plan.nodes[k].system.states]
            slopes.initial[k] = rows[0], np.array(rows[1:]).reshape(-1, self.plan.nodes[k].size)
        for k in wanted.models:
            node = self.plan.nodes[k]
            # Numbers on which no derivative depends have slopes of zero.
            slopes.models[k] = {name: np.zeros(node.size) for name in node.numbers}
            for name in node.system.parameters:
                slopes.models[k][name] = self._part(read(f"node {k} slope_{name}"), k, b)
        return slopes

    def _part(self, values: np.ndarray, k: int, b: int) -> np.ndarray:
        return values.reshape(-1, self.plan.nodes[k].size)[b].copy()
