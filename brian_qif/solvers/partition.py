"""One trial in parts: neurons that do not hear each other are independent once the spikes that reach them are known.

Components are run in their order. Of a group that does not hear itself, some hundred neurons are swept at a time, so
that a spike cuts the steps of these alone and their states stay in the cache; threads take a part each.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from threading import Lock

import numpy as np

from brian_qif.plan.network_plan import NetworkPlan, SourceNode
from brian_qif.plan.parts import Part, cut_component, is_connected, levels, whole_component
from brian_qif.solvers.checks import check_wanted, checked_seeds, given_spikes
from brian_qif.solvers.sweeps import (
    Backend,
    PreparedNetwork,
    Record,
    Request,
    Seeds,
    Slopes,
    Wanted,
    check_request,
    no_model_slopes,
)

# A group that fewer synaptic events reach is not cut: Python would spend more on the parts than they save.
FEWEST_EVENTS = 100_000


def prepare_in_parts(plan: NetworkPlan, backend: Backend, threads: int) -> PreparedNetwork:
    """A plan, packed for a backend: in parts where some component can be cut."""
    size = backend.part_size
    if size is None or all(count_parts(plan, members, size) == 1 for members in plan.components):
        return backend.prepare(plan)
    return PartitionedNetwork(plan, backend.prepare, size, threads)


def count_parts(plan: NetworkPlan, members: tuple[int, ...], size: int) -> int:
    """Into how many parts of about ``size`` neurons a component can be cut; it depends on the network alone."""
    return 1 if is_connected(plan, members) else max(1, round(plan.nodes[members[0]].size / size))


@dataclass
class Piece:
    """A part of the plan, packed."""

    part: Part
    prepared: PreparedNetwork

    def forward(self, request: Request, spikes: list) -> Record:
        """Simulate this part; ``spikes`` has the times and units of every node that it hears."""
        part = self.part
        own = Request(
            request.duration,
            {part.place[k]: request.averages[k] for k in part.members if k in request.averages},
            {part.place[k]: request.samples[k] for k in part.members if k in request.samples},
        )
        return self.prepared.forward(own, {part.place[k]: spikes[k] for k in part.sources})


@dataclass
class PieceTrial:
    """The trial of a piece; ``places`` has for each member where its spikes stand among those of its group."""

    piece: Piece
    record: Record
    places: dict[int, np.ndarray]


class PartitionedNetwork:
    """A plan whose parts are packed by themselves; threads may share it, a trial each.

    Which components are cut depends on the plan and the trial alone, and all is put together in the order of the parts:
    the bits do not depend on the number of threads. Spikes of one time are listed by part, and in the order of its own
    sweep within a part.
    """

    def __init__(self, plan: NetworkPlan, prepare: Callable[[NetworkPlan], PreparedNetwork], size: int, threads: int):
        self.plan, self.threads = plan, threads
        self._prepare, self._lock = prepare, Lock()
        self._levels = levels(plan)
        self._counts = [count_parts(plan, members, size) for members in plan.components]
        self._pieces: dict[tuple[int, int], list[Piece]] = {}
        self._synapses = [np.bincount(pathway.pre, minlength=pathway.source_size) for pathway in plan.pathways]

    def forward(self, request: Request, stimuli=None) -> Record:
        """Simulate one trial; see :class:`~brian_qif.solvers.sweeps.PreparedNetwork`."""
        check_request(self.plan, request)
        record = Record([], [], {}, [])
        spikes = [self._given(k, stimuli or {}, request.duration) for k in range(len(self.plan.nodes))]
        with self._workers() as run_all:
            for level in self._levels:
                components = [self._pieces_of(c, self._parts_worthwhile(c, spikes)) for c in level]
                pieces = [piece for component in components for piece in component]
                found = list(run_all(lambda piece: piece.forward(request, spikes), pieces))
                trials = [PieceTrial(*pair, {}) for pair in zip(pieces, found, strict=True)]
                record.history.append(trials)
                for k in [k for c in level for k in self.plan.components[c]]:
                    spikes[k] = _merge(k, [trial for trial in trials if k in trial.piece.part.members], record)
        record.spike_times, record.spike_units = map(list, zip(*spikes, strict=True))
        return record

    def reverse(self, record: Record, seeds: Seeds, wanted: Wanted) -> Slopes:
        """Carry the seeds back; see :class:`~brian_qif.solvers.sweeps.PreparedNetwork`."""
        sweep = _ReverseSweep(self.plan, record, seeds, wanted)
        with self._workers() as run_all:
            for trials in reversed(record.history):
                for trial, by_time in zip(trials, list(run_all(sweep.reverse, trials)), strict=True):
                    sweep.add_time_slopes(trial, by_time)
        return sweep.slopes

    @contextmanager
    def _workers(self):
        """A ``map`` that uses the threads; results and the failure that is raised come in the order of the work."""
        if self.threads == 1:
            yield map
            return
        with ThreadPoolExecutor(self.threads) as pool:
            yield pool.map

    def _given(self, k: int, stimuli, duration: float) -> tuple[np.ndarray, np.ndarray]:
        """The spikes of a source within the trial; none yet of neurons."""
        node = self.plan.nodes[k]
        if not isinstance(node, SourceNode):
            return np.empty(0), np.empty(0, dtype=np.int64)
        times, units = given_spikes(node, *stimuli.get(k, (node.times, node.units)))
        end = self.plan.start + duration
        inside = slice(np.searchsorted(times, self.plan.start), np.searchsorted(times, end, side="right"))
        return times[inside], units[inside]

    def _parts_worthwhile(self, component: int, spikes: list) -> int:
        """Into how many parts a component is cut, which is not done where little happens."""
        members = self.plan.components[component]
        incoming = [
            (p.source, n) for p, n in zip(self.plan.pathways, self._synapses, strict=True) if p.target in members
        ]
        events = sum(int(np.sum(synapses[spikes[source][1]])) for source, synapses in incoming)
        return self._counts[component] if events >= FEWEST_EVENTS else 1

    def _pieces_of(self, component: int, count: int) -> list[Piece]:
        """A component in so many parts, which are packed when they are first needed."""
        with self._lock:
            if (component, count) not in self._pieces:
                members = self.plan.components[component]
                if count > 1:
                    parts = cut_component(self.plan, members[0], count)
                else:
                    parts = [whole_component(self.plan, members)]
                self._pieces[component, count] = [Piece(part, self._prepare(part.plan)) for part in parts]
            return self._pieces[component, count]


def _merge(k: int, trials: list[PieceTrial], record: Record) -> tuple[np.ndarray, np.ndarray]:
    """The spikes of a group from those of its parts; its averages and samples go to the record."""
    where = [(trial.piece.part.place[k], trial) for trial in trials]
    for name in ("averages", "samples"):
        rows = [getattr(trial.record, name).get(n) for n, trial in where]
        if rows[0] is not None:
            getattr(record, name)[k] = np.concatenate(rows, axis=-1)
    times = np.concatenate([trial.record.spike_times[n] for n, trial in where])
    units = np.concatenate([trial.record.spike_units[n] + (trial.piece.part.neurons.start or 0) for n, trial in where])
    order = np.argsort(times, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    first = 0
    for n, trial in where:
        last = first + len(trial.record.spike_times[n])
        trial.places[k], first = place[first:last], last
    return times[order], units[order]


class _ReverseSweep:
    """The slopes of one trial, to which every part adds its own."""

    def __init__(self, plan: NetworkPlan, record: Record, seeds: Seeds, wanted: Wanted):
        check_wanted(plan, wanted)
        self.plan, self.wanted = plan, wanted
        by_time, self.averages, self.samples = checked_seeds(plan, record, seeds)
        self.spike_slopes = [
            np.array(by_time[k]) if k in by_time else np.zeros(len(times)) for k, times in enumerate(record.spike_times)
        ]
        sizes = [len(pathway.pre) for pathway in plan.pathways]
        neurons = {k: plan.nodes[k] for k in wanted.initial}
        self.slopes = Slopes(
            {k: np.zeros(sizes[k]) for k in wanted.weights},
            {k: np.zeros(sizes[k]) for k in wanted.delays},
            {k: self.spike_slopes[k] for k in wanted.spike_times},
            {k: (np.empty(node.size), np.empty((len(node.currents), node.size))) for k, node in neurons.items()},
            {k: no_model_slopes(plan.nodes[k]) for k in wanted.models},
        )

    def reverse(self, trial: PieceTrial) -> dict[int, np.ndarray]:
        """Put the slopes of a part where they belong; returns those with respect to the spike times of its sources."""
        part, wanted = trial.piece.part, self.wanted
        here = {k: part.place[k] for k in part.members}
        pathways = {k: n for n, (k, _) in enumerate(part.pathways)}
        found = trial.piece.prepared.reverse(
            trial.record,
            Seeds(
                {n: self.spike_slopes[k][trial.places[k]] for k, n in here.items()},
                {n: self.averages[k][part.neurons] for k, n in here.items() if k in self.averages},
                {n: self.samples[k][..., part.neurons] for k, n in here.items() if k in self.samples},
            ),
            Wanted(
                frozenset(n for k, n in pathways.items() if k in wanted.weights),
                frozenset(n for k, n in pathways.items() if k in wanted.delays),
                frozenset(part.place[k] for k in part.sources if self._has_time_slopes(k)),
                frozenset(n for k, n in here.items() if k in wanted.initial),
                frozenset(n for k, n in here.items() if k in wanted.models),
            ),
        )
        for n, (k, synapses) in enumerate(part.pathways):
            for whole, own in ((self.slopes.weights, found.weights), (self.slopes.delays, found.delays)):
                if n in own:
                    whole[k][synapses] = own[n]
        for k, n in here.items():
            if n in found.initial:
                for whole, own in zip(self.slopes.initial[k], found.initial[n], strict=True):
                    whole[..., part.neurons] = own
            if n in found.models:
                _put_models(self.slopes.models[k], found.models[n], part.neurons)
        return {k: found.spike_times[part.place[k]] for k in part.sources if self._has_time_slopes(k)}

    def add_time_slopes(self, trial: PieceTrial, by_time: dict[int, np.ndarray]) -> None:
        """Seeds of what comes before: the slopes of a part by the spike times of its sources."""
        for k, slopes in by_time.items():
            self.spike_slopes[k] += slopes

    def _has_time_slopes(self, k: int) -> bool:
        return not isinstance(self.plan.nodes[k], SourceNode) or k in self.wanted.spike_times


def _put_models(whole, own, neurons: slice) -> None:
    """Slopes by the parameters of some neurons, among those of their group."""
    if isinstance(own, dict):
        for name, values in own.items():
            whole[name][neurons] = values
    else:
        for field in fields(own):
            getattr(whole, field.name)[..., neurons] = getattr(own, field.name)
