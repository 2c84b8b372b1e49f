"""The largest voltage of a readout: its value against a fine grid, its slopes by their Taylor remainder."""

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, Synapses, ms

from brian_qif import ClockSolver, CrossEntropyLoss, EventSolver, SpikeGradient, check_gradient
from brian_qif.gradients.parameters import wanted_slopes
from brian_qif.models import LeakyIntegratorGroup, LIFGroup
from brian_qif.solvers.sweeps import Request, Seeds
from tests.networks import DURATION, example

BACKENDS = ["reference", "cpp"]


def peaked(kind="lif", seed=0, **keywords):
    """A network whose readout has peaks of all sorts: where its voltage turns, and where inhibition cuts a rise."""
    case = example(kind, recurrent=True, delays=True, readout=True, seed=seed, **keywords)
    case.parameters["tau_m"], case.parameters["tau_s"] = case.readout.tau_m, case.readout.tau_s
    return case


def peaks_of(case, solver=None):
    loss = CrossEntropyLoss(case.readout, label=1, output="maximum", gain=2.0)
    gradient = SpikeGradient(case.network, loss, list(case.parameters.values()), solver=solver)
    value, slopes = gradient(DURATION)
    return gradient, value, slopes


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["lif", "qif"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_slopes_by_all_parameters_pass_the_taylor_test(kind, backend, seed):
    gradient, _, slopes = peaks_of(peaked(kind, seed), EventSolver(backend))
    assert check_gradient(gradient, DURATION).passed
    assert all(np.any(np.asarray(slope) != 0) for slope in slopes)


@pytest.mark.parametrize("kind", ["lif", "qif"])
def test_generated_code_gives_the_numbers_of_the_reference(kind):
    case = peaked(kind)
    (_, value, slopes), (_, other, others) = (peaks_of(case, EventSolver(backend)) for backend in BACKENDS)
    assert other == pytest.approx(value, rel=1e-12)
    for slope, found in zip(slopes, others, strict=True):
        slope, found = np.asarray(slope), np.asarray(found)
        np.testing.assert_allclose(found, slope, rtol=1e-10, atol=1e-12 * np.max(np.abs(slope)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_peak_is_that_of_a_fine_grid(backend):
    case = peaked()
    solver = EventSolver(backend)
    reading = solver.read(case.network, {})
    node, duration = reading.node(case.readout), float(DURATION)
    prepared = solver.prepare(reading.plan)
    peaks = prepared.forward(Request(duration, peaks=frozenset({node}))).peaks[node]
    grid = np.linspace(0, duration, 20_001)
    largest = np.max(prepared.forward(Request(duration, samples={node: grid})).samples[node][:, 0], axis=0)
    assert np.all(peaks >= largest - 1e-14)
    # Before an arrival cuts a rise, half a step of the grid may be missing.
    np.testing.assert_allclose(peaks, largest, atol=1e-3)
    assert np.any(np.abs(peaks - largest) > 1e-9)


def cut(times, weights, backend, **keywords):
    """One readout that hears single spikes; its gradient by their weights, times, and its own initial state."""
    stimulus = SpikeGeneratorGroup(len(times), np.arange(len(times)), times * ms)
    readout = LeakyIntegratorGroup(1, tau_m=20 * ms, tau_s=5 * ms)
    for name, value in keywords.items():
        setattr(readout, name, value)
    synapses = Synapses(stimulus, readout, "w : 1", on_pre="I_post += w")
    synapses.connect()
    synapses.w = weights
    loss = CrossEntropyLoss(readout, label=0, output="maximum")
    parameters = [synapses.w, stimulus.spike_time, synapses.delay, readout.v, readout.I]
    network = Network(stimulus, readout, synapses)
    gradient = SpikeGradient(network, loss, parameters, solver=EventSolver(backend))
    reading = gradient.read()
    prepared = gradient.solver.prepare(reading.plan)
    record = prepared.forward(loss.request(reading, 0.1))
    node = reading.node(readout)
    slopes = prepared.reverse(record, Seeds(peaks={node: np.ones(1)}), wanted_slopes(gradient.parameters, reading))
    return record.peaks[node][0], slopes, node


def response(t):
    return (np.exp(-t / 20) - np.exp(-t / 5)) * 5 / (20 - 5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_rise_that_inhibition_ends(backend):
    peak, slopes, _ = cut([10.0, 13.0], [2.0, -3.0], backend)
    assert peak == pytest.approx(2 * response(3.0), rel=1e-13)
    rise = 2 * (np.exp(-3 / 5) / 5 - np.exp(-3 / 20) / 20) * 5 / 15 / 1e-3
    assert slopes.weights[0] == pytest.approx([response(3.0), 0.0], rel=1e-12, abs=1e-14)
    assert slopes.spike_times[0] == pytest.approx([-rise, rise], rel=1e-12)
    assert slopes.delays[0] == pytest.approx([-rise, rise], rel=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_peak_where_the_voltage_turns_does_not_move_with_later_spikes(backend):
    peak, slopes, _ = cut([10.0, 40.0], [2.0, -3.0], backend)
    top = np.log(20 / 5) / (1 / 5 - 1 / 20)
    assert peak == pytest.approx(2 * response(top), rel=1e-13)
    assert slopes.weights[0] == pytest.approx([response(top), 0.0], rel=1e-12, abs=1e-15)
    assert slopes.spike_times[0] == pytest.approx([0.0, 0.0], abs=1e-11)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_peak_at_the_start_and_at_the_end(backend):
    peak, slopes, node = cut([50.0], [-1.0], backend, v=0.7)
    assert peak == 0.7 and slopes.initial[node][0] == [1.0]
    assert slopes.weights[0] == [0.0]
    peak, slopes, node = cut([99.0], [1.0], backend)
    assert peak == pytest.approx(response(1.0), rel=1e-12)
    assert slopes.weights[0] == pytest.approx([response(1.0)], rel=1e-12)


def test_what_has_no_peak_is_refused():
    readout = LeakyIntegratorGroup(2, tau_m=20 * ms, tau_s=5 * ms)
    with pytest.raises(ValueError, match="'average' or 'maximum'"):
        CrossEntropyLoss(readout, output="last")
    with pytest.raises(ValueError, match="a maximum has no weight"):
        CrossEntropyLoss(readout, output="maximum", weight_time=3 * ms)
    spiking = LIFGroup(2, tau_m=20 * ms, tau_s=5 * ms)
    with pytest.raises(NotImplementedError, match="spikes"):
        SpikeGradient(Network(spiking), CrossEntropyLoss(spiking, 0, output="maximum"), [spiking.v])
    stimulus = SpikeGeneratorGroup(1, [0], [1] * ms)
    jumping = NeuronGroup(2, "dv/dt = -v/(20*ms) : 1", method="exact")
    synapses = Synapses(stimulus, jumping, "w : 1", on_pre="v_post += w")
    synapses.connect()
    gradient = SpikeGradient(
        Network(stimulus, jumping, synapses), CrossEntropyLoss(jumping, 0, output="maximum"), [synapses.w]
    )
    with pytest.raises(ValueError, match="jumps at arrivals"):
        gradient(DURATION)
    case = peaked()
    clocked = SpikeGradient(
        case.network, CrossEntropyLoss(case.readout, 0, output="maximum"), [case.synapses.w], solver=ClockSolver()
    )
    with pytest.raises(NotImplementedError, match="EventSolver alone"):
        clocked(DURATION)
