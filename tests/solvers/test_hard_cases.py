"""Cases in which event-driven solvers go wrong: against an independent integrator or a closed form."""

import numpy as np
import pytest
from brian2 import Network, SpikeGeneratorGroup, Synapses, ms, second

from brian_qif import EventSolver, GrazingSpikeError, SpikeFunctionLoss, SpikeGradient, check_gradient
from brian_qif.models import LIFGroup, QIFGroup
from brian_qif.plan.reader import read_network
from tests.oracles import IntegratedNetwork


def driven(group, times, weights, **keywords):
    """One input spike per entry, each with its own weights onto all neurons."""
    stimulus = SpikeGeneratorGroup(len(times), np.arange(len(times)), np.asarray(times) * ms)
    synapses = Synapses(stimulus, group, "w : 1", on_pre="I_post += w", **keywords)
    synapses.connect()
    synapses.w = np.asarray(weights, dtype=float).ravel()
    return Network(stimulus, group, synapses), synapses


def qif(size=1, **keywords):
    return QIFGroup(size, tau_m=20 * ms, tau_s=10 * ms, **keywords)


def lif(size=1, tau_s=5 * ms, **keywords):
    return LIFGroup(size, tau_m=20 * ms, tau_s=tau_s, **keywords)


def assert_as_integrated(network, group, duration, backend, rtol=1e-11):
    reading = read_network(network)
    expected = IntegratedNetwork(reading.plan, float(duration)).run().spikes[reading.node(group)]
    spikes = EventSolver(backend).simulate(network, duration).spikes[group]
    assert list(spikes.i) == [neuron for _, neuron in expected]
    np.testing.assert_allclose(np.asarray(spikes.t), [time for time, _ in expected], rtol=rtol)
    return spikes


def test_many_spikes_of_a_qif_neuron_in_one_interval(backend):
    group = qif()
    network, _ = driven(group, [1], [400])
    spikes = assert_as_integrated(network, group, 60 * ms, backend)
    assert len(spikes.t) >= 5


def test_a_qif_neuron_under_strong_inhibition(backend):
    group = qif(2)
    network, _ = driven(group, [1, 3, 5], [[12, 12], [-300, -40], [280, 60]])
    spikes = assert_as_integrated(network, group, 60 * ms, backend)
    assert set(spikes.i) == {0, 1}


def test_current_through_zero(backend):
    group = qif()
    group.v = 1.5
    network, _ = driven(group, [1, 4], [[2.0], [-3.0]])
    assert len(assert_as_integrated(network, group, 60 * ms, backend).t) == 1


def test_a_qif_neuron_without_current_follows_its_closed_form(backend):
    # dv/dt = v (v - 1)/tau reaches infinity at tau log(v0/(v0 - 1)).
    group = qif(3)
    group.v = [1.5, 2.0, 40.0]
    spikes = EventSolver(backend).simulate(Network(group), 100 * ms).spikes[group]
    expected = 0.02 * np.log(np.array([40.0, 2.0, 1.5]) / np.array([39.0, 1.0, 0.5]))
    assert list(spikes.i) == [2, 1, 0]
    np.testing.assert_allclose(np.asarray(spikes.t), expected, rtol=1e-14)


def test_a_start_at_infinity(backend):
    group = qif(2)
    group.v = [-np.inf, np.inf]
    group.I = 30
    trajectory = EventSolver(backend).simulate(Network(group), 50 * ms)
    spikes = trajectory.spikes[group]
    assert list(spikes.i[:2]) == [0, 1]
    assert spikes.t[0] == spikes.t[1]  # the same point of the circle


def test_lif_closed_form_for_twice_the_synaptic_time_constant(backend):
    # I0 (x - x^2) = v_th with x = exp(-t/tau_m), for tau_m = 2 tau_s.
    group = lif(tau_s=10 * ms)
    group.I = 6
    spikes = EventSolver(backend).simulate(Network(group), 100 * ms).spikes[group]
    x = (1 + np.sqrt(1 - 4 / 6)) / 2
    assert float(spikes.t[0]) == pytest.approx(-0.02 * np.log(x), rel=1e-14)


def test_a_peak_between_two_events_is_seen(backend):
    # The peak of v for tau_m = 2 tau_s is I0/4: just above and just below the threshold, far from any event.
    group = lif(2, tau_s=10 * ms)
    group.I = [4 * (1 + 1e-9), 4 * (1 - 1e-9)]
    spikes = EventSolver(backend).simulate(Network(group), 500 * ms).spikes[group]
    assert list(spikes.i) == [0]
    assert float(spikes.t[0]) == pytest.approx(0.02 * np.log(2), rel=1e-4)


def test_twins_spike_at_the_same_time(backend):
    for group in (qif(3), lif(3)):
        network, synapses = driven(group, [1, 2], np.full((2, 3), 9.0))
        loop = Synapses(group, group, "w : 1", on_pre="I_post += w")
        loop.connect(condition="i != j")
        loop.w = 0.3
        network.add(loop)
        spikes = EventSolver(backend).simulate(network, 60 * ms).spikes[group]
        counts = np.bincount(spikes.i, minlength=3)
        assert counts[0] >= 1
        assert np.all(counts == counts[0])
        assert np.all(np.ptp(np.asarray(spikes.t).reshape(-1, 3), axis=1) == 0)


def test_an_autapse_without_delay(backend):
    for group in (qif(), lif()):
        network, _ = driven(group, [1, 2], [9.0, 9.0])
        loop = Synapses(group, group, "w : 1", on_pre="I_post += w")
        loop.connect()
        loop.w = -2.0
        network.add(loop)
        assert len(assert_as_integrated(network, group, 60 * ms, backend).t) >= 1


def test_the_sweep_does_not_depend_on_events_that_do_nothing(backend):
    group = qif(2)
    network, _ = driven(group, [1, 3], [[9, 11], [8, 7]])
    plain = EventSolver(backend).simulate(network, 200 * ms).spikes[group]
    other = qif(2)
    times = np.concatenate([[1, 3], np.linspace(5, 195, 500)])
    weights = np.concatenate([[[9, 11], [8, 7]], np.zeros((500, 2))])
    busy = EventSolver(backend).simulate(driven(other, times, weights)[0], 200 * ms).spikes[other]
    assert np.array_equal(plain.i, busy.i)
    np.testing.assert_allclose(np.asarray(busy.t), np.asarray(plain.t), rtol=1e-13)


def lif_with_slow_current(size=1):
    return lif(size, tau_s=35 * ms)


@pytest.mark.parametrize("make", [qif, lif, lif_with_slow_current])
def test_a_thousand_time_constants_of_silence(make, backend):
    group = make()
    network, synapses = driven(group, [1, 2, 60000], [9.0, 9.0, 18.0])
    spikes = EventSolver(backend).simulate(network, 60.1 * second).spikes[group]
    late = np.asarray(spikes.t)[np.asarray(spikes.t) > 60]
    early = make()
    first = EventSolver(backend).simulate(driven(early, [1, 2], [9.0, 9.0])[0], 200 * ms).spikes[early]
    assert len(first.t) >= 1
    # The last of them come in the step that lasts until the silence ends, where every exponential has become zero.
    np.testing.assert_allclose(np.asarray(spikes.t)[: -len(late)], np.asarray(first.t), rtol=1e-12)
    fresh = make()
    from_rest = EventSolver(backend).simulate(driven(fresh, [0], [18.0])[0], 100 * ms).spikes[fresh]
    assert len(late) >= 1
    np.testing.assert_allclose(late - 60.0, np.asarray(from_rest.t), rtol=1e-10)


def test_a_large_current_still_passes_the_taylor_test(backend):
    group = qif()
    network, synapses = driven(group, [1, 5], [120.0, -150.0])
    loss = SpikeFunctionLoss(group, lambda t, i: (np.sum(np.sin(100 * t)), 100 * np.cos(100 * t)))
    gradient = SpikeGradient(network, loss, [synapses.w], solver=EventSolver(backend))
    assert check_gradient(gradient, 60 * ms).passed


def test_a_grazing_spike_is_reported(backend):
    # The peak of v is I0/4; within a few units in the last place above the threshold it is touched without slope.
    group = lif(tau_s=10 * ms, name="grazing")
    loss = SpikeFunctionLoss(group, lambda t, i: (np.sum(t), np.ones(len(t))))
    gradient = SpikeGradient(Network(group), loss, [group.I], solver=EventSolver(backend))
    messages = set()
    for distance in range(1, 40):
        group.I = 4 * (1 + distance * np.finfo(float).eps / 4)
        try:
            assert np.isfinite(np.asarray(gradient(100 * ms)[1][0])).all()
        except GrazingSpikeError as error:
            messages.add(str(error))
    assert messages
    assert all(message.startswith("Neuron 0 of 'grazing' only grazes its threshold") for message in messages)


def test_states_are_read_at_any_time(backend):
    group = lif(tau_s=10 * ms)
    network, _ = driven(group, [5], [2.0])
    trajectory = EventSolver(backend).simulate(network, 100 * ms)
    times = np.array([30.0, 4.0, 5.0, 15.0]) * ms
    x = np.exp(-(np.asarray(times) - 0.005) / 0.02)
    inside = np.asarray(times) >= 0.005
    np.testing.assert_allclose(
        trajectory.state(group, "v", times)[:, 0], np.where(inside, 2 * (x - x**2), 0), atol=1e-15
    )
    np.testing.assert_allclose(trajectory.state(group, "I", times)[:, 0], np.where(inside, 2 * x**2, 0), atol=1e-15)
    with pytest.raises(ValueError, match="lies outside the trial"):
        trajectory.state(group, "v", 200 * ms)
    with pytest.raises(ValueError, match="has 'v' and 'I'; 'w' cannot be read"):
        trajectory.state(group, "w", 10 * ms)


def test_a_network_that_has_run_goes_on_from_its_state(backend):
    group = qif()
    network, _ = driven(group, [1, 30], [9.0, 20.0])
    whole = EventSolver(backend).simulate(network, 60 * ms).spikes[group].t
    reading = EventSolver("reference").simulate(network, 25 * ms)
    state = [float(reading.state(group, name, 25 * ms)[0]) for name in ("v", "I")]
    network.run(25 * ms)
    group.v, group.I = state
    rest = EventSolver(backend).simulate(network, 35 * ms).spikes[group].t
    later = np.asarray(whole)[np.asarray(whole) > 0.025]
    assert len(later) >= 1
    np.testing.assert_allclose(np.asarray(rest), later, rtol=1e-12)


@pytest.mark.parametrize("make", [lif, qif])
def test_a_million_events_in_one_trial(make):
    """The sum of all slopes by the times is the slope by a common shift, which the last spike times show."""
    events = 1_000_000
    times = (np.arange(events) + 0.5) * (10.0 / events)
    stimulus = SpikeGeneratorGroup(100, np.arange(events) % 100, times * second, sorted=True, dt=1e-6 * second)
    group = make(2)
    synapses = Synapses(stimulus, group, "w : 1", on_pre="I_post += w")
    synapses.connect()
    synapses.w = np.random.default_rng(0).uniform(1e-3, 3e-3, 200)
    loss = SpikeFunctionLoss(group, lambda t, i: (t[-1], np.eye(1, len(t), len(t) - 1)[0]))
    gradient = SpikeGradient(
        Network(stimulus, group, synapses), loss, [synapses.w, stimulus.spike_time], solver=EventSolver("cpp")
    )
    value, (by_weights, by_times) = gradient(10 * second)
    assert len(gradient.trajectory.spikes[group].t) > 100
    assert np.all(np.isfinite(by_weights)) and np.all(np.isfinite(by_times))
    assert np.sum(by_weights) < 0  # stronger inputs, earlier spikes
    # The state at the start is at rest, so a common shift of all inputs shifts every spike by as much.
    assert np.sum(by_times) == pytest.approx(1.0, rel=1e-6)
