"""The two passes of a clock-driven gradient: what a device is asked for, and what is made of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from brian2 import prefs

from brian_qif.equations.surrogate import Surrogate
from brian_qif.plan.clocked import ClockedNode
from brian_qif.plan.network_plan import NetworkPlan, SourceNode
from brian_qif.solvers.clock_arrivals import Arrivals, no_slopes
from brian_qif.solvers.clock_forward import ForwardRuns, SegmentRun, joined
from brian_qif.solvers.clock_inputs import given_spikes, multiplicity
from brian_qif.solvers.clock_reverse import Chunk, ReverseValues, average_weights, new_task, seeded_states, slope_labels
from brian_qif.solvers.clock_segments import Segments, Stops, longest_segment
from brian_qif.solvers.clock_synapses import nothing_carried
from brian_qif.solvers.clock_tasks import Layout, Task, check_finite, delay_steps, step_length, structure
from brian_qif.solvers.clock_trial import ClockHistory, NodeTrial, Stretch, most_within, within_steps
from brian_qif.solvers.sweeps import Record, Request, Seeds, Slopes, Wanted

# Bytes of a number; what else is kept of every neuron and step for the reverse pass, but for arrivals: whether it
# spiked, moved, and what for.
_NUMBER, _TABLES = 8, 3


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
        segments = self.segments(request, len(stimuli))
        given = [given_spikes(self.plan, stimulus or {}, segments.steps) for stimulus in stimuli]
        most = multiplicity(self.plan, given)
        self._check_alone(most)
        layout = Layout(len(stimuli), segments.steps, self._largest("multiplicity", most))
        runs = ForwardRuns(self.plan, self.device, self.key, layout, segments)
        stops = runs.start(given)
        trials: list[dict[int, NodeTrial]] = [{} for _ in stimuli]
        read = [_Reading(self, request) for _ in stimuli]
        for segment in range(segments.count):
            run = runs.run(stops, segment)
            for k in self.clocked:
                for b, trial in enumerate(runs.trials(k, run)):
                    read[b].add(k, trial.stretch)
                    trials[b][k] = trial if segments.whole else joined(trials[b].get(k), trial)
        return [self._record(request, trials[b], given[b], stops, read[b], runs, b) for b in range(len(stimuli))]

    def _largest(self, name: str, now: tuple[int, ...]) -> tuple[int, ...]:
        """The largest numbers that have been needed so far: what was built for these need not be built again."""
        seen = self.device.seen.setdefault((self.key, name), now)
        self.device.seen[self.key, name] = largest = tuple(map(max, seen, now))
        return largest

    def samples_at_once(self, request: Request) -> int:
        """How many samples the memory for trajectories has room for; one where none fits as a whole."""
        bound, steps = prefs["brian_qif.trajectory_memory"], self._steps(request.duration)
        return int(max(1, min(bound // (self._per_step() * steps), prefs["brian_qif.samples_at_once"])))

    def _per_step(self) -> int:
        """Bytes that a step of one sample takes.

        States are held as they were recorded, sample by sample, and in the order of the reverse pass, where all tables
        are held twice: by the solver and by the device.
        """
        sent = [sum(pathway.source == k for pathway in self.plan.pathways) for k in range(len(self.plan.nodes))]
        nodes = [(self.plan.nodes[k].size, len(self.plan.nodes[k].states), sent[k]) for k in self.clocked]
        return _NUMBER * sum(size * (4 * states + 2 * (_TABLES + out)) for size, states, out in nodes)

    def segments(self, request: Request, samples: int = 1) -> Segments:
        """How trials are cut so that one segment at a time fits into the memory for trajectories.

        Raises
        ------
        MemoryError
            If what is kept at the stops alone is too much.
        """
        bound, steps = prefs["brian_qif.trajectory_memory"], self._steps(request.duration)
        # The states, those one step before, the last spike and whether the neuron is held; the states of synapses and
        # when they were last looked at.
        stop = 8 * sum(self.plan.nodes[k].size * (2 * len(self.plan.nodes[k].states) + 2) for k in self.clocked)
        stop += 8 * sum(
            len(pathway.pre) * (len(pathway.state.system.states) + 1)
            for pathway in self.plan.pathways
            if pathway.state is not None
        )
        per_step, per_stop = samples * self._per_step(), samples * stop
        length = longest_segment(steps, per_step, per_stop, bound)
        if length is None:
            least = per_stop + 2 * np.sqrt(float(per_step) * per_stop * steps)
            raise MemoryError(
                f"A trial of {steps} steps takes {least / 1e9:.3g} GB even where its states are computed again bit by "
                f"bit, more than the preference brian_qif.trajectory_memory allows ({bound / 1e9:.3g} GB). Raise it, "
                "or simulate a shorter trial or with a larger dt."
            )
        return Segments(steps, length)

    def _check_alone(self, most: tuple[int, ...]) -> None:
        for pathway in self.plan.pathways:
            if pathway.state is not None and most[pathway.source] > 1:
                raise ValueError(
                    f"A unit of '{self.plan.nodes[pathway.source].name}' spikes more than once in a step, which "
                    f"'{pathway.name}' cannot tell apart: its synapses have a state that every spike changes. Take a "
                    "smaller dt."
                )

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

    def _record(self, request, trials, given, stops: Stops, read: _Reading, runs: ForwardRuns, b: int) -> Record:
        times = [trials[k].times if k in trials else given[k][0] for k in range(len(self.plan.nodes))]
        units = [trials[k].units if k in trials else given[k][1] for k in range(len(self.plan.nodes))]
        history = ClockHistory(trials, given, request, stops)

        def states(k: int, when: np.ndarray) -> np.ndarray:
            again = _Reading(self, Request(request.duration, samples={k: when}))
            for segment in range(stops.segments.count):
                again.add(k, self._stretches(runs, stops, segment, [history], b)[k][0])
            return again.samples[k]

        history.states = states
        return Record(times, units, read.averages, history, read.samples)

    def _stretches(self, runs: ForwardRuns, stops: Stops, segment: int, histories, b: int | None = None):
        """The states of a segment by node and sample, computed again unless they were kept."""
        if stops.segments.whole:
            return {k: [history.nodes[k].stretch for history in histories] for k in self.clocked}
        run: SegmentRun = runs.run(stops, segment)
        found = {}
        for k in self.clocked:
            samples = range(len(histories)) if b is None else [b]
            found[k] = [Stretch(run.first, run.states[k][:, :, sample]) for sample in samples]
        return found

    # -- reverse ---------------------------------------------------------------------------------------------------

    def reverse_many(self, records: Sequence[Record], seeds: Sequence[Seeds], wanted: Wanted) -> list[Slopes]:
        """Carry seeds back through trials that were simulated together."""
        histories = [record.history for record in records]
        if self.surrogate is not None:
            self._check_surrogate(seeds, wanted)
        stops = histories[0].stops
        segments = stops.segments
        multiplicity = self._largest("multiplicity", (1,) * len(self.plan.nodes))
        layout = Layout(len(records), segments.steps, multiplicity)
        task = self._task(histories, seeds, wanted)
        given = ReverseValues(self.plan, records, seeds, task, layout)
        runs = ForwardRuns(self.plan, self.device, self.key, layout, segments)
        slopes = [no_slopes(self.plan, record, wanted) for record in records]
        carried = {
            p: nothing_carried(pathway, len(records))
            for p, pathway in enumerate(self.plan.pathways)
            if pathway.state is not None and (p in wanted.delays or pathway.source in wanted.spike_times)
        }
        arrays, found = given.first_arrays(), None
        for top, rows in segments.chunks(task.extra):
            chunk = Chunk(top, rows)
            if found is not None:
                arrays = found.arrays()
            values = given.of(chunk, self._states(runs, stops, chunk, histories), arrays, not segments.whole)
            own = task if segments.whole else replace(task, extra=0)
            found = self.device.reverse(self.plan, replace(layout, steps=rows - 1 - own.extra), own, self.key, values)
            if task.kept:
                arrivals = Arrivals(self.plan, found, len(records), chunk, segments.steps)
                for b, record in enumerate(records):
                    arrivals.add_slopes(slopes[b], b, record, wanted)
                for p, own in carried.items():
                    arrivals.add_synaptic(p, given.synaptic(p, chunk), own, slopes, wanted)
        read = lru_cache(maxsize=None)(found.array)
        for b, one in enumerate(slopes):
            self._read_slopes(one, read, b, layout, task, wanted)
            check_finite(one, self.plan)
        return slopes

    def _states(self, runs: ForwardRuns, stops: Stops, chunk: Chunk, histories) -> dict[int, list[Stretch]]:
        """The states that a chunk goes back through."""
        segments = stops.segments
        if segments.whole:
            return self._stretches(runs, stops, 0, histories)
        segment = (chunk.top + 1) // segments.length
        if segments.first(segment) >= segments.steps:
            ends = {k: [history.nodes[k].end for history in histories] for k in self.clocked}
            return {k: [Stretch(segments.steps, end[None]) for end in own] for k, own in ends.items()}
        found = self._stretches(runs, stops, segment, histories)
        if segment:
            before = stops.stops[segment].before
            for k, own in found.items():
                found[k] = [
                    Stretch(x.first - 1, np.concatenate([before[k][None, :, b], x.states])) for b, x in enumerate(own)
                ]
        return found

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

    def _task(self, histories, seeds: Sequence[Seeds], wanted: Wanted) -> Task:
        longest = [0] * len(self.plan.nodes)
        for p, pathway in enumerate(self.plan.pathways):
            longest[pathway.source] = max(longest[pathway.source], int(np.max(delay_steps(self.plan, p))))
        most = [
            max([1, *(most_within(history.nodes[k], longest[k]) for history in histories)]) if k in self.clocked else 1
            for k in range(len(self.plan.nodes))
        ]
        slots = self._largest("slots", tuple(most))
        seeded = self._all_seeded(seeded_states(self.plan, seeds))
        room = self._largest("arrivals", tuple(self._room(p, histories) for p in range(len(self.plan.pathways))))
        return replace(new_task(self.plan, seeded, wanted, slots, self.surrogate), arrivals=room)

    def _room(self, p: int, histories) -> int:
        """The largest number of events at a synapse with a state, and then up to the next power of two."""
        pathway = self.plan.pathways[p]
        if pathway.state is None:
            return 1

        def most(k: int, history: ClockHistory) -> int:
            units = history.nodes[k].units if k in self.clocked else history.given[k][1]
            return int(np.max(np.bincount(units), initial=0))

        ends = [pathway.source, *([pathway.target] if pathway.acts_on_post else [])]
        room = max((sum(most(k, history) for k in ends) for history in histories), default=0)
        return 1 << room.bit_length()

    def _all_seeded(self, now: list[set[str]]) -> tuple[tuple[str, ...], ...]:
        seen = self.device.seen.setdefault((self.key, "seeded"), [set() for _ in now])
        for before, names in zip(seen, now, strict=True):
            before |= names
        return tuple(tuple(sorted(names)) for names in seen)

    def _read_slopes(self, slopes: Slopes, read, b: int, layout: Layout, task: Task, wanted: Wanted) -> None:
        for p in wanted.weights:
            pathway = self.plan.pathways[p]
            if pathway.state is not None:
                slopes.weights[p] = np.zeros(len(pathway.pre))
                slopes.synapses[p] = self._synaptic_slopes(p, read, b)
                continue
            labels, shape = slope_labels(self.plan, task, p), (-1, layout.samples, len(pathway.pre))
            parts = (read(label).reshape(shape)[:, b].sum(axis=0) for label in labels)
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

    def _synaptic_slopes(self, p: int, read, b: int) -> dict[str, np.ndarray]:
        """By parameters and by initial states, which are what the adjoint comes to before the first arrival."""
        pathway = self.plan.pathways[p]
        labels = {name: f"slope_{name}" for name in pathway.state.system.parameters}
        labels |= {name: f"adjoint_{name}" for name in pathway.state.system.states}
        shape = (-1, len(pathway.pre))
        return {name: read(f"pathway {p} {label}").reshape(shape)[b].copy() for name, label in labels.items()}

    def _part(self, values: np.ndarray, k: int, b: int) -> np.ndarray:
        return values.reshape(-1, self.plan.nodes[k].size)[b].copy()


class _Reading:
    """What a request asks for of one sample, gathered from one stretch of states after the other."""

    def __init__(self, network: ClockNetwork, request: Request):
        self.dt, self.request = network.dt, request
        self.count = round(request.duration / network.dt)
        self.averages = {k: np.zeros(network.plan.nodes[k].size) for k in request.averages}
        self.places = {
            k: within_steps(when - network.plan.start, network.dt, self.count) for k, when in request.samples.items()
        }
        self.samples = {
            k: np.zeros((len(when), *network.plan.nodes[k].states.shape)) for k, when in request.samples.items()
        }

    def add(self, k: int, stretch: Stretch) -> None:
        """A stretch ends with the state that the next one begins with."""
        last = stretch.first + len(stretch.states) - 1
        if k in self.averages:
            # The trial's own last state belongs to no other stretch.
            steps = np.arange(stretch.first, last + (last == self.count))
            weights = average_weights(self.request.averages[k], self.dt, self.count, steps)
            self.averages[k] += np.einsum("k,kn->n", weights, stretch.states[: len(steps), 0])
        if k in self.samples:
            step, share = self.places[k]
            inside = (step >= stretch.first) & (step < last)
            self.samples[k][inside] = stretch.between(step[inside], share[inside])
