"""Slopes in cases in which adjoints go wrong, against 50 digits, or exactly zero."""

import numpy as np
import pytest

from brian_qif.plan.network_plan import VOLTAGE, NetworkPlan, NeuronNode, Pathway, SourceNode
from brian_qif.solvers.sweeps import GrazingSpikeError, Request, Seeds, find_backend
from tests.accuracy import Solved, all_slopes, measure
from tests.solvers.test_accuracy import SLOPES, TIMES

KINDS = {"lif": dict(tau_s=5e-3, threshold=1.0, reset=-0.2), "qif": dict(tau_s=10e-3)}
DURATION = 0.08


def driven(kind, times, weights, loop=None, delay=0.0, v=0.0, current=0.0):
    """Inputs of one spike each, with a row of weights each, onto identical neurons; ``loop`` is an autapse of each."""
    weights = np.asarray(weights, dtype=float)
    inputs, size = weights.shape
    group = NeuronNode("neurons", size, kind, 20e-3, v=np.full(size, v), currents=np.full(size, current), **KINDS[kind])
    pre, post = np.divmod(np.arange(weights.size), size)
    links = [Pathway("input", 0, 1, inputs, pre, post, weights.ravel(), np.zeros(weights.size))]
    if loop is not None:
        own = np.arange(size)
        links.append(Pathway("autapse", 1, 1, size, own, own, np.full(size, loop), np.full(size, delay)))
    source = SourceNode("stimulus", inputs, np.asarray(times) * 1e-3, np.arange(inputs))
    return NetworkPlan((source, group), tuple(links))


def assert_accurate(plan, backend, spikes):
    (found,) = measure(plan, DURATION, (backend,))
    assert found.spikes >= spikes
    assert found.times_in_units <= TIMES, found
    assert found.slopes_in_units <= SLOPES, found


@pytest.mark.parametrize("kind", KINDS)
def test_coinciding_inputs_onto_twins(kind, backend):
    assert_accurate(driven(kind, [1, 1, 3, 3], [[9, 9], [8, 8], [9, 9], [-2, -2]]), backend, spikes=4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loop, delay", [(-2.0, 0.0), (2.0, 0.0), (-2.0, 1.5e-3), (2.0, 1.5e-3), (0.0, 0.0)])
def test_an_autapse(kind, loop, delay, backend):
    assert_accurate(driven(kind, [1, 2, 9], [[12.0], [12.0], [14.0]], loop, delay), backend, spikes=2)


@pytest.mark.parametrize("kind", KINDS)
def test_zero_weights_have_slopes_and_their_delays_have_none(kind, backend):
    plan = driven(kind, [1, 2, 3], [[12.0, 0.0], [0.0, 8.0], [9.0, 12.0]])
    assert_accurate(plan, backend, spikes=2)
    solved = Solved(plan, DURATION, backend)
    absent = plan.pathways[0].weights == 0
    for slopes in solved.slopes.values():
        assert np.all(slopes["delays", 0][absent] == 0)
    of_first = solved.slopes[1, 0, 0]["weights", 0].reshape(3, 2)
    assert of_first[1, 0] < 0  # more of it would bring the spike forward
    assert np.all(of_first[:, 1] == 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_current_that_vanishes_and_returns(kind, backend):
    # Exactly zero by two weights at one time, then negative, then positive.
    weights = [[4.0], [-4.0], [-3.0], [24.0], [22.0]]
    assert_accurate(driven(kind, [1, 1, 5, 9, 12], weights), backend, spikes=2)


def test_a_qif_neuron_beyond_its_unstable_point_without_current(backend):
    assert_accurate(driven("qif", [1, 30], [[0.0], [9.0]], v=1.5), backend, spikes=2)


def test_a_tiny_jump_of_a_qif_voltage_has_the_exact_slope_of_its_time():
    plan = driven("qif", [1, 2, 3], [[12.0], [12.0], [0.0]])
    jump = Pathway("jump", 0, 1, 3, np.array([2]), np.array([0]), np.array([1e-6]), np.array([0.5e-3]), VOLTAGE)
    (found,) = measure(NetworkPlan(plan.nodes, (*plan.pathways, jump)), DURATION, ("reference",))
    assert found.slopes["delays"] < 1e-13


@pytest.mark.parametrize("kind", KINDS)
def test_silent_neurons_have_slopes_of_exactly_zero(kind, backend):
    plan = driven(kind, [1, 2, 3], [[0.1, 30.0], [0.2, 30.0], [-50.0, 1.0]], 1.0)
    prepared = find_backend(backend).prepare(plan)
    record = prepared.forward(Request(DURATION))
    assert set(record.spike_units[1]) == {1}
    slopes = prepared.reverse(record, Seeds({1: np.ones(len(record.spike_times[1]))}), all_slopes(plan, models=False))
    for values in (slopes.weights[0].reshape(3, 2), slopes.delays[0].reshape(3, 2), slopes.weights[1][None]):
        assert np.all(values[:, 0] == 0)
        assert np.all(values[:, 1] != 0)
    by_v, by_current = slopes.initial[1]
    assert by_v[0] == 0 and by_current[0, 0] == 0
    assert np.all(np.isfinite(by_v)) and np.all(np.isfinite(by_current))


@pytest.mark.parametrize("kind", KINDS)
def test_a_silent_network_has_slopes_of_exactly_zero(kind, backend):
    plan = driven(kind, [1, 2], [[0.1], [-0.5]], 1.0)
    prepared = find_backend(backend).prepare(plan)
    record = prepared.forward(Request(DURATION))
    assert len(record.spike_times[1]) == 0
    slopes = prepared.reverse(record, Seeds({1: np.zeros(0)}), all_slopes(plan, models=False))
    everything = [*slopes.weights.values(), *slopes.delays.values(), *slopes.spike_times.values(), *slopes.initial[1]]
    assert all(np.all(values == 0) for values in everything)


@pytest.mark.parametrize("kind", KINDS)
def test_slopes_after_a_thousand_time_constants_of_silence(kind, backend):
    late = Solved(driven(kind, [1, 2, 20000], [[9.0], [9.0], [18.0]]), 20.08, backend)
    fresh = Solved(driven(kind, [0], [[18.0]]), DURATION, backend)
    last = max(late.times, key=late.times.get)
    number = sum(time > 20 for time in late.times.values()) - 1
    slopes, expected = late.slopes[last]["weights", 0], fresh.slopes[1, 0, number]["weights", 0]
    # Of the early spikes nothing is left but rounding of the late slopes, which (p, q), free up to a factor, keeps;
    # the late spike lies on a clock that has seen 20 s.
    assert np.all(np.abs(slopes[:2]) < 1e-12 * np.abs(slopes[2]))
    np.testing.assert_allclose(slopes[2], expected[0], rtol=1e-10)


def test_a_qif_neuron_grazing_a_finite_threshold_is_reported():
    # Held down by a drive that all but balances v (v - 1) at the threshold, 2, to which it rises from just below.
    messages = set()
    for distance in 10.0 ** -np.arange(4, 14, 2):
        node = NeuronNode("neurons", 1, "qif", 20e-3, 5e-3, [2 - 1e-3 * distance], [[0.0]], 2.0, 0.0, -2 + distance)
        plan = NetworkPlan((node,), ())
        prepared = find_backend("reference").prepare(plan)
        record = prepared.forward(Request(0.01))
        try:
            slopes = prepared.reverse(
                record, Seeds({0: np.ones(len(record.spike_times[0]))}), all_slopes(plan, models=True)
            )
            assert np.all(np.isfinite(slopes.initial[0][0]))
        except GrazingSpikeError as error:
            messages.add(str(error))
    assert messages == {"Neuron 0 of 'neurons' only grazes its threshold; its spike time has no bounded derivative."}
