"""Random small networks: both backends and 50 digits agree, up to what rounding of the inputs may change."""

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, reject, settings
from hypothesis import strategies as st

from brian_qif.plan.network_plan import NetworkPlan, NeuronNode, Pathway, SourceNode
from brian_qif.solvers.sweeps import GrazingSpikeError, Request, Seeds, find_backend
from tests.accuracy import EPS, SHAKE, all_slopes, shaken
from tests.multiprecision import MultiprecisionNetwork

DURATION = 0.05
# As in test_accuracy, with a factor of ten for kappa, here the largest of a few changes of random sign instead of the
# sum of absolute values over all numbers, and a factor of two for the errors of two solvers.
TIMES, SLOPES = 80, 400
DELAYS = st.sampled_from([0.0, 0.0, 1e-3, 1e-3, 2.3e-3])
RATIOS = [1.0, 1 + 1e-9, 0.5, 0.25, 3.0]


@st.composite
def groups(draw, name):
    """LIF or QIF neurons that start anywhere below their threshold."""
    kind, size = draw(st.sampled_from(["lif", "qif"])), draw(st.integers(1, 3))
    tau_m = draw(st.sampled_from([4e-3, 10e-3, 20e-3]))
    ratio = draw(st.sampled_from(RATIOS if kind == "lif" else [0.5, 0.5, 0.5, 0.2]))
    limits = {"threshold": 1.0, "reset": draw(st.sampled_from([0.0, -0.7]))} if kind == "lif" else {}
    v = draw(st.lists(st.floats(-1, 0.9 if kind == "lif" else 3), min_size=size, max_size=size))
    currents = draw(st.lists(st.floats(-0.5, 1), min_size=size, max_size=size))
    return NeuronNode(name, size, kind, tau_m, ratio * tau_m, v, [currents], **limits)


@st.composite
def links(draw, source, target, nodes, strength):
    """At least one synapse, with weights of both signs and zero, and delays of which some are equal."""
    sizes = nodes[source].size, nodes[target].size
    pairs = draw(st.lists(st.tuples(*(st.integers(0, n - 1) for n in sizes)), min_size=1, max_size=sizes[0] * sizes[1]))
    pre, post = np.array(pairs).T
    strength = strength * max(1.0, float(nodes[target].tau_m[0] / nodes[target].tau_s[0, 0]))
    weights = draw(
        st.lists(st.just(0.0) | st.floats(-0.5, 1) | st.floats(0.3, 1), min_size=len(pairs), max_size=len(pairs))
    )
    delays = draw(st.lists(DELAYS | st.floats(0, 4e-3), min_size=len(pairs), max_size=len(pairs)))
    name = f"{source} to {target}"
    return Pathway(name, source, target, sizes[0], pre, post, strength * np.array(weights), np.array(delays))


@st.composite
def networks(draw):
    """Inputs, one or two groups, and any connections between them and to themselves."""
    inputs = draw(st.integers(1, 3))
    ticks = draw(st.lists(st.tuples(st.integers(0, 20), st.integers(0, inputs - 1)), min_size=3, max_size=9))
    shift = draw(st.sampled_from([0.0, 0.37e-3]))
    times, units = np.array(sorted(ticks)).T
    nodes = [SourceNode("inputs", inputs, 1.5e-3 * times + shift, units)]
    nodes += [draw(groups(f"group {k}")) for k in range(draw(st.integers(1, 2)))]
    spiking = range(1, len(nodes))
    pathways = [draw(links(0, k, nodes, 5.0)) for k in spiking]
    pathways += [draw(links(a, b, nodes, 0.4)) for a in spiking for b in spiking if draw(st.booleans())]
    return NetworkPlan(tuple(nodes), tuple(pathways))


class Trial:
    """Spike times by (node, neuron, number), and the slopes of a weighted sum of them, by kind."""

    def __init__(self, plan, backend):
        prepared = find_backend(backend).prepare(plan)
        record = prepared.forward(Request(DURATION))
        self.times, seeds = {}, {}
        for k, (times, units) in enumerate(zip(record.spike_times, record.spike_units, strict=True)):
            if isinstance(plan.nodes[k], NeuronNode):
                numbers = np.array([np.sum(units[:position] == unit) for position, unit in enumerate(units)])
                names = zip([k] * len(units), units.tolist(), numbers.tolist(), strict=True)
                self.times |= dict(zip(names, times, strict=True))
                seeds[k] = 1 + 0.3 * np.cos(k + 2 * units + 5 * numbers)
        slopes = prepared.reverse(record, Seeds(seeds), all_slopes(plan, models=False))
        self.slopes = {("weights", k): x for k, x in slopes.weights.items()}
        self.slopes |= {("delays", k): x for k, x in slopes.delays.items()}
        self.slopes |= {("spike_times", k): x for k, x in slopes.spike_times.items()}
        self.slopes |= {("v", k): v for k, (v, _) in slopes.initial.items()}
        self.slopes |= {("I", k): currents for k, (_, currents) in slopes.initial.items()}

    @property
    def is_finite(self):
        values = [*self.slopes.values(), np.array(list(self.times.values()))]
        return all(np.all(np.isfinite(x)) for x in values)


def change(slopes, others):
    """The largest change of slopes, relative to the largest of the same unit.

    A slope that is small because the trajectory has forgotten what it belongs to carries the absolute error of those
    that it has not forgotten.
    """
    found = 0.0
    for kinds in (("weights", "v", "I"), ("delays", "spike_times")):
        keys = [key for key in slopes if key[0] in kinds]
        largest = max(np.max(np.abs(slopes[key]), initial=0.0) for key in keys)
        for key in keys if largest > 0 else ():
            found = max(found, np.max(np.abs(others[key] - slopes[key]), initial=0.0) / largest)
    return found


def sensitivities(plan, trial):
    """Kappa of every spike time, and of all slopes."""
    generator, times, slopes = np.random.default_rng(0), dict.fromkeys(trial.times, 1.0), 1.0
    for _ in range(3):
        other = Trial(shaken(plan, generator), "reference")
        if other.times.keys() != trial.times.keys():
            event("a spike hangs by a thread")
            reject()
        for name, time in trial.times.items():
            times[name] = max(times[name], abs(other.times[name] - time) / (SHAKE * abs(time)))
        slopes = max(slopes, change(trial.slopes, other.slopes) / SHAKE)
    return times, slopes


def assert_times(found, expected, kappa):
    assert found.keys() == expected.keys()
    for name, time in expected.items():
        assert abs(found[name] - time) <= TIMES * EPS * kappa[name] * abs(time), name


def check(plan):
    try:
        reference = Trial(plan, "reference")
    except GrazingSpikeError:
        event("grazing")
        reject()
    assert reference.is_finite
    refused = find_backend("cpp").refusal(plan) is not None
    generated = None if refused else Trial(plan, "cpp")
    assert refused or generated.is_finite
    if not reference.times:
        event("silent")
        for trial in (reference,) if refused else (reference, generated):
            assert not trial.times
            assert all(np.all(x == 0) for x in trial.slopes.values())
        return
    kappa, slope_kappa = sensitivities(plan, reference)
    event(f"{'reference alone' if refused else 'both'}, slope kappa below 1e{int(np.ceil(np.log10(slope_kappa)))}")
    assert_times(reference.times, MultiprecisionNetwork(plan, DURATION).spikes(), kappa)
    if not refused:
        assert_times(generated.times, reference.times, kappa)
        assert change(reference.slopes, generated.slopes) <= SLOPES * EPS * slope_kappa


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(plan=networks())
def test_backends_agree_on_random_networks(plan):
    check(plan)


@pytest.mark.long
@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plan=networks())
def test_backends_agree_on_thousands_of_random_networks(plan):
    check(plan)
