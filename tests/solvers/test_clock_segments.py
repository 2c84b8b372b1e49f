"""Trials that do not fit into the memory as a whole: computed again in segments, they have the same slopes."""

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, Synapses, ms, prefs

from brian_qif import ClockSolver, SpikeFunctionLoss, SpikeGradient
from brian_qif.codegen.compiler import CompilerError, find_compiler
from brian_qif.models import LeakyIntegratorGroup
from brian_qif.solvers.clock_segments import Segments, longest_segment, on_their_way
from tests.networks import example, smooth_loss
from tests.smooth_neurons import build

LIF = """
dv/dt = (-v + I)/tau_m : 1 (unless refractory)
dI/dt = -I/tau_s : 1
t_ref : second (constant)
"""


@pytest.fixture
def memory():
    """A function that sets the bound, which is the default again afterwards."""
    before = prefs["brian_qif.trajectory_memory"]

    def put(size):
        prefs["brian_qif.trajectory_memory"] = size

    yield put
    prefs["brian_qif.trajectory_memory"] = before


def refractory_network(device="runtime"):
    """LIF neurons, held for 3 to 5 ms, that hear each other up to 7 ms late."""
    generator = np.random.default_rng(1)
    stimulus = SpikeGeneratorGroup(4, np.arange(16) % 4, np.sort(generator.uniform(1, 40, 16)) * ms)
    constants = {"tau_m": 20 * ms, "tau_s": 5 * ms, "theta": 1.0}
    neurons = NeuronGroup(
        3, LIF, threshold="v > theta", reset="v = 0", refractory="t_ref", method="exact", namespace=constants
    )
    neurons.t_ref = [3.05, 4.2, 5.1] * ms
    synapses = Synapses(stimulus, neurons, "w : 1", on_pre="I_post += w")
    synapses.connect()
    synapses.w, synapses.delay = 3 * generator.uniform(0.6, 1.4, 12), generator.uniform(0, 6, 12) * ms
    loop = Synapses(neurons, neurons, "w : 1", on_pre="I_post += w")
    loop.connect()
    loop.w, loop.delay = 0.5 * generator.normal(size=9), generator.uniform(0, 7, 9) * ms
    parameters = [synapses.w, loop.w, synapses.delay, loop.delay, stimulus.spike_time, neurons.v, neurons.t_ref]
    parameters += [(neurons, "tau_m"), (neurons, "theta")]
    network = Network(stimulus, neurons, synapses, loop)
    loss = SpikeFunctionLoss(neurons, lambda t, i: (np.sum(t**2 * (1 + i)), 2 * t * (1 + i)))
    return SpikeGradient(network, loss, parameters, solver=ClockSolver(device), namespace={}), neurons


def qif_network(device="runtime"):
    case = example("qif", recurrent=True, delays=True)
    parameters = [*case.parameters.values(), case.neurons.tau_m]
    return SpikeGradient(case.network, smooth_loss(case.neurons), parameters, solver=ClockSolver(device)), case.neurons


def adaptive_network(device="runtime"):
    network, group, parameters, constants = build("cubic, threshold of its own")
    everything = [parameter for kind in parameters.values() for parameter in kind]
    solver = ClockSolver(device)
    return SpikeGradient(network, smooth_loss(group), everything, solver=solver, namespace=constants), group


NETWORKS = {"LIF": refractory_network, "QIF": qif_network, "of one's own": adaptive_network}


def check_same(gradient, group, duration, memory, bounds):
    whole_value, whole = gradient(duration)
    whole_spikes = gradient.trajectory.spikes[group]
    assert gradient.trajectory._record.history.stops.segments.whole
    counts = []
    for bound in bounds:
        memory(bound)
        value, slopes = gradient(duration)
        history = gradient.trajectory._record.history
        counts.append(history.stops.segments.count)
        assert history.nodes[next(iter(history.nodes))].stretch is None
        spikes = gradient.trajectory.spikes[group]
        assert np.array_equal(spikes.t, whole_spikes.t) and np.array_equal(spikes.i, whole_spikes.i)
        assert value == whole_value
        for slope, other, parameter in zip(slopes, whole, gradient.parameters, strict=True):
            slope, other = np.asarray(slope), np.asarray(other)
            if parameter.kind in ("delays", "spike_times"):
                # Sums over arrivals, which are added up segment by segment.
                assert slope == pytest.approx(other, rel=1e-12, abs=1e-13 * np.max(np.abs(other)))
            else:
                assert np.array_equal(slope, other), parameter.label
    return counts


@pytest.mark.parametrize("name", NETWORKS)
def test_slopes_have_the_same_bits_in_any_number_of_segments(name, memory):
    gradient, group = NETWORKS[name]()
    duration = 30 * ms if name == "of one's own" else 50 * ms
    counts = check_same(gradient, group, duration, memory, (6e4, 3e4, 1.5e4))
    assert 2 <= counts[0] < counts[1] < counts[2], counts
    spikes = gradient.trajectory.spikes[group]
    assert len(spikes.t) >= 4


def test_delays_and_refractory_periods_cross_the_borders(memory):
    """The test above would say nothing of them if all spikes were far from borders."""
    gradient, group = refractory_network()
    memory(1.5e4)
    gradient(50 * ms)
    history = gradient.trajectory._record.history
    segments = history.stops.segments
    borders = segments.length * np.arange(1, segments.count)
    steps = next(iter(history.nodes.values())).steps
    # Every spike is on its way for 70 steps to one neuron at least, and holds its own for 30.
    after = borders[np.searchsorted(borders, steps[steps < borders[-1]], side="right")] - steps[steps < borders[-1]]
    assert np.sum(after < 30) > 2


def test_states_can_be_read_and_averaged_in_segments(memory):
    case = example("lif", recurrent=True, delays=True, readout=True)
    times = [0, 3.33, 20, 47.2, 50] * ms
    whole = ClockSolver().simulate(case.network, 50 * ms)
    expected = [whole.state(case.neurons, name, times) for name in ("v", "I")]
    memory(4e4)
    pieces = ClockSolver().simulate(case.network, 50 * ms)
    assert not pieces._record.history.stops.segments.whole
    for name, values in zip(("v", "I"), expected, strict=True):
        assert np.array_equal(pieces.state(case.neurons, name, times), values)


def test_a_loss_on_averages_is_the_same_up_to_rounding(memory):
    from brian_qif import CrossEntropyLoss
    from brian_qif.gradients.batch import BatchGradient
    from brian_qif.training.datasets import SpikeSample

    generator = np.random.default_rng(0)
    stimulus = SpikeGeneratorGroup(6, [], [] * ms)
    readout = LeakyIntegratorGroup(3, tau_m=20 * ms, tau_s=10 * ms)
    synapses = Synapses(stimulus, readout, "w : 1", on_pre="I_post += w", delay=2 * ms)
    synapses.connect()
    synapses.w = generator.normal(size=18)
    loss = CrossEntropyLoss(readout, weight_time=30 * ms)
    gradient = SpikeGradient(Network(stimulus, readout, synapses), loss, [synapses.w, readout.tau_m], ClockSolver())
    samples = [SpikeSample(np.sort(generator.uniform(0, 0.04, 12)), generator.integers(6, size=12), 1, 0)]
    found = []
    for bound in (2e9, 2e4):
        memory(bound)
        found.append(BatchGradient(gradient, stimulus)(samples, 60 * ms))
    # Averages are sums over steps, which are added up segment by segment.
    assert found[1].losses == pytest.approx(found[0].losses, rel=1e-13)
    for slope, other in zip(found[1].slopes, found[0].slopes, strict=True):
        assert slope == pytest.approx(other, rel=1e-11)


def test_a_program_is_taken_up_again(memory):
    try:
        find_compiler()
    except CompilerError as error:
        pytest.skip(str(error))
    gradient, group = refractory_network("cpp_standalone")
    counts = check_same(gradient, group, 50 * ms, memory, (3e4,))
    assert counts[0] > 2


def test_segments_are_as_long_as_the_memory_allows():
    for steps, per_step, per_stop, bound in ((1000, 100, 30, 2e4), (7777, 48, 40, 9e4), (10, 100, 1, 1e9)):
        length = longest_segment(steps, per_step, per_stop, bound)

        def taken(length, steps=steps, per_step=per_step, per_stop=per_stop):
            return per_step * length + per_stop * (steps / length + 1)

        assert length == steps or taken(length) <= bound < taken(length + 1)
    assert longest_segment(1000, 100, 30, 3000) is None


def test_the_chunks_of_the_reverse_pass_cover_every_step():
    for steps, length, extra in ((100, 7, 0), (100, 10, 33), (21, 20, 4), (30, 1, 3)):
        chunks = Segments(steps, length).chunks(extra)
        covered = np.concatenate([top - np.arange(rows) for top, rows in chunks])
        assert np.all(np.diff(covered) == -1)
        assert covered[0] >= steps - 1 + extra and covered[-1] == -1
        assert {rows for _, rows in chunks} == {length}


def test_what_is_on_its_way():
    pre, delays = np.array([0, 1, 0, 1]), np.array([3, 0, 5, 2])
    spikes = np.array([1, 0, 1, 0]), np.array([2, 6, 8, 9])
    # The spike of step 6 still reaches synapse 2 at step 11; those of 8 and 9 their slow synapses.
    found = on_their_way(pre, delays, spikes, 9)
    assert found.tolist() == [[0, 0], [2, 2], [1, 3]]
