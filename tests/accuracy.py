"""How exact the event-driven solver is: its spike times and slopes against 50 digits, and the condition number.

An error is measured in units of eps kappa, what a relative change of all inputs by eps may do to the result; eps is
that of the precision in which the states are computed. For a spike time, kappa = sum_k |x_k dt/dx_k| / |t| over all
numbers x_k of the plan, from the slopes that the solver itself computed. For slopes, whose own derivatives no solver
gives, it is measured: all numbers are changed by a tiny amount of random sign, and the slopes are computed again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from brian_qif.plan.network_plan import VOLTAGE, NetworkPlan, NeuronNode, Pathway, SourceNode
from brian_qif.solvers.quadratic import has_closed_form
from brian_qif.solvers.sweeps import Request, Seeds, Wanted, find_backend
from tests.multiprecision import MODEL_KEYS, MultiprecisionNetwork

EPS = np.finfo(float).eps
# NumPy before 2 rounds exponentials by up to 1.5 units in the last place, and those of many short steps to the same
# side; later ones by 0.65. The reference, which multiplies by them, is so much less exact there.
COARSE_NUMPY = np.lib.NumpyVersion(np.__version__) < "2.0.0"
# Backends and the precision of their states.
PRECISIONS = {"reference": ("reference", "float64"), "cpp": ("cpp", "float64"), "cpp, float32": ("cpp", "float32")}
DOUBLE = ("reference", "cpp")
DURATION = 0.06
# Far above the rounding of the slopes, and so small that what comes of it is linear.
SHAKE = 1e-12

# Neurons in normal form; weights that make each of them fire two to four spikes; the port of its synapses.
MODELS = {
    "lif": (dict(kind="lif", tau_s=5e-3), 3.0, 0),
    "lif, equal time constants": (dict(kind="lif", tau_s=20e-3), 1.4, 0),
    "lif, slow synapses": (dict(kind="lif", tau_m=4e-3, tau_s=15e-3), 0.7, 0),
    "lif, driven": (dict(kind="lif", tau_s=5e-3, threshold=-0.3, reset=-1.5, v=-0.8), 0.8, 0),
    "lif, two currents": (dict(kind="lif", tau_s=[[3e-3], [12e-3]]), 2.0, 1),
    "lif, refractory": (dict(kind="lif", tau_s=5e-3, refractory=3e-3), 4.0, 0),
    "lif, delta synapses": (dict(kind="lif", tau_s=5e-3, threshold=-0.1, reset=-1.2, v=-0.7), 0.15, VOLTAGE),
    "lif, spikes at once": (
        dict(kind="lif", tau_s=5e-3, threshold=0.1, reset=-1.0, v=-0.7, subtracts=True),
        0.9,
        VOLTAGE,
    ),
    "qif": (dict(kind="qif", tau_s=10e-3), 5.0, 0),
    "qif, another ratio": (dict(kind="qif", tau_s=4e-3), 9.0, 0),
    "qif, driven": (dict(kind="qif", tau_m=10e-3, tau_s=6e-3, drive=1.5), 0.8, 0),
    "qif, two currents": (dict(kind="qif", tau_s=[[4e-3], [12e-3]]), 4.0, 1),
    "qif, finite": (dict(kind="qif", tau_s=5e-3, threshold=8.0, reset=-4.0), 8.0, 0),
    "qif, finite, refractory": (
        dict(kind="qif", tau_s=5e-3, threshold=8.0, reset=-1.5, refractory=2e-3),
        8.0,
        0,
    ),
    "qif, delta synapses": (dict(kind="qif", tau_m=10e-3, tau_s=6e-3, drive=1.0), 0.5, VOLTAGE),
}
WIRINGS = ("feed-forward", "delays", "recurrent")


def neurons(generator, size: int, kind: str, tau_s, tau_m=20e-3, v=0.0, **more) -> NeuronNode:
    """A group that starts near ``v`` with some current."""
    if kind == "lif":
        more = {"threshold": 1.0, "reset": -0.2, **more}
    rows = np.asarray(tau_s, dtype=float).reshape(-1, 1)
    return NeuronNode(
        "neurons",
        size,
        kind,
        tau_m,
        rows,
        v + generator.uniform(0, 0.3, size),
        generator.uniform(0.2, 0.4, (len(rows), size)),
        **more,
    )


def example_plan(model: str, wiring: str, size: int = 3, inputs: int = 6, seed: int = 0) -> NetworkPlan:
    """Inputs that spike once or twice onto a few neurons; "recurrent": they hear each other, partly without delay."""
    keywords, strength, port = MODELS[model]
    generator = np.random.default_rng(seed)
    group = neurons(generator, size, **keywords)
    units = np.arange(inputs + 2) % inputs
    stimulus = SourceNode("stimulus", inputs, np.sort(generator.uniform(1e-3, 40e-3, inputs + 2)), units)
    pre, post = np.divmod(np.arange(inputs * size), size)
    weights = strength * generator.uniform(0.4, 1.2, len(pre))
    delays = np.zeros(len(pre)) if wiring == "feed-forward" else generator.uniform(0, 5e-3, len(pre))
    pathways = [Pathway("input", 0, 1, inputs, pre, post, weights, delays, port)]
    if wiring == "recurrent":
        pre, post = np.divmod(np.arange(size * size), size)
        weights = 0.2 * strength * generator.normal(size=len(pre))
        # A voltage that jumps with another's spike has no delay of zero from which slopes go both ways.
        delays = np.where((post > pre) & (port != VOLTAGE), 0.0, generator.uniform(0.5e-3, 4e-3, len(pre)))
        pathways.append(Pathway("loop", 1, 1, size, pre, post, weights, delays, port))
    return NetworkPlan((stimulus, group), tuple(pathways))


def sensitive_plan(model: str, distance: float) -> NetworkPlan:
    """One neuron at rest and one input that lifts it a relative ``distance`` beyond what makes it spike at all.

    With tau_m = 2 tau_s the LIF neuron's peak is I/4, and the QIF neuron approaches its unstable point, v = 1 with
    I = 0, for a current with tan(sqrt(I)) = sqrt(I), or I = (pi/2)**2 from rest.
    """
    least = {"lif": 4.0, "qif": np.pi**2 / 4}[model]
    limits = {"threshold": 1.0, "reset": -0.2} if model == "lif" else {}
    group = NeuronNode("neurons", 1, model, 20e-3, 10e-3, [0.0], [[0.0]], **limits)
    stimulus = SourceNode("stimulus", 1, np.array([1e-3]), np.array([0]))
    one = np.array([0])
    weight = np.array([least * (1 + distance)])
    return NetworkPlan((stimulus, group), (Pathway("input", 0, 1, 1, one, one, weight, np.array([0.5e-3])),))


def all_slopes(plan: NetworkPlan, models: bool) -> Wanted:
    """Everything that a sweep can deliver."""
    groups = frozenset(k for k, node in enumerate(plan.nodes) if isinstance(node, NeuronNode))
    links = frozenset(range(len(plan.pathways)))
    sources = frozenset(range(len(plan.nodes))) - groups
    return Wanted(links, links, sources, groups, groups if models else frozenset())


class Solved:
    """A trial by one backend: ``times`` and ``slopes`` of every spike, named as in `MultiprecisionNetwork`."""

    def __init__(self, plan: NetworkPlan, duration: float, backend: str, models: bool = False):
        self.plan = plan
        name, self.dtype = PRECISIONS[backend]
        self.has_drive = name == "reference"  # generated code knows no drive
        prepared = find_backend(name).prepare(plan, self.dtype)
        record = prepared.forward(Request(duration))
        self.times, self.slopes = {}, {}
        for k, node in enumerate(plan.nodes):
            if isinstance(node, NeuronNode):
                for position, (time, n) in enumerate(zip(record.spike_times[k], record.spike_units[k], strict=True)):
                    name = (k, int(n), int(np.sum(record.spike_units[k][:position] == n)))
                    self.times[name] = time
                    seed = np.zeros(len(record.spike_times[k]))
                    seed[position] = 1.0
                    found = prepared.reverse(record, Seeds({k: seed}), all_slopes(plan, models))
                    self.slopes[name] = self._by_kind(found)

    def _by_kind(self, slopes) -> dict[tuple, np.ndarray]:
        kinds = {("weights", k): x for k, x in slopes.weights.items()}
        kinds |= {("delays", k): x for k, x in slopes.delays.items()}
        kinds |= {("spike_times", k): x for k, x in slopes.spike_times.items()}
        for k, (of_v, of_currents) in slopes.initial.items():
            kinds["v", k] = of_v
            kinds |= {("I", k, row): x for row, x in enumerate(of_currents)}
        for k, model in slopes.models.items():
            kinds |= {(key, k): getattr(model, key) for key in MODEL_KEYS if self._has(key, k)}
            kinds |= {("tau_s", k, row): x for row, x in enumerate(model.tau_s)}
        return kinds

    def _has(self, key: str, k: int) -> bool:
        """Whether the neurons have this parameter; a drive is one of QIF neurons, and may be zero."""
        values = getattr(self.plan.nodes[k], key)
        used = self.plan.nodes[k].kind == "qif" and self.has_drive if key == "drive" else np.any(values != 0)
        return bool(used and np.all(np.isfinite(values)))


def condition_numbers(solved: Solved, numbers: dict) -> dict[tuple, float]:
    """Kappa of every spike time."""
    values = {key: np.array([float(x) for x in entries]) for key, entries in numbers.items()}
    return {
        name: sum(np.sum(np.abs(values[key] * slope)) for key, slope in slopes.items()) / abs(solved.times[name])
        for name, slopes in solved.slopes.items()
    }


def shaken(plan: NetworkPlan, generator) -> NetworkPlan:
    """The same network with every number changed by the relative amount `SHAKE`, up or down."""

    def moved(values):
        return values * (1 + SHAKE * generator.choice([-1, 1], np.shape(values)))

    nodes = {}
    for k, node in enumerate(plan.nodes):
        if isinstance(node, SourceNode):
            # Coinciding times stay together, so that the order of the spikes does.
            times, group = np.unique(node.times, return_inverse=True)
            nodes[k] = replace(node, times=moved(times)[group])
            continue
        nodes[k] = replace(
            node, **{name: moved(getattr(node, name)) for name in ("v", "currents", "tau_s", *MODEL_KEYS)}
        )
        if node.kind == "qif" and has_closed_form(node):
            nodes[k] = replace(nodes[k], tau_m=2 * nodes[k].tau_s[0])
    links = {k: p.with_values(moved(p.weights), moved(p.delays)) for k, p in enumerate(plan.pathways)}
    return plan.replacing(nodes, links)


def slope_condition_numbers(plan: NetworkPlan, duration: float, solved: Solved, samples: int = 4) -> dict:
    """Kappa of the slopes of every spike time: by how much they change, relative to the largest of their kind.

    The kind that changes most counts for all: the slopes of one spike time come from one adjoint, and some of them as
    differences of its entries.
    """
    generator = np.random.default_rng(0)
    kappa = dict.fromkeys(solved.slopes, 1.0)
    for _ in range(samples):
        other = Solved(shaken(plan, generator), duration, "reference")
        for name, slopes in solved.slopes.items():
            for key, moved in other.slopes[name].items():
                before = slopes[key]
                largest = np.max(np.abs(before), initial=0.0)
                if largest > 0:
                    change = np.max(np.abs(moved - before)) / (SHAKE * largest)
                    kappa[name] = max(kappa[name], float(change))
    return kappa


@dataclass
class Accuracy:
    """Of one backend and plan: the largest relative errors, and the largest in units of eps kappa.

    ``slopes`` maps a kind of parameter to the largest error of a slope, relative to the largest slope of its kind
    that the same spike has. ``kappa`` and ``slope_kappa`` are the largest of all spikes.
    """

    backend: str
    spikes: int
    kappa: float
    slope_kappa: float
    times: float = 0.0
    slopes: dict[str, float] = field(default_factory=dict)
    times_in_units: float = 0.0
    slopes_in_units: float = 0.0


def measure(
    plan: NetworkPlan, duration: float = DURATION, backends=tuple(PRECISIONS), solved_as: NetworkPlan | None = None
) -> list[Accuracy]:
    """The accuracy of every backend that does not refuse the plan; ``solved_as`` is what they solve in its place."""
    solved_plan = plan if solved_as is None else solved_as
    exact = MultiprecisionNetwork(plan, duration)
    spikes = exact.spikes()
    reference = Solved(solved_plan, duration, "reference", models=True)
    kinds = next(iter(reference.slopes.values())).keys()
    slopes = {key: exact.slopes(key, spikes) for key in kinds}
    kappa = condition_numbers(reference, exact.numbers)
    slope_kappa = slope_condition_numbers(plan, duration, reference)
    result = []
    for backend in backends:
        name, dtype = PRECISIONS[backend]
        if find_backend(name).refusal(plan, dtype) is None:
            solved = reference if backend == "reference" else Solved(solved_plan, duration, backend, models=True)
            found = Accuracy(backend, len(spikes), max(kappa.values()), max(slope_kappa.values()))
            _compare_times(found, solved, spikes, kappa)
            _compare_slopes(found, solved, slopes, slope_kappa)
            result.append(found)
    return result


def _compare_times(found: Accuracy, solved: Solved, spikes, kappa) -> None:
    if solved.times.keys() != spikes.keys():
        raise ArithmeticError(f"The backend '{found.backend}' has other spikes than the simulation in 50 digits.")
    for name, time in spikes.items():
        error = float(abs(solved.times[name] - time) / abs(time))
        found.times = max(found.times, error)
        found.times_in_units = max(found.times_in_units, error / (np.finfo(solved.dtype).eps * kappa[name]))


def _compare_slopes(found: Accuracy, solved: Solved, slopes, kappa) -> None:
    for name, by_kind in solved.slopes.items():
        for key, computed in by_kind.items():
            exact = slopes[key][name]
            largest = max(abs(x) for x in exact)
            gap = max(abs(x - y) for x, y in zip(computed, exact, strict=True))
            # Where no slope of a kind exists, it must come out as zero, not as something small.
            error = float(gap / largest) if largest else (np.inf if gap else 0.0)
            found.slopes[key[0]] = max(found.slopes.get(key[0], 0.0), error)
            found.slopes_in_units = max(found.slopes_in_units, error / (np.finfo(solved.dtype).eps * kappa[name]))
