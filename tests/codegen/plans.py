"""Random networks as plans, with everything that generated code may meet: loops, sparse rows, coinciding times."""

import numpy as np

from brian_qif.plan.network_plan import NetworkPlan, NeuronNode, Pathway, SourceNode
from brian_qif.solvers.sweeps import Seeds, Wanted
from tests.accuracy import COARSE_NUMPY

DURATION = 0.1
TOLERANCE = 1e-9 if COARSE_NUMPY else 1e-11


def neurons(name: str, kind: str, size: int, generator, tau_s: float = 5e-3) -> NeuronNode:
    """A group that starts at random below its threshold."""
    limits = {"threshold": 1.0, "reset": -0.2} if kind == "lif" else {}
    tau_s = 10e-3 if kind == "qif" else tau_s
    v = generator.uniform(-0.5, 0.9, size)
    if kind == "qif":
        v = v * np.where(np.arange(size) % 3 == 0, 2.5, 1.0)  # both charts of the initial state
    return NeuronNode(name, size, kind, 20e-3, tau_s, v, generator.uniform(-0.5, 1, size), **limits)


def pathway(name, source, target, sizes, strength, generator, density=1.0, delays="none") -> Pathway:
    """Random weights; ``delays`` is "none", "one" or "each"."""
    pre, post = np.nonzero(generator.uniform(size=sizes) < density)
    shuffled = generator.permutation(len(pre))
    pre, post = pre[shuffled], post[shuffled]
    weights = strength * generator.uniform(0.3, 1.7, len(pre)) * np.where(generator.uniform(size=len(pre)) < 0.2, -1, 1)
    delay = {"none": 0.0, "one": 1.5e-3, "each": generator.uniform(0, 4e-3, len(pre))}[delays]
    return Pathway(name, source, target, sizes[0], pre, post, weights, np.zeros(len(pre)) + delay)


def mixed_network(seed: int, delays: str = "none", coincide: bool = False, density: float = 0.7) -> NetworkPlan:
    """Inputs, a LIF and a QIF group that hear each other and themselves, and a leaky readout of both."""
    generator = np.random.default_rng(seed)
    sizes = {"stimulus": 6, "linear": 5, "quadratic": 9, "readout": 3}
    times = np.sort(generator.uniform(0, 0.08, 40))
    if coincide:
        times = np.round(times, 3)
    nodes = (
        SourceNode("stimulus", 6, times, generator.integers(0, 6, 40)),
        neurons("linear", "lif", 5, generator),
        neurons("quadratic", "qif", 9, generator),
        neurons("readout", "leaky", 3, generator, tau_s=20e-3),
    )
    links = [
        ("in_linear", 0, 1, 0.9),
        ("in_quadratic", 0, 2, 0.9),
        ("forth", 1, 2, 0.4),
        ("back", 2, 1, 0.4),
        ("own", 2, 2, 0.3),
        ("out_linear", 1, 3, 1.0),
        ("out_quadratic", 2, 3, 1.0),
    ]
    size = list(sizes.values())
    pathways = tuple(
        pathway(name, a, b, (size[a], size[b]), strength, generator, density, delays) for name, a, b, strength in links
    )
    return NetworkPlan(nodes, pathways)


def everything(plan: NetworkPlan) -> Wanted:
    """All slopes that a plan has."""
    spiking = [k for k, node in enumerate(plan.nodes) if isinstance(node, NeuronNode)]
    links = frozenset(range(len(plan.pathways)))
    return Wanted(links, links, frozenset(set(range(len(plan.nodes))) - set(spiking)), frozenset(spiking))


def loss_and_seeds(record) -> tuple[float, Seeds]:
    """A loss with curvature in every spike time and every average, and its derivatives."""
    value, seeds = 0.0, Seeds()
    for k, (times, units) in enumerate(zip(record.spike_times, record.spike_units, strict=True)):
        factor = 1 + 0.3 * np.cos(units + k)
        value += np.sum(factor * np.sin(30 * times))
        seeds.spike_times[k] = 30 * factor * np.cos(30 * times)
    for k, averages in record.averages.items():
        value += np.sum(np.sin(20 * averages))
        seeds.averages[k] = 20 * np.cos(20 * averages)
    return float(value), seeds


def assert_same(found, expected):
    """Up to rounding that a trial has made larger."""
    found, expected = np.asarray(found), np.asarray(expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * max(1e-3, np.max(np.abs(expected), initial=0)))


def assert_same_slopes(slopes, expected):
    """All slopes that another way through the same trial gave."""
    for kind in ("weights", "delays", "spike_times"):
        for k, values in getattr(expected, kind).items():
            assert_same(getattr(slopes, kind)[k], values)
    for k, pair in expected.initial.items():
        for found, other in zip(slopes.initial[k], pair, strict=True):
            assert_same(found, other)
    for k, models in expected.models.items():
        for name in ("tau_m", "tau_s", "threshold", "reset"):
            assert_same(getattr(slopes.models[k], name), getattr(models, name))
