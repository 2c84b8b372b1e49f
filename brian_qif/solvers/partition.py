"""One trial in parts: neurons that do not hear each other are independent once the spikes that reach them are known.

Components are run in their order. Of a group that does not hear itself, some hundred neurons are swept at a time, so
that a spike cuts the steps of these alone and their states stay in the cache; threads take a part each.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np

from brian_qif.plan.network_plan import NetworkPlan, SourceNode
from brian_qif.plan.parts import Part, component_in_parts, is_connected, levels
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

# With fewer steps of single neurons, threads would wait for each other longer than they save (measured).
FEWEST_STEPS = 4_000_000


def prepare_in_parts(plan: NetworkPlan, backend: Backend, threads: int, dtype: str = "float64") -> PreparedNetwork:
    """A plan, packed for a backend: in parts where some component can be cut."""
    size = backend.part_size
    if size is None or all(count_parts(plan, members, size) == 1 for members in plan.components):
        return backend.prepare(plan, dtype)
    return PartitionedNetwork(plan, lambda part: backend.prepare(part, dtype), size, threads)


def count_parts(plan: NetworkPlan, members: tuple[int, ...], size: int) -> int:
    """Into how many parts of at least ``size`` neurons a component can be cut; it depends on the network alone."""
    return 1 if is_connected(plan, members) else max(1, plan.nodes[members[0]].size // size)


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
            frozenset(part.place[k] for k in part.members if k in request.peaks),
        )
        return self.prepared.forward(own, {part.place[k]: spikes[k] for k in part.sources})

    def steps(self, spikes: list) -> int:
        """How many steps of single neurons the spikes that this part hears will take about: arrivals times neurons."""
        part, arrivals = self.part, 0
        for pathway in part.plan.pathways:
            if pathway.source < len(part.sources):
                units = spikes[part.sources[pathway.source]][1]
                arrivals += int(np.sum(np.diff(pathway.fan_pointer)[units]))
        return arrivals * sum(node.size for node in part.plan.nodes[len(part.sources) :])


@dataclass
class PieceTrial:
    """The trial of a piece; ``places`` has for each member where its spikes stand among those of its group."""

    piece: Piece
    record: Record
    places: dict[int, np.ndarray]


class PartitionedNetwork:
    """A plan whose parts are packed by themselves; threads may share it, a trial each.

    The parts depend on the network alone, and all is put together in their order: the bits do not depend on the number
    of threads. Spikes of one time are listed by part, and within a part in the order of its sweep.
    """

    def __init__(self, plan: NetworkPlan, prepare: Callable[[NetworkPlan], PreparedNetwork], size: int, threads: int):
        self.plan, self.threads = plan, threads
        self.pieces = [
            [
                Piece(part, prepare(part.plan))
                for members in (plan.components[c] for c in level)
                for part in component_in_parts(plan, members, count_parts(plan, members, size))
            ]
            for level in levels(plan)
        ]

    def forward(self, request: Request, stimuli=None) -> Record:
        """Simulate one trial; see :class:`~brian_qif.solvers.sweeps.PreparedNetwork`."""
        check_request(self.plan, request)
        record = Record([], [], {}, [])
        spikes = [self._given(k, stimuli or {}, request.duration) for k in range(len(self.plan.nodes))]
        with ThreadPoolExecutor(self.threads) as pool:
            for pieces in self.pieces:
                threaded = self.threads > 1 and sum(piece.steps(spikes) for piece in pieces) >= FEWEST_STEPS
                run_all = pool.map if threaded else map
                found = list(run_all(lambda piece: piece.forward(request, spikes), pieces))
                trials = [PieceTrial(*pair, {}) for pair in zip(pieces, found, strict=True)]
                record.history.append((threaded, trials))
                for k in {k for piece in pieces for k in piece.part.members}:
                    spikes[k] = _merge(k, [trial for trial in trials if k in trial.piece.part.members], record)
        record.spike_times, record.spike_units = map(list, zip(*spikes, strict=True))
        return record

    def reverse(self, record: Record, seeds: Seeds, wanted: Wanted) -> Slopes:
        """Carry the seeds back; see :class:`~brian_qif.solvers.sweeps.PreparedNetwork`."""
        sweep = _ReverseSweep(self.plan, record, seeds, wanted)
        with ThreadPoolExecutor(self.threads) as pool:
            for threaded, trials in reversed(record.history):
                for by_time in list((pool.map if threaded else map)(sweep.reverse, trials)):
                    sweep.add_time_slopes(by_time)
        return sweep.slopes

    def _given(self, k: int, stimuli, duration: float) -> tuple[np.ndarray, np.ndarray]:
        """The spikes of a source within the trial; none yet of neurons."""
        node = self.plan.nodes[k]
        if not isinstance(node, SourceNode):
            return np.empty(0), np.empty(0, dtype=np.int64)
        times, units = given_spikes(node, *stimuli.get(k, (node.times, node.units)))
        end = self.plan.start + duration
        inside = slice(np.searchsorted(times, self.plan.start), np.searchsorted(times, end, side="right"))
        return times[inside], units[inside]


def _merge(k: int, trials: list[PieceTrial], record: Record) -> tuple[np.ndarray, np.ndarray]:
    """The spikes of a group from those of its parts; its averages, samples and peaks go to the record."""
    where = [(trial.piece.part.place[k], trial) for trial in trials]
    for name in ("averages", "samples", "peaks"):
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
        by_time, self.averages, self.samples, self.peaks = checked_seeds(plan, record, seeds)
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
                {n: self.peaks[k][part.neurons] for k, n in here.items() if k in self.peaks},
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

    def add_time_slopes(self, by_time: dict[int, np.ndarray]) -> None:
        """The slopes of a part by the spike times of its sources are seeds of what comes before."""
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
