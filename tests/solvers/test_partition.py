"""A trial in parts gives what one sweep over all neurons gives, and the same bits for any number of threads."""

from dataclasses import fields, replace
from itertools import product

import numpy as np
import pytest
from brian2 import Network, SpikeGeneratorGroup, Synapses, ms

from brian_qif import EventSolver, GrazingSpikeError, SpikeGradient, StateLoss, check_gradient
from brian_qif.codegen.backend import CppBackend
from brian_qif.models import LeakyIntegratorGroup, LIFGroup, QIFGroup
from brian_qif.plan.network_plan import NetworkPlan, NeuronNode, SourceNode
from brian_qif.solvers import partition
from brian_qif.solvers.partition import PartitionedNetwork, prepare_in_parts
from brian_qif.solvers.sweeps import Request, Seeds, Wanted, find_backend
from tests import accuracy, smooth_neurons
from tests.accuracy import SHAKE, shaken
from tests.codegen.plans import DURATION, neurons, pathway
from tests.networks import smooth_loss


@pytest.fixture(autouse=True)
def threads_at_any_size(monkeypatch):
    monkeypatch.setattr(partition, "FEWEST_STEPS", 0)


def mixed_plan(delays: str, coincide: bool = False, seed: int = 0) -> NetworkPlan:
    """Two inputs, two groups in parallel, a loop of two groups, and a readout of all of them."""
    generator = np.random.default_rng(seed)
    nodes = []
    for name, size, count in (("stimulus", 6, 60), ("noise", 3, 20)):
        times = np.sort(generator.uniform(0, 0.08, count))
        times = np.round(times, 3) if coincide else times
        nodes.append(SourceNode(name, size, times, generator.integers(0, size, count)))
    linear, quadratic = neurons("linear", "lif", 13, generator), neurons("quadratic", "qif", 10, generator)
    # Neurons that differ, in two of three parameters; two of them start at rest and hear nothing.
    v, current = linear.v.copy(), linear.currents.copy()
    v[3:5], current[:, 3:5] = 0, 0
    tau_m, threshold = 20e-3 * generator.uniform(0.8, 1.2, 13), generator.uniform(0.9, 1.1, 13)
    nodes.append(replace(linear, tau_m=tau_m, threshold=threshold, v=np.minimum(v, 0.8), currents=current))
    nodes += [quadratic, neurons("loop a", "lif", 5, generator), neurons("loop b", "qif", 6, generator)]
    nodes.append(neurons("readout", "leaky", 9, generator, tau_s=20e-3))
    links = [(0, 2, 0.9), (0, 2, 0.3), (1, 3, 1.4), (0, 3, 0.6), (2, 4, 0.5), (3, 4, 0.5), (4, 5, 0.6), (5, 4, 0.3)]
    links += [(0, 5, 0.7), (2, 6, 1.0), (3, 6, 1.0), (4, 6, 1.0), (5, 6, 1.0)]
    pathways = []
    for n, (a, b, strength) in enumerate(links):
        sizes = nodes[a].size, nodes[b].size
        pathways.append(pathway(f"link {n}", a, b, sizes, strength, generator, 0.8, delays))
        if b == 2:
            heard = (pathways[-1].post < 3) | (pathways[-1].post > 4)
            kept = {name: getattr(pathways[-1], name)[heard] for name in ("pre", "post", "weights", "delays")}
            pathways[-1] = replace(pathways[-1], **kept)
    # One group that reaches some neurons of another only.
    first = pathways[10].post < 3
    kept = {name: getattr(pathways[10], name)[first] for name in ("pre", "post", "weights", "delays")}
    pathways[10] = replace(pathways[10], **kept)
    return NetworkPlan(tuple(nodes), tuple(pathways), start=0.0)


def wanted(plan: NetworkPlan) -> Wanted:
    """All slopes that a plan has."""
    links, nodes = frozenset(range(len(plan.pathways))), range(len(plan.nodes))
    sources = frozenset(k for k in nodes if isinstance(plan.nodes[k], SourceNode))
    groups = frozenset(nodes) - sources
    return Wanted(links, links, sources, groups, groups)


def seeds_of(record) -> Seeds:
    """Of a loss that looks at everything; each neuron's own spikes have the same seeds in any order of the list."""
    seeds = Seeds()
    for k, (times, units) in enumerate(zip(record.spike_times, record.spike_units, strict=True)):
        seeds.spike_times[k] = 30 * (1 + 0.3 * np.cos(units + k)) * np.cos(30 * times)
    for k, averages in record.averages.items():
        seeds.averages[k] = 20 * np.cos(20 * averages)
    for k, samples in record.samples.items():
        finite = np.isfinite(samples)
        seeds.samples[k] = np.where(finite, np.cos(np.where(finite, samples, 0.0)), 0.0)
    return seeds


def outcome(plan, prepared, request) -> dict:
    """Everything that both sweeps deliver, by name; spikes by neuron."""
    record = prepared.forward(request)
    slopes = prepared.reverse(record, seeds_of(record), wanted(plan))
    found = {}
    for k, (times, units) in enumerate(zip(record.spike_times, record.spike_units, strict=True)):
        assert np.all(np.diff(times) >= 0)
        order = np.lexsort((times, units))
        found["units", k], found["times", k] = units[order], times[order]
        if k in slopes.spike_times:
            found["spike_times", k] = slopes.spike_times[k]
    for kind in ("averages", "samples"):
        found |= {(kind, k): values for k, values in getattr(record, kind).items()}
    for kind in ("weights", "delays"):
        found |= {(kind, k): values for k, values in getattr(slopes, kind).items()}
    for k, rows in slopes.initial.items():
        found |= {("initial", k, row): values for row, values in enumerate(rows)}
    for k, models in slopes.models.items():
        named = models if isinstance(models, dict) else {f.name: getattr(models, f.name) for f in fields(models)}
        found |= {(name, k): values for name, values in named.items()}
    return found


def assert_same(plan, request, backend: str, size: int, least: float = 1e-12):
    """Up to ``least`` of the largest entry, or to the rounding of some hundred events times kappa."""
    prepare = find_backend(backend).prepare
    expected = outcome(plan, prepare(plan), request)
    found = outcome(plan, PartitionedNetwork(plan, prepare, size, 3), request)
    if backend == "cpp":
        alone = outcome(plan, PartitionedNetwork(plan, prepare, size, 1), request)
        assert all(np.array_equal(alone[key], values) for key, values in found.items())
    assert found.keys() == expected.keys()
    sensitive = []
    for key, values in expected.items():
        assert found[key].shape == values.shape
        assert np.array_equal(np.isfinite(found[key]), np.isfinite(values))
        finite = np.isfinite(values)
        scale = np.max(np.abs(values[finite]), initial=0.0)
        gap = np.max(np.abs(found[key][finite] - values[finite]), initial=0.0)
        if gap > least * scale:
            sensitive.append((key, finite, scale, gap))
    if sensitive:
        moved = shaken(plan, np.random.default_rng(0))
        moved = outcome(moved, prepare(moved), request)
    for key, finite, scale, gap in sensitive:
        kappa = np.max(np.abs(moved[key][finite] - expected[key][finite])) / (SHAKE * scale)
        assert gap <= 1e-13 * kappa * scale, (key, gap / scale, kappa)
    return expected


# The reference is slow, so it solves a few of them.
MIXED = [("cpp", *case) for case in product(("none", "one", "each"), (False, True), (False, True))]
MIXED += [("reference", "none", True, False), ("reference", "one", False, True)]


@pytest.mark.parametrize(("backend", "delays", "coincide", "averaged"), MIXED)
def test_a_mixed_network(backend, delays, coincide, averaged):
    plan = mixed_plan(delays, coincide)
    times = np.array([0.01, 0.02, 0.02, 0.0777, DURATION])
    request = Request(DURATION)
    if averaged:
        request = Request(DURATION, {2: 2.0, 6: 5.0}, {k: times for k in (2, 3, 4, 6)})
    found = assert_same(plan, request, backend, 4)
    counts = [np.bincount(found["units", k], minlength=plan.nodes[k].size) for k in range(2, 6)]
    assert all(np.sum(count) >= 5 for count in counts)
    assert np.all(counts[0][3:5] == 0)
    assert not np.any(found["initial", 2, 0][3:5]) or averaged


@pytest.mark.parametrize("wiring", ["feed-forward", "delays"])
@pytest.mark.parametrize("model", accuracy.MODELS)
def test_every_model(model, wiring):
    plan = accuracy.example_plan(model, wiring, size=4)
    times = np.array([0.01, 0.05])
    for name in ("reference", "cpp"):
        slow = name == "reference" and wiring == "feed-forward"
        if not slow and find_backend(name).refusal(plan) is None:
            found = assert_same(plan, Request(accuracy.DURATION, {}, {1: times}), name, 2)
            assert len(found["units", 1]) >= 4


@pytest.mark.parametrize("model", smooth_neurons.MODELS)
def test_neurons_without_a_closed_form(model):
    network, _, _, constants = smooth_neurons.build(model)
    plan = EventSolver(numeric=True).read(network, constants).plan
    plan = NetworkPlan(plan.nodes, tuple(p for p in plan.pathways if p.source != p.target), plan.start)
    # The steps of a numerical integration are chosen for all neurons of a sweep, and each leaves about 1e-12.
    found = assert_same(plan, Request(0.03, {}, {1: np.array([0.01, 0.02])}), "reference", 1, least=1e-11)
    assert len(found["units", 1]) >= 3


def test_stimuli_of_a_trial_replace_those_of_the_plan(backend):
    plan = mixed_plan("none")
    generator = np.random.default_rng(7)
    times, units = np.sort(generator.uniform(-0.01, 0.12, 50)), generator.integers(0, 6, 50)
    whole = find_backend(backend).prepare(plan)
    parts = PartitionedNetwork(plan, find_backend(backend).prepare, 4, 2)
    expected, found = (prepared.forward(Request(DURATION), {0: (times, units)}) for prepared in (whole, parts))
    for k in range(len(plan.nodes)):
        assert np.array_equal(found.spike_units[k], expected.spike_units[k])
        np.testing.assert_allclose(found.spike_times[k], expected.spike_times[k], rtol=1e-12)
    assert len(found.spike_times[0]) < 50
    for wrong, message in ((6, "go from 0 to 5; one of them is 6"), (-1, "one of them is -1")):
        with pytest.raises(ValueError, match=message):
            parts.forward(Request(DURATION), {0: (times, np.where(units == 0, wrong, units))})
    with pytest.raises(ValueError, match="ascending order"):
        parts.forward(Request(DURATION), {0: (times[::-1], units)})


def test_spikes_of_one_time_are_listed_by_neuron():
    node = NeuronNode("twins", 6, "qif", 20e-3, 10e-3, np.full(6, 2.0), np.zeros((1, 6)))
    plan = NetworkPlan((node,), ())
    for prepared in (find_backend("cpp").prepare(plan), PartitionedNetwork(plan, find_backend("cpp").prepare, 2, 2)):
        record = prepared.forward(Request(DURATION))
        assert len(set(record.spike_times[0])) == 1
        assert record.spike_units[0].tolist() == [0, 1, 2, 3, 4, 5]


def test_seeds_and_requests_that_do_not_fit_are_refused():
    plan = mixed_plan("none")
    prepared = PartitionedNetwork(plan, find_backend("cpp").prepare, 4, 2)
    record = prepared.forward(Request(DURATION))
    with pytest.raises(ValueError, match="The seeds of 'linear' need one value per spike"):
        prepared.reverse(record, Seeds({2: np.ones(1000)}), Wanted())
    with pytest.raises(ValueError, match="'stimulus' gives spikes and has no initial state"):
        prepared.reverse(record, Seeds(), Wanted(initial=frozenset({0})))
    with pytest.raises(ValueError, match="The voltage of the QIF neurons 'quadratic' has no average"):
        prepared.forward(Request(DURATION, {3: 0.0}))


# -- failures ------------------------------------------------------------------------------------------------


def test_a_grazing_spike_has_its_number_in_the_group(backend):
    # The peak of v is I0/4; within a few units in the last place above the threshold it is touched without slope.
    messages = set()
    for distance in range(1, 40):
        currents = np.zeros((1, 8))
        currents[0, 5] = 4 * (1 + distance * np.finfo(float).eps / 4)
        node = NeuronNode("grazing", 8, "lif", 20e-3, 10e-3, np.zeros(8), currents, 1.0, 0.0)
        plan = NetworkPlan((node,), ())
        prepared = PartitionedNetwork(plan, find_backend(backend).prepare, 2, 2)
        record = prepared.forward(Request(DURATION))
        try:
            slopes = prepared.reverse(record, seeds_of(record), wanted(plan))
            assert np.all(np.isfinite(slopes.initial[0][1]))
        except GrazingSpikeError as error:
            messages.add(str(error))
    assert messages
    assert all(message.startswith("Neuron 5 of 'grazing' only grazes its threshold") for message in messages)


def test_numeric_failures_have_the_number_in_the_group():
    from brian2 import NeuronGroup

    group = NeuronGroup(4, "dv/dt = k*v**3/(10*ms) : 1\nk : 1 (constant)", method="euler", name="own")
    group.v, group.k = 0.5, [0, 0, 0, 1]
    plan = EventSolver(numeric=True).read(Network(group), {}).plan
    with pytest.raises(ArithmeticError, match="The equations of 'own' have no smooth solution beyond .* of neuron 3: "):
        PartitionedNetwork(plan, find_backend("reference").prepare, 1, 2).forward(Request(0.04))


def test_a_state_that_is_not_finite_is_reported():
    plan = mixed_plan("none")
    strong = plan.pathways[9].with_values(weights=np.full(len(plan.pathways[9].pre), 1e308))
    prepared = PartitionedNetwork(plan.replacing(pathways={9: strong}), find_backend("cpp").prepare, 3, 2)
    with pytest.raises(FloatingPointError, match="The state of 'readout' is not finite at "):
        prepared.forward(Request(DURATION))


# -- the solver ----------------------------------------------------------------------------------------------


def brian_network():
    """Two layers with delays, to parts of which further synapses go, and a readout."""
    generator = np.random.default_rng(1)
    stimulus = SpikeGeneratorGroup(5, np.arange(40) % 5, np.sort(generator.uniform(0, 80, 40)) * ms)
    first = LIFGroup(8, tau_m=20 * ms, tau_s=5 * ms)
    second, readout = QIFGroup(6, tau_m=20 * ms, tau_s=10 * ms), LeakyIntegratorGroup(4, tau_m=20 * ms, tau_s=5 * ms)
    first.v = generator.uniform(0, 0.5, 8)
    parts = [stimulus, first, second, readout]
    for a, b, strength in (
        (stimulus, first, 1.5),
        (stimulus, first[2:6], 0.5),
        (first, second, 0.9),
        (first[:3], second[4:], 0.5),
        (second, readout, 1.0),
    ):
        synapses = Synapses(a, b, "w : 1", on_pre="I_post += w")
        synapses.connect()
        synapses.w = strength * generator.uniform(0.4, 1.6, len(synapses))
        synapses.delay = generator.uniform(0, 3, len(synapses)) * ms
        parts.append(synapses)
    return Network(*parts), parts


def test_the_gradient_of_a_network_in_parts_passes_the_taylor_test(monkeypatch):
    network, (stimulus, first, second, readout, *synapses) = brian_network()
    parameters = [part.w for part in synapses] + [part.delay for part in synapses]
    parameters += [stimulus.spike_time, first.v, first.tau_m, readout.tau_s]
    losses = [smooth_loss(second), StateLoss(readout, "v", [31, 77] * ms)]
    for loss in losses:
        results = []
        for size, threads in ((400, 1), (2, 1), (2, 3)):
            monkeypatch.setattr(CppBackend, "part_size", size)
            gradient = SpikeGradient(network, loss, parameters, solver=EventSolver("cpp", threads=threads))
            value, slopes = gradient(100 * ms)
            results.append([np.asarray(value), *map(np.asarray, slopes)])
        for whole, one, three in zip(*results, strict=True):
            assert np.array_equal(one, three)
            np.testing.assert_allclose(one, whole, rtol=0, atol=1e-10 * np.max(np.abs(whole)))
        assert len(gradient.trajectory.spikes[second].t) >= 6
        assert check_gradient(gradient, 100 * ms, directions=2).passed


def test_new_weights_and_delays_reach_the_parts():
    plan, prepare = mixed_plan("each"), find_backend("cpp").prepare
    PartitionedNetwork(plan, prepare, 4, 1)
    for name in ("weights", "delays"):
        links = {k: p.with_values(**{name: 1.1 * getattr(p, name)}) for k, p in enumerate(plan.pathways)}
        moved = plan.replacing(pathways=links)
        expected, found = prepare(moved), PartitionedNetwork(moved, prepare, 4, 1)
        expected, found = (prepared.forward(Request(DURATION)).spike_times[3] for prepared in (expected, found))
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_what_is_not_cut_is_prepared_as_it_is(monkeypatch):
    plan, backend = mixed_plan("none"), find_backend("cpp")
    assert not isinstance(prepare_in_parts(plan, backend, 2), PartitionedNetwork)
    assert not isinstance(prepare_in_parts(plan, find_backend("reference"), 2), PartitionedNetwork)
    monkeypatch.setattr(CppBackend, "part_size", 2)
    network = prepare_in_parts(plan, backend, 2)
    names = [[piece.part.plan.nodes[-1].name for piece in level] for level in network.pieces]
    assert names == [["linear"] * 6 + ["quadratic"] * 5, ["loop b"], ["readout"] * 4]
    looped = NetworkPlan(plan.nodes[:1] + plan.nodes[4:6], tuple(p for p in ()))
    loop = plan.pathways[6], plan.pathways[7]
    ends = [(1, 2), (2, 1)]
    looped = replace(looped, pathways=tuple(p.between(*end) for p, end in zip(loop, ends, strict=True)), components=())
    assert not isinstance(prepare_in_parts(looped, backend, 2), PartitionedNetwork)


def test_threads_are_used_for_large_trials_alone(monkeypatch):
    plan, prepare = mixed_plan("none"), find_backend("cpp").prepare
    prepared = PartitionedNetwork(plan, prepare, 4, 2)
    assert all(threaded for threaded, _ in prepared.forward(Request(DURATION)).history)
    monkeypatch.setattr(partition, "FEWEST_STEPS", 10**6)
    assert not any(threaded for threaded, _ in prepared.forward(Request(DURATION)).history)


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2", None])
def test_threads_are_a_whole_number(threads):
    with pytest.raises(ValueError) as caught:
        EventSolver(threads=threads)
    assert str(caught.value) == f"threads is a whole number, 1 or more; it is {threads!r}."


def test_threads_are_shown():
    assert repr(EventSolver("cpp")) == "<EventSolver, backend 'cpp': spike times exact up to rounding>"
    assert (
        repr(EventSolver("cpp", threads=2))
        == "<EventSolver, backend 'cpp', 2 threads: spike times exact up to rounding>"
    )
