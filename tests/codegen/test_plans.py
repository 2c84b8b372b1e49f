"""Generated code on random plans: against the reference, central differences, and 40-digit arithmetic."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import mpmath
import numpy as np
import pytest

from brian_qif.plan.network_plan import NetworkPlan, NeuronNode, Pathway, SourceNode
from brian_qif.solvers.sweeps import Request, Seeds, Wanted, find_backend
from tests.codegen.plans import DURATION, everything, loss_and_seeds, mixed_network

# The average of the LIF group includes its resets, where the integrand jumps.
REQUEST = Request(DURATION, {1: 2.0, 3: 5.0})
WIRINGS = [("none", False), ("none", True), ("one", False), ("one", True), ("each", False)]


def gradient(backend: str, plan: NetworkPlan):
    prepared = find_backend(backend).prepare(plan)
    record = prepared.forward(REQUEST)
    value, seeds = loss_and_seeds(record)
    return value, prepared.reverse(record, seeds, everything(plan)), record


def assert_same(found, expected, kappa=1.0):
    """Up to 1e-12 of the largest entry; in sensitive networks up to the rounding of some hundred events times kappa."""
    expected = np.asarray(expected)
    tolerance = max(1e-12, 1e-13 * kappa)
    scale = np.max(np.abs(expected), initial=0.0)
    np.testing.assert_allclose(np.asarray(found), expected, rtol=tolerance, atol=tolerance * scale)


def all_slopes(slopes):
    """Arrays of slopes, in one order."""
    for kind in ("weights", "delays", "spike_times"):
        found = getattr(slopes, kind)
        yield from (found[k] for k in sorted(found))
    for k in sorted(slopes.initial):
        yield from slopes.initial[k]


def sensitivity(plan: NetworkPlan, slopes, step=1e-9):
    """For each array of slopes: its relative change, per relative change of all weights."""
    generator = np.random.default_rng(0)
    direction = [pathway.weights * generator.standard_normal(len(pathway.weights)) for pathway in plan.pathways]
    _, moved, _ = gradient("reference", perturbed(plan, "weights", direction, step))
    for before, after in zip(all_slopes(slopes), all_slopes(moved), strict=True):
        scale = np.max(np.abs(before), initial=0.0)
        yield np.max(np.abs(after - before), initial=0.0) / (step * scale) if scale > 0 else 1.0


def assert_same_slopes(plan, found, expected):
    kappas = sensitivity(plan, expected)
    for mine, theirs, kappa in zip(all_slopes(found), all_slopes(expected), kappas, strict=True):
        assert_same(mine, theirs, kappa)


@pytest.mark.parametrize(("delays", "coincide"), WIRINGS)
@pytest.mark.parametrize("seed", range(4))
def test_mixed_networks_agree_with_the_reference(seed, delays, coincide):
    plan = mixed_network(seed, delays, coincide)
    (value, slopes, record), (expected_value, expected_slopes, expected) = (
        gradient(backend, plan) for backend in ("cpp", "reference")
    )
    assert len(expected.spike_times[1]) >= 3 and len(expected.spike_times[2]) >= 9
    for k in range(len(plan.nodes)):
        assert np.array_equal(record.spike_units[k], expected.spike_units[k])
        assert_same(record.spike_times[k], expected.spike_times[k])
    for k, values in expected.averages.items():
        assert_same(record.averages[k], values)
    assert_same(value, expected_value)
    assert_same_slopes(plan, slopes, expected_slopes)


def perturbed(plan: NetworkPlan, what: str, direction, step: float) -> NetworkPlan:
    """The plan with one kind of parameter moved along a direction (a list of arrays)."""
    if what in ("weights", "delays"):
        moved = {
            k: pathway.with_values(**{what: getattr(pathway, what) + step * direction[k]})
            for k, pathway in enumerate(plan.pathways)
        }
        return plan.replacing(pathways=moved)
    field = {"spike_times": "times", "v": "v", "current": "currents"}[what]
    nodes = {
        k: replace(node, **{field: getattr(node, field) + step * direction[k]})
        for k, node in enumerate(plan.nodes)
        if hasattr(node, field)
    }
    return plan.replacing(nodes=nodes)


def parts(plan: NetworkPlan, slopes, what: str):
    """Slopes of one kind of parameter, by pathway or node."""
    if what in ("weights", "delays"):
        return getattr(slopes, what)
    if what == "spike_times":
        return slopes.spike_times
    return {k: pair[what == "current"] for k, pair in slopes.initial.items()}


SMOOTH = ("weights", "spike_times", "v", "current")


# Delays of zero cannot be made shorter, so their slopes are tested with delays alone.
@pytest.mark.parametrize(("what", "delays"), [(w, d) for w in SMOOTH for d in ("none", "each")] + [("delays", "each")])
def test_every_slope_is_that_of_central_differences(what, delays):
    plan = mixed_network(2, delays)
    _, slopes, record = gradient("cpp", plan)
    generator = np.random.default_rng(5)
    found = parts(plan, slopes, what)
    scale = {"delays": 1e-3, "spike_times": 1e-3}.get(what, 1.0)
    direction = {k: scale * generator.uniform(-1, 1, np.shape(values)) for k, values in found.items()}
    differences = []
    for step in (2e-5, 1e-5):
        ahead, behind = (gradient("cpp", perturbed(plan, what, direction, sign * step)) for sign in (1, -1))
        for other in (ahead, behind):
            for units, expected in zip(other[2].spike_units, record.spike_units, strict=True):
                assert sorted(units) == sorted(expected)
        differences.append((ahead[0] - behind[0]) / (2 * step))
    expected = (4 * differences[1] - differences[0]) / 3
    slope = sum(np.sum(direction[k] * values) for k, values in found.items())
    assert abs(slope) > 1e-4
    np.testing.assert_allclose(slope, expected, rtol=1e-6, atol=0)


def test_the_order_of_simultaneous_spikes_changes_nothing():
    plan = mixed_network(1, coincide=True)
    source = plan.nodes[0]
    order = np.lexsort((np.random.default_rng(0).permutation(len(source.times)), source.times))
    assert not np.array_equal(order, np.arange(len(order)))
    shuffled = plan.replacing(nodes={0: replace(source, times=source.times[order], units=source.units[order])})
    (value, slopes, record), (other_value, other_slopes, other) = (gradient("cpp", p) for p in (plan, shuffled))
    assert_same(other_value, value)
    for k in (1, 2):
        assert np.array_equal(record.spike_units[k], other.spike_units[k])
        assert_same(other.spike_times[k], record.spike_times[k])
    for k, values in slopes.weights.items():
        assert_same(other_slopes.weights[k], values)
    assert_same(other_slopes.spike_times[0], slopes.spike_times[0][order])


def test_threads_share_a_prepared_network_and_get_the_same_bits():
    plan = mixed_network(3, "one")
    prepared = find_backend("cpp").prepare(plan)
    stimuli = [{0: (plan.nodes[0].times + shift, plan.nodes[0].units)} for shift in np.linspace(0, 5e-3, 12)]

    def weights(stimulus):
        record = prepared.forward(REQUEST, stimulus)
        slopes = prepared.reverse(record, loss_and_seeds(record)[1], Wanted(weights=frozenset({0, 1})))
        return np.concatenate([slopes.weights[0], slopes.weights[1]])

    alone = [weights(stimulus) for stimulus in stimuli]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(weights, stimuli))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
    assert np.any(alone[0] != 0)


def test_a_record_can_be_carried_back_twice():
    plan = mixed_network(0)
    prepared = find_backend("cpp").prepare(plan)
    record = prepared.forward(REQUEST)
    _, seeds = loss_and_seeds(record)
    first, second = (prepared.reverse(record, seeds, Wanted(weights=frozenset({0}))).weights[0] for _ in range(2))
    assert np.any(first != 0) and np.array_equal(first, second)


def lone_neuron(kind: str, tau_m: float, tau_s: float, v: float, current: float, **limits) -> NetworkPlan:
    return NetworkPlan((NeuronNode("neuron", 1, kind, tau_m, tau_s, np.array([v]), np.array([current]), **limits),), ())


def exact_coefficients(tau_m, tau_s, rate, duration):
    """Integral of v(t) exp(-rate t), per unit of v and of I, in 40 digits."""
    with mpmath.workdps(40):
        tau_m, tau_s, rate, duration = map(mpmath.mpf, (tau_m, tau_s, rate, duration))
        decay = 1 / tau_m + rate

        def response(t):
            x = t * (1 / tau_m - 1 / tau_s)
            return t / tau_m * mpmath.exp(-t / tau_m) * (mpmath.expm1(x) / x if x else 1) * mpmath.exp(-rate * t)

        longest = max(tau_m, tau_s)
        ends = [t for t in (longest / 100, longest / 10, longest, 5 * longest, 20 * longest) if t < duration]
        return -mpmath.expm1(-decay * duration) / decay, mpmath.quad(response, [0, *ends, duration])


@pytest.mark.parametrize("duration", [1e-7, 3e-4, 2e-2, 0.4])
@pytest.mark.parametrize("tau_s", [1e-3, 5e-3, 20e-3, 20.00000001e-3, 19e-3, 35e-3])
@pytest.mark.parametrize("rate", [0.0, 5.0, 300.0])
def test_averages_against_40_digits(duration, tau_s, rate):
    request = Request(duration, {0: rate})
    found = [
        find_backend("cpp").prepare(lone_neuron("leaky", 20e-3, tau_s, *state)).forward(request).averages[0][0]
        for state in ((1.0, 0.0), (0.0, 1.0))
    ]
    expected = exact_coefficients(20e-3, tau_s, rate, duration)
    np.testing.assert_allclose(found, [float(value) for value in expected], rtol=1e-13, atol=0)


@pytest.mark.parametrize("backend", ["cpp", "reference"])
def test_a_long_silence_with_a_slow_current_does_not_overflow(backend):
    # One step of 900 membrane time constants: exp(-900) times expm1(891), of which the second is beyond the doubles.
    tau_m, tau_s = 1e-3, 0.1
    source = SourceNode("stimulus", 1, np.array([0.9]), np.array([0]))
    neuron = lone_neuron("lif", tau_m, tau_s, 0.0, 0.5, threshold=1.0, reset=-0.5).nodes[0]
    index = np.zeros(1, dtype=int)
    plan = NetworkPlan((source, neuron), (Pathway("synapse", 0, 1, 1, index, index, np.array([1.2]), np.zeros(1)),))
    record = find_backend(backend).prepare(plan).forward(Request(0.95))
    with mpmath.workdps(40):
        resistance = 1 / (1 - mpmath.mpf(tau_m) / mpmath.mpf(tau_s))

        def voltage(t):
            before = resistance * 0.5 * mpmath.exp(-mpmath.mpf("9.0") - t / tau_s)
            rise = resistance * mpmath.mpf(1.2) * (mpmath.exp(-t / tau_s) - mpmath.exp(-t / tau_m))
            return before + rise - 1

        delay = mpmath.findroot(voltage, (0, 5e-3), solver="anderson", tol=1e-30)
    assert len(record.spike_times[1]) >= 2
    np.testing.assert_allclose(record.spike_times[1][0], 0.9 + float(delay), rtol=1e-12, atol=0)


def test_a_pathway_without_synapses_changes_nothing():
    plan = mixed_network(4)
    nothing = Pathway("nothing", 0, 2, 6, *(np.zeros(0, dtype=int),) * 2, *(np.zeros(0),) * 2)
    (value, slopes, _), (other_value, other_slopes, _) = (
        gradient("cpp", p) for p in (plan, NetworkPlan(plan.nodes, (*plan.pathways, nothing)))
    )
    assert other_value == value
    assert np.array_equal(other_slopes.weights[0], slopes.weights[0])
    assert len(other_slopes.weights[len(plan.pathways)]) == 0


def test_a_silent_network_has_slopes_of_zero():
    plan = mixed_network(0)
    quiet = plan.replacing(
        nodes={k: replace(plan.nodes[k], v=0 * plan.nodes[k].v, currents=0 * plan.nodes[k].v) for k in (1, 2, 3)},
        pathways={k: pathway.with_values(weights=1e-3 * pathway.weights) for k, pathway in enumerate(plan.pathways)},
    )
    prepared = find_backend("cpp").prepare(quiet)
    record = prepared.forward(Request(DURATION))
    assert [len(record.spike_times[k]) for k in (1, 2)] == [0, 0]
    slopes = prepared.reverse(record, Seeds(spike_times={1: np.zeros(0)}), everything(quiet))
    assert all(np.array_equal(values, np.zeros_like(values)) for values in slopes.weights.values())
