"""The backend "cpp": generated C++ behind the interface of :mod:`brian_qif.solvers.sweeps`."""

from __future__ import annotations

import ctypes
import threading
from ctypes import c_double, c_int, c_int64, c_void_p
from functools import lru_cache

import numpy as np

from brian_qif.codegen.checks import plan_refusal
from brian_qif.codegen.compiler import CompilerError, find_compiler, load_library
from brian_qif.codegen.memory import keep_freed_memory
from brian_qif.codegen.source import FAMILIES, NUMBERS, event_source
from brian_qif.plan.network_plan import NetworkPlan, NeuronNode, Pathway
from brian_qif.solvers.checks import check_wanted, checked_seeds, given_spikes
from brian_qif.solvers.sweeps import (
    GrazingSpikeError,
    ModelSlopes,
    Record,
    Request,
    Seeds,
    Slopes,
    Wanted,
    check_request,
    register_backend,
    unbounded_activity,
)

_NOT_FINITE, _TOO_MANY_EVENTS, _GRAZING, _OUT_OF_MEMORY = 1, 2, 3, 4
# Arrays are handed over by their address, which is much faster than making typed pointers: a trial takes some thirty.
# "Reals" have the precision of the state.
_DOUBLES = _REALS = _INTEGERS = c_void_p

# Updating one neuron by itself costs about as much as this many in a sweep over all (tests/benchmarks/large_sparse.py).
SPARSE_FACTOR = 100.0

# Result and arguments of each function of templates/interface.hpp.
_SIGNATURES = {
    "network_create": (c_void_p, [c_double]),
    "network_destroy": (None, [c_void_p]),
    "network_add_source": (None, [c_void_p, c_int64]),
    "network_add_neurons": (None, [c_void_p, c_int, c_int, c_int, c_int64, _DOUBLES, _DOUBLES, _DOUBLES]),
    "network_add_pathway": (None, [c_void_p, c_int, c_int, *[_INTEGERS] * 4, _DOUBLES, _REALS, _DOUBLES]),
    "network_add_component": (None, [c_void_p, c_int64, _INTEGERS]),
    "run_create": (c_void_p, [c_void_p]),
    "run_destroy": (None, [c_void_p]),
    "run_set_source": (None, [c_void_p, c_int, c_int64, _DOUBLES, _INTEGERS]),
    "run_set_samples": (None, [c_void_p, c_int, c_int64, _DOUBLES]),
    "run_want_peaks": (None, [c_void_p, c_int]),
    "run_read_samples": (None, [c_void_p, c_int, _DOUBLES]),
    "run_forward": (c_int, [c_void_p, c_double, c_double, _DOUBLES]),
    "run_spike_count": (c_int64, [c_void_p, c_int]),
    "run_read_spikes": (None, [c_void_p, c_int, _DOUBLES, _INTEGERS]),
    "run_read_average": (None, [c_void_p, c_int, _DOUBLES]),
    "run_read_peaks": (None, [c_void_p, c_int, _DOUBLES]),
    "run_seed_spikes": (None, [c_void_p, c_int, _DOUBLES]),
    "run_seed_average": (None, [c_void_p, c_int, _DOUBLES]),
    "run_seed_peaks": (None, [c_void_p, c_int, _DOUBLES]),
    "run_seed_samples": (None, [c_void_p, c_int, _DOUBLES]),
    "run_want_model": (None, [c_void_p, c_int, _DOUBLES]),
    "run_want_pathway": (None, [c_void_p, c_int, _REALS, _REALS]),
    "run_want_node": (None, [c_void_p, c_int, c_int, _DOUBLES, _DOUBLES]),
    "run_reverse": (c_int, [c_void_p]),
    "run_read_spike_slopes": (None, [c_void_p, c_int, _DOUBLES]),
    "run_failure": (None, [c_void_p, _INTEGERS, _DOUBLES]),
}


# Only these take long enough for other threads to go on meanwhile: every other call keeps Python's lock, since threads
# that hand it to each other dozens of times a trial wait longer than they compute.
_SWEEPS = ("run_forward", "run_reverse")


def _load(plan: NetworkPlan, dtype: str) -> ctypes.PyDLL:
    keep_freed_memory()
    return _with_signatures(load_library(event_source(plan, dtype)))


@lru_cache
def _with_signatures(library: ctypes.CDLL) -> ctypes.PyDLL:
    quick = ctypes.PyDLL(library._name, handle=library._handle)
    for name, (result, arguments) in _SIGNATURES.items():
        if name in _SWEEPS:
            setattr(quick, name, getattr(library, name))
        function = getattr(quick, name)
        function.restype, function.argtypes = result, arguments
    return quick


def _address(array: np.ndarray | None) -> int | None:
    """Where the generated code finds a contiguous array, which the caller keeps alive."""
    return None if array is None else array.ctypes.data


class _PackedPathway:
    """The arrays of a pathway in the order of its fans, as the generated code reads them."""

    def __init__(self, pathway: Pathway, dtype: str):
        self.identity, self.targets, self.first_target = pathway.fan_targets
        self.order = order = pathway.order
        self.pointer, self.start = pathway.fan_pointer, pathway.fan_start
        self.delay = np.ascontiguousarray(pathway.fan_delay, dtype=float)
        weights = pathway.weights if self.identity else pathway.weights[order]
        self.weights = np.ascontiguousarray(weights, dtype=dtype)
        self.largest = np.maximum.reduceat(np.abs(self.weights), self.start[:-1]).astype(float, copy=False)

    def synapse_order(self, values: np.ndarray) -> np.ndarray:
        """Values in the order of the fans, put into that of the synapses, in double precision."""
        if self.identity:
            return values.astype(float, copy=False)
        result = np.empty(len(values))
        result[self.order] = values
        return result


class CompiledNetwork:
    """A plan in the memory of the generated code; read-only, so that threads may share it."""

    def __init__(self, plan: NetworkPlan, dtype: str = "float64"):
        self.plan, self.dtype = plan, dtype
        self.library = _load(plan, dtype)
        self.pathways = [_PackedPathway(pathway, dtype) for pathway in plan.pathways]
        self._checked: Request | None = None
        self._alive: list[np.ndarray] = []  # arrays that the generated code points to
        self.handle = self.library.network_create(SPARSE_FACTOR)
        for node in plan.nodes:
            self._add_node(node)
        for pathway, packed in zip(plan.pathways, self.pathways, strict=True):
            self.library.network_add_pathway(
                self.handle,
                pathway.source,
                pathway.target,
                *map(_address, (packed.pointer, packed.start, packed.first_target, packed.targets)),
                _address(packed.delay),
                _address(packed.weights),
                _address(packed.largest),
            )
        for component in plan.components:
            members = np.array(component, dtype=np.int64)
            self.library.network_add_component(self.handle, len(component), _address(members))

    def __del__(self):
        if getattr(self, "handle", None):
            self.library.network_destroy(self.handle)

    def _add_node(self, node) -> None:
        if not isinstance(node, NeuronNode):
            self.library.network_add_source(self.handle, node.size)
            return
        rows = (node.tau_m, node.tau_s[0], node.threshold, node.reset)
        numbers = np.array([np.broadcast_to(row, node.size) for row in rows])
        state = [np.ascontiguousarray(values, dtype=float) for values in (node.v, node.currents[0])]
        self._alive += state
        kind = NUMBERS[FAMILIES[node.kind]]
        self.library.network_add_neurons(
            self.handle, kind, node.spikes, node.uniform, node.size, *map(_address, (numbers, *state))
        )

    def forward(self, request: Request, stimuli=None) -> Record:
        """Simulate one trial; see :class:`~brian_qif.solvers.sweeps.PreparedNetwork`."""
        if request is not self._checked:  # one serves many samples
            check_request(self.plan, request)
            self._checked = request
        run = _Run(self)
        end = self.plan.start + request.duration
        for k, node in enumerate(self.plan.nodes):
            if not isinstance(node, NeuronNode):
                times, units = given_spikes(node, *(stimuli or {}).get(k, (node.times, node.units)))
                inside = slice(np.searchsorted(times, self.plan.start), np.searchsorted(times, end, side="right"))
                run.set_source(k, times[inside], units[inside])
        return run.forward(request)

    def reverse(self, record: Record, seeds: Seeds, wanted: Wanted) -> Slopes:
        """Carry the seeds back; see :class:`~brian_qif.solvers.sweeps.PreparedNetwork`."""
        return record.history.reverse(record, seeds, wanted)

    def failure(self, run: int, outcome: int) -> Exception:
        """The exception that a failed sweep stands for."""
        where, when = np.empty(2, dtype=np.int64), np.empty(1)
        self.library.run_failure(run, _address(where), _address(when))
        if outcome == _GRAZING:
            node = self.plan.nodes[where[0]]
            return GrazingSpikeError(
                f"Neuron {node.first_neuron + where[1]} of '{node.name}' only grazes its threshold at {when[0]} s; "
                "its spike time has no bounded derivative."
            )
        if outcome == _OUT_OF_MEMORY:
            return MemoryError(
                "The record of the trial does not fit into memory: it holds some 64 bytes per synaptic event of a "
                "large sparse network. Simulate a shorter trial, or fewer at a time."
            )
        if outcome == _TOO_MANY_EVENTS:
            return unbounded_activity(when[0])
        return FloatingPointError(f"The state of '{self.plan.nodes[where[0]].name}' is not finite at {when[0]} s.")


class _Run:
    """One trial in the memory of the generated code, kept for its reverse sweep."""

    def __init__(self, network: CompiledNetwork):
        self.network, self.library = network, network.library
        self.handle = self.library.run_create(network.handle)
        self._lock = threading.Lock()

    def __del__(self):
        if getattr(self, "handle", None):
            self.library.run_destroy(self.handle)

    def set_source(self, node: int, times: np.ndarray, units: np.ndarray) -> None:
        self.library.run_set_source(self.handle, node, len(times), _address(times), _address(units))

    def forward(self, request: Request) -> Record:
        plan = self.network.plan
        rates = np.full(len(plan.nodes), np.nan)
        rates[list(request.averages)] = list(request.averages.values())
        for k, when in request.samples.items():
            when = np.ascontiguousarray(when, dtype=float)
            self.library.run_set_samples(self.handle, k, len(when), _address(when))
        for k in request.peaks:
            self.library.run_want_peaks(self.handle, k)
        outcome = self.library.run_forward(self.handle, plan.start, request.duration, _address(rates))
        if outcome:
            raise self.network.failure(self.handle, outcome)
        times, units = [], []
        for k in range(len(plan.nodes)):
            count = self.library.run_spike_count(self.handle, k)
            times.append(np.empty(count))
            units.append(np.empty(count, dtype=np.int64))
            self.library.run_read_spikes(self.handle, k, _address(times[-1]), _address(units[-1]))
        averages = {k: np.empty(plan.nodes[k].size) for k in request.averages}
        for k, values in averages.items():
            self.library.run_read_average(self.handle, k, _address(values))
        samples = {k: np.empty((len(when), 2, plan.nodes[k].size)) for k, when in request.samples.items()}
        for k, values in samples.items():
            self.library.run_read_samples(self.handle, k, _address(values))
        peaks = {k: np.empty(plan.nodes[k].size) for k in request.peaks}
        for k, values in peaks.items():
            self.library.run_read_peaks(self.handle, k, _address(values))
        return Record(times, units, averages, self, samples, peaks)

    def reverse(self, record: Record, seeds: Seeds, wanted: Wanted) -> Slopes:
        plan, pathways = self.network.plan, self.network.pathways
        spike_seeds, average_seeds, sample_seeds, peak_seeds = checked_seeds(plan, record, seeds)
        check_wanted(plan, wanted)
        weights = {k: np.zeros_like(pathways[k].weights) for k in wanted.weights}
        delays = {k: np.zeros_like(pathways[k].weights) for k in wanted.delays}
        initial = {k: (np.empty(plan.nodes[k].size), np.empty((1, plan.nodes[k].size))) for k in wanted.initial}
        models = {k: np.zeros((4, plan.nodes[k].size)) for k in wanted.models}
        with self._lock:
            for k in range(len(plan.nodes)):
                self.library.run_seed_spikes(self.handle, k, _address(spike_seeds.get(k)))
                self.library.run_seed_average(self.handle, k, _address(average_seeds.get(k)))
                self.library.run_seed_peaks(self.handle, k, _address(peak_seeds.get(k)))
                self.library.run_seed_samples(self.handle, k, _address(sample_seeds.get(k)))
                self.library.run_want_model(self.handle, k, _address(models.get(k)))
                v, current = initial.get(k, (None, None))
                self.library.run_want_node(self.handle, k, k in wanted.spike_times, _address(v), _address(current))
            for k in range(len(pathways)):
                self.library.run_want_pathway(self.handle, k, _address(weights.get(k)), _address(delays.get(k)))
            outcome = self.library.run_reverse(self.handle)
            if outcome:
                raise self.network.failure(self.handle, outcome)
            times = {k: np.empty(len(record.spike_times[k])) for k in wanted.spike_times}
            for k, slopes in times.items():
                self.library.run_read_spike_slopes(self.handle, k, _address(slopes))
        return Slopes(
            {k: pathways[k].synapse_order(values) for k, values in weights.items()},
            {k: pathways[k].synapse_order(values) for k, values in delays.items()},
            times,
            initial,
            {k: _model_slopes(rows) for k, rows in models.items()},
        )


def _model_slopes(rows: np.ndarray) -> ModelSlopes:
    slopes = ModelSlopes.zeros(rows.shape[1], 1)
    slopes.tau_m, slopes.tau_s, slopes.threshold, slopes.reset = rows[0], rows[1:2], rows[2], rows[3]
    return slopes


class CppBackend:
    """Generated C++, compiled on first use."""

    name = "cpp"
    part_size = 400  # measured: docs/developer/architecture.md

    def refusal(self, plan: NetworkPlan, dtype: str = "float64") -> str | None:
        refusal = plan_refusal(plan)
        if refusal is not None:
            return refusal
        try:
            find_compiler()
        except CompilerError as error:
            return str(error)
        return None

    def prepare(self, plan: NetworkPlan, dtype: str = "float64") -> CompiledNetwork:
        return CompiledNetwork(plan, dtype)


register_backend(CppBackend())
