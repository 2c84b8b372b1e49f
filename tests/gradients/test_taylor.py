"""The gradient is exact: Taylor order 2 and central differences, for every parameter, model and wiring."""

import numpy as np
import pytest

from brian_qif import CrossEntropyLoss, EventSolver, GradientCheckError, SpikeGradient, SpikeTimeLoss, check_gradient
from brian_qif.solvers.linear import LinearNeurons
from brian_qif.solvers.quadratic import QuadraticNeurons
from tests.networks import DURATION, example, smooth_loss

WIRINGS = {
    "feed-forward": {},
    "delays": {"delays": True},
    "recurrent": {"recurrent": True},
    "recurrent with delays": {"recurrent": True, "delays": True},
}
REFERENCE = EventSolver(backend="reference")


def assert_agrees_with_central_differences(report):
    for direction in report.directions:
        scale = max(abs(direction.slope), abs(direction.difference))
        assert abs(direction.slope - direction.difference) <= 1e-6 * scale + 1e-9


@pytest.mark.parametrize("kind", ["lif", "qif"])
@pytest.mark.parametrize("wiring", WIRINGS)
def test_every_parameter_passes_the_taylor_test(kind, wiring, backend):
    case = example(kind, **WIRINGS[wiring])
    for name, view in case.parameters.items():
        gradient = SpikeGradient(case.network, smooth_loss(case.neurons), [view], solver=EventSolver(backend))
        report = check_gradient(gradient, DURATION, directions=1)
        assert [direction.method for direction in report.directions] == ["order"], name
        assert_agrees_with_central_differences(report)
    gradient(DURATION)
    counts = np.bincount(gradient.trajectory.spikes[case.neurons].i, minlength=4)
    assert np.all((counts >= 2) & (counts <= 8))


@pytest.mark.parametrize("kind", ["lif", "qif"])
def test_cross_entropy_of_a_readout_passes_the_taylor_test(kind, backend):
    from brian2 import ms

    case = example(kind, recurrent=True, delays=True, readout=True)
    loss = CrossEntropyLoss(case.readout, label=1, weight_time=30 * ms)
    gradient = SpikeGradient(case.network, loss, list(case.parameters.values()), solver=EventSolver(backend))
    assert_agrees_with_central_differences(check_gradient(gradient, DURATION, directions=3))


@pytest.mark.parametrize("kind", ["lif", "qif"])
def test_physical_units_pass_the_taylor_test(kind):
    from brian2 import Network, SpikeGeneratorGroup, Synapses, ms, mV

    from brian_qif.models import LIFGroup, QIFGroup

    stimulus = SpikeGeneratorGroup(2, [0, 1, 0, 1], [2, 5, 8, 20] * ms)
    if kind == "lif":
        neurons = LIFGroup(2, tau_m=20 * ms, tau_s=5 * ms, v_th=10 * mV, v_reset=-2 * mV)
    else:
        neurons = QIFGroup(2, tau_m=20 * ms, tau_s=10 * ms, v_rest=-65 * mV, v_crit=-50 * mV)
    synapses = Synapses(stimulus, neurons, "w : volt", on_pre="I_post += w")
    synapses.connect()
    synapses.w = [40, 45, 42, 38] * mV
    loss = SpikeTimeLoss(neurons, target=[7, 9] * ms)
    gradient = SpikeGradient(Network(stimulus, neurons, synapses), loss, [synapses.w, neurons.v], solver=REFERENCE)
    check_gradient(gradient, DURATION)
    value, slopes = gradient(DURATION)
    assert value.dim == (1 * ms**2).dim
    assert slopes[0].dim == (1 * ms**2 / mV).dim
    assert slopes[1].shape == (2,)


def test_a_dropped_jump_fails(monkeypatch):
    def without_jump(self, state, neuron, adjoint, seed, slopes):
        rise = state[1, neuron] - self.threshold[neuron]
        adjoint[0, neuron] -= seed * self.tau_m[neuron] / rise

    monkeypatch.setattr(LinearNeurons, "spike_adjoint", without_jump)
    case = example("lif")
    gradient = SpikeGradient(case.network, smooth_loss(case.neurons), [case.parameters["w"]], solver=REFERENCE)
    with pytest.raises(GradientCheckError, match="FAILED by order"):
        check_gradient(gradient, DURATION)


@pytest.mark.parametrize("kernel, kind", [(LinearNeurons, "lif"), (QuadraticNeurons, "qif")])
@pytest.mark.parametrize("method", ["spike_adjoint", "arrival_slopes"])
def test_a_flipped_sign_fails(monkeypatch, kernel, kind, method):
    original = getattr(kernel, method)

    def flipped_spike(self, state, neuron, adjoint, seed, slopes):
        original(self, state, neuron, adjoint, -seed, slopes)

    def flipped_arrival(self, *arguments):
        return -original(self, *arguments)

    monkeypatch.setattr(kernel, method, flipped_spike if method == "spike_adjoint" else flipped_arrival)
    case = example(kind, recurrent=True, delays=True)
    gradient = SpikeGradient(case.network, smooth_loss(case.neurons), [case.parameters["w"]], solver=REFERENCE)
    with pytest.raises(GradientCheckError):
        check_gradient(gradient, DURATION)


@pytest.mark.parametrize("kernel, kind", [(LinearNeurons, "lif"), (QuadraticNeurons, "qif")])
def test_a_slope_that_is_off_by_one_in_a_thousand_fails(monkeypatch, kernel, kind):
    original = kernel.flow_adjoint
    monkeypatch.setattr(kernel, "flow_adjoint", lambda *arguments: original(*arguments) * 1.001)
    case = example(kind)
    gradient = SpikeGradient(case.network, smooth_loss(case.neurons), [case.parameters["w"]], solver=REFERENCE)
    with pytest.raises(GradientCheckError):
        check_gradient(gradient, DURATION)


def test_a_silent_neuron_has_a_slope_of_exactly_zero(backend):
    case = example("qif")
    case.synapses.w = 0
    case.neurons.v = 0
    case.neurons.I = 0
    loss = SpikeTimeLoss(case.neurons, target=DURATION / 2)
    gradient = SpikeGradient(case.network, loss, [case.parameters["w"]], solver=EventSolver(backend))
    value, slopes = gradient(DURATION)
    assert float(value) == pytest.approx(4 * 0.05**2, rel=1e-14)
    assert np.all(np.asarray(slopes[0]) == 0)
    assert "curvature too small" in str(check_gradient(gradient, DURATION))


def test_a_loss_that_needs_a_spike_is_not_asked_without_it():
    from brian2 import Network, SpikeGeneratorGroup, Synapses, ms, second

    from brian_qif import SpikeFunctionLoss
    from brian_qif.models import LIFGroup

    stimulus = SpikeGeneratorGroup(2, [0, 1], [1, 3] * ms)
    neuron = LIFGroup(1, tau_m=20 * ms, tau_s=50 * ms)
    synapses = Synapses(stimulus, neuron, "w : 1", on_pre="I_post += w")
    synapses.connect()
    synapses.w = 1.25  # the second spike comes just before the end of the trial
    loss = SpikeFunctionLoss(neuron, lambda t, i: (t[1], np.eye(len(t))[1]), unit=second)
    gradient = SpikeGradient(Network(stimulus, neuron, synapses), loss, [synapses.w], solver=REFERENCE)
    assert "the number of spikes changes within a step of" in str(check_gradient(gradient, 40 * ms))


def test_a_group_of_the_users_own_with_constants_of_the_script(backend):
    """In volts and amperes, under other names, with a resting voltage and a subexpression."""
    from brian2 import Mohm, Network, NeuronGroup, SpikeGeneratorGroup, Synapses, ms, mV, nA

    tau, tau_syn, rest, resistance = 15 * ms, 4 * ms, -70 * mV, 10 * Mohm  # noqa: F841 (found by their names)
    equations = """
    du/dt = (rest - u + drive)/tau : volt
    drive = resistance*i_syn : volt
    di_syn/dt = -i_syn/tau_syn : amp
    """
    neurons = NeuronGroup(2, equations, threshold="u > -50*mV", reset="u = -75*mV", method="exact")
    neurons.u = rest
    stimulus = SpikeGeneratorGroup(2, [0, 1, 0, 1], [1, 3, 5, 12] * ms)
    synapses = Synapses(stimulus, neurons, "strength : amp", on_pre="i_syn += strength", delay=0.5 * ms)
    synapses.connect()
    synapses.strength = [8, 7, 6, 9] * nA
    network = Network(neurons, stimulus, synapses)
    loss = SpikeTimeLoss(neurons, target=[4, 6] * ms)
    gradient = SpikeGradient(network, loss, [synapses.strength, synapses.delay, neurons.u], solver=EventSolver(backend))
    assert_agrees_with_central_differences(check_gradient(gradient, 40 * ms))
    _, slopes = gradient(40 * ms)
    assert slopes[0].dim == (ms**2 / nA).dim
    assert np.all(np.asarray(slopes[2]) != 0)


def test_directions_at_a_bound_are_one_sided(backend):
    """Delays of zero, an input spike at the start of the trial and one at its end."""
    from brian2 import Network, SpikeGeneratorGroup, Synapses, ms

    from brian_qif.models import LIFGroup

    stimulus = SpikeGeneratorGroup(4, [0, 1, 2, 3], [0, 3, 5, 40] * ms)
    neurons = LIFGroup(2, tau_m=20 * ms, tau_s=5 * ms)
    synapses = Synapses(stimulus, neurons, "w : 1", on_pre="I_post += w")
    synapses.connect()
    synapses.w = 4
    synapses.delay = 0 * ms
    gradient = SpikeGradient(
        Network(stimulus, neurons, synapses),
        smooth_loss(neurons),
        [synapses.delay, stimulus.spike_time],
        solver=EventSolver(backend),
    )
    assert_agrees_with_central_differences(check_gradient(gradient, 40 * ms, directions=3))
    assert np.asarray(gradient(40 * ms)[1][1])[3] == 0
    with pytest.raises(ValueError, match="would become negative .* give the optimiser a lower bound of 0"):
        gradient.with_values(gradient.read(), [np.full(8, -1e-3), gradient.values()[1]])
