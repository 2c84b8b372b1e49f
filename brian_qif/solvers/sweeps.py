"""What a backend of the event-driven solver offers: a forward and a reverse sweep over one plan.

A backend is registered under a name. :meth:`Backend.prepare` packs a plan once; the prepared network is
immutable and may be used by many threads at a time, one sample each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from brian_qif.plan.network_plan import VOLTAGE, HybridNode, NetworkPlan, NeuronNode, SourceNode


@dataclass(frozen=True)
class Request:
    """What a run has to deliver.

    ``duration`` in seconds. ``averages`` maps the index of a node to a rate b (1/second): deliver the integral
    of ``v(t) exp(-b (t - start))`` over the trial for each of its neurons (normal form). ``samples`` maps the index
    of a node to ascending times (seconds) at which its state is delivered, just after what happens then. ``peaks``:
    nodes whose largest voltage over the trial is delivered.
    """

    duration: float
    averages: dict[int, float] = field(default_factory=dict)
    samples: dict[int, np.ndarray] = field(default_factory=dict)
    peaks: frozenset[int] = frozenset()


@dataclass
class Record:
    """The outcome of a forward sweep, and all that the reverse sweep needs to go back.

    ``spike_times`` and ``spike_units``: one array per node of the plan, in time order. ``averages``: one array
    for each requested node; ``samples``: for each requested node an array of shape (times, 1 + currents, neurons) with
    the voltage and the currents; ``peaks``: for each requested node the largest voltage of each neuron (normal form).
    ``history`` belongs to the backend.
    """

    spike_times: list[np.ndarray]
    spike_units: list[np.ndarray]
    averages: dict[int, np.ndarray]
    history: object
    samples: dict[int, np.ndarray] = field(default_factory=dict)
    peaks: dict[int, np.ndarray] = field(default_factory=dict)


@dataclass
class Seeds:
    """Derivatives of the loss with respect to what the record delivered.

    ``spike_times[node]`` is aligned with ``Record.spike_times[node]``; a node that the loss does not use is absent.
    ``counts[node]`` are slopes by the number of spikes of each neuron, for surrogate gradients alone.
    ``coordinates[node]`` has the loss's own slopes with respect to ``v_offset``, ``v_scale`` and each
    ``current_scale``, lists by name, where it is a function of the user's variables; ``weights[pathway]`` and
    ``models[node]`` are its own slopes by the weights and by fields of `ModelSlopes`. No reverse sweep looks at these.
    """

    spike_times: dict[int, np.ndarray] = field(default_factory=dict)
    averages: dict[int, np.ndarray] = field(default_factory=dict)
    samples: dict[int, np.ndarray] = field(default_factory=dict)
    peaks: dict[int, np.ndarray] = field(default_factory=dict)
    counts: dict[int, np.ndarray] = field(default_factory=dict)
    coordinates: dict[int, dict[str, list]] = field(default_factory=dict)
    weights: dict[int, np.ndarray] = field(default_factory=dict)
    models: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """Which slopes the reverse sweep has to deliver: pathway indices and node indices."""

    weights: frozenset[int] = frozenset()
    delays: frozenset[int] = frozenset()
    spike_times: frozenset[int] = frozenset()
    initial: frozenset[int] = frozenset()
    models: frozenset[int] = frozenset()


@dataclass
class ModelSlopes:
    """Derivatives of the loss with respect to the parameters of a neuron node, one per neuron.

    ``tau_s`` has one row per current; parameters that a model does not have keep a slope of zero.
    """

    tau_m: np.ndarray
    tau_s: np.ndarray
    threshold: np.ndarray
    reset: np.ndarray
    drive: np.ndarray
    refractory: np.ndarray

    @classmethod
    def zeros(cls, size: int, currents: int) -> ModelSlopes:
        rows = [np.zeros(size) for _ in range(5)]
        return cls(rows[0], np.zeros((currents, size)), *rows[1:])


@dataclass
class Slopes:
    """Derivatives of the loss, in normal form.

    ``weights`` and ``delays``: one value per synapse in the order of the pathway. ``spike_times``: for a source
    node, one value per spike of ``Record.spike_times``. ``initial``: for a neuron node the pair (slope with
    respect to v, slopes with respect to the currents, one row each). ``models``: for a neuron node its `ModelSlopes`;
    for a `HybridNode` one array per parameter, by name. ``synapses``: for a pathway whose synapses have a state, in
    place of ``weights``, one array per parameter and initial state, by name.
    """

    weights: dict[int, np.ndarray] = field(default_factory=dict)
    delays: dict[int, np.ndarray] = field(default_factory=dict)
    spike_times: dict[int, np.ndarray] = field(default_factory=dict)
    initial: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    models: dict[int, ModelSlopes | dict[str, np.ndarray]] = field(default_factory=dict)
    synapses: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)


def no_model_slopes(node: NeuronNode | HybridNode) -> ModelSlopes | dict[str, np.ndarray]:
    """Slopes of zero by the parameters of a node, to which a reverse sweep adds."""
    if isinstance(node, HybridNode):
        return {name: np.zeros(node.size) for name in node.system.parameters}
    return ModelSlopes.zeros(node.size, len(node.currents))


def check_request(plan: NetworkPlan, request: Request) -> None:
    """Refuse averages and samples that do not exist.

    Raises
    ------
    ValueError
        For the voltage of a QIF neuron, whose integral over a spike diverges; of a neuron that is refractory; for a
        source; of neurons without a closed form; for a negative or infinite rate; for the largest voltage of neurons
        that spike or jump.
    """
    for k, rate in request.averages.items():
        node = plan.nodes[k]
        if isinstance(node, SourceNode):
            raise ValueError(f"'{node.name}' gives spikes and has no voltage to average.")
        if isinstance(node, HybridNode):
            raise ValueError(f"'{node.name}' has no closed form, and its averaged voltage is not known here.")
        if node.kind == "qif":
            raise ValueError(
                f"The voltage of the QIF neurons '{node.name}' has no average: its integral over a spike diverges. "
                "Average leaky or LIF neurons."
            )
        if np.any(node.refractory > 0):
            raise ValueError(f"The voltage of '{node.name}' is held at times, and its average is not known here.")
        if not 0 <= rate < np.inf:
            raise ValueError(f"The rate of the weighted average of '{node.name}' must be 0 or more; it is {rate} /s.")
    for k in request.peaks:
        node = plan.nodes[k]
        if isinstance(node, SourceNode) or isinstance(node, HybridNode) or node.spikes:
            raise ValueError(
                f"The largest voltage is known of leaky neurons without a threshold; '{node.name}' is none of them."
            )
        if any(pathway.target == k and pathway.port == VOLTAGE for pathway in plan.pathways):
            raise ValueError(
                f"The voltage of '{node.name}' jumps at arrivals, and its largest value is not known here; let the "
                "synapses add to a current."
            )
    for k, times in request.samples.items():
        if isinstance(plan.nodes[k], SourceNode):
            raise ValueError(f"'{plan.nodes[k].name}' gives spikes and has no state to read.")
        if not np.all((times >= plan.start) & (times <= plan.start + request.duration)) or np.any(np.diff(times) < 0):
            raise ValueError(f"The times at which '{plan.nodes[k].name}' is read lie in the trial and ascend.")


class PreparedNetwork(Protocol):
    """A plan, packed for a backend."""

    def forward(self, request: Request, stimuli: dict[int, tuple[np.ndarray, np.ndarray]] | None = None) -> Record:
        """Simulate one trial; ``stimuli`` replaces the (times, units) of source nodes for this trial."""

    def reverse(self, record: Record, seeds: Seeds, wanted: Wanted) -> Slopes:
        """Carry the seeds back through the recorded trial."""


class Backend(Protocol):
    """Runs the event-driven sweeps. ``refusal`` says why a plan cannot be run here, or None.

    ``dtype``, "float64" or "float32", is the precision of states, weights and adjoints; all that comes in and goes out
    is double.
    ``part_size`` is the number of neurons that are best swept together where they do not hear each other, or None where
    cutting gains nothing (:mod:`brian_qif.solvers.partition`).
    """

    name: str
    part_size: int | None

    def refusal(self, plan: NetworkPlan, dtype: str = "float64") -> str | None: ...

    def prepare(self, plan: NetworkPlan, dtype: str = "float64") -> PreparedNetwork: ...


class GrazingSpikeError(ArithmeticError):
    """A voltage touched its threshold with (nearly) zero slope: the spike time has no bounded derivative.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian2 import Network, SpikeGeneratorGroup, Synapses
    >>> from brian_qif import GrazingSpikeError, SpikeGradient, SpikeTimeLoss
    >>> from brian_qif.models import LIFGroup
    >>> stimulus, neuron = SpikeGeneratorGroup(1, [0], [2]*ms), LIFGroup(1, tau_m=20*ms, tau_s=10*ms, name="neuron")
    >>> synapse = Synapses(stimulus, neuron, "w : 1", on_pre="I_post += w")
    >>> synapse.connect()
    >>> synapse.w = 4  # with less the neuron does not spike
    >>> try:
    ...     SpikeGradient(Network(stimulus, neuron, synapse), SpikeTimeLoss(neuron, 9*ms), [synapse.w])(40*ms)
    ... except GrazingSpikeError as error:
    ...     print(error)
    Neuron 0 of 'neuron' only grazes its threshold at 0.0158629436111989... s; its spike time has no bounded derivative.
    """


class UnboundedActivityError(RuntimeError):
    """A trial has more events than can be kept."""


def unbounded_activity(time: float) -> UnboundedActivityError:
    """The error of a trial whose events cannot be counted, at a time in seconds."""
    return UnboundedActivityError(
        f"The trial has too many events to be kept at {time} s: the network's activity has no bound, or a current is "
        "so strong that every step is tiny."
    )


_backends: dict[str, Backend] = {}


def register_backend(backend: Backend) -> None:
    """Make a backend known under its name."""
    _backends[backend.name] = backend


def find_backend(name: str) -> Backend:
    """The backend of that name.

    Raises
    ------
    ValueError
        If there is none; the message lists those that there are.
    """
    try:
        return _backends[name]
    except KeyError:
        known = ", ".join(repr(known) for known in sorted(_backends))
        raise ValueError(f"There is no backend '{name}' for the event-driven solver; there are {known}.") from None
