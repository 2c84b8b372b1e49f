"""Values of the losses by hand, and the words with which misuse is refused."""

import numpy as np
import pytest
from brian2 import Network, SpikeGeneratorGroup, Synapses, ms, mV, second
from brian2.units import DimensionMismatchError

from brian_qif import CrossEntropyLoss, EventSolver, SpikeFunctionLoss, SpikeGradient, SpikeTimeLoss
from brian_qif.models import LeakyIntegratorGroup, LIFGroup, QIFGroup

SOLVER = EventSolver(backend="reference")


@pytest.fixture
def case():
    stimulus = SpikeGeneratorGroup(2, [0, 1, 0], [2, 5, 9] * ms, name="stimulus")
    neurons = QIFGroup(2, tau_m=20 * ms, tau_s=10 * ms, name="neurons")
    readout = LeakyIntegratorGroup(2, tau_m=10 * ms, tau_s=5 * ms, name="readout")
    synapses = Synapses(stimulus, neurons, "w : 1", on_pre="I_post += w", name="synapses")
    synapses.connect()
    synapses.w = [8, 0, 8, 0]
    output = Synapses(neurons, readout, "w : 1", on_pre="I_post += w", name="output")
    output.connect()
    output.w = [1, 2, 3, 4]
    network = Network(stimulus, neurons, readout, synapses, output)
    return network, stimulus, neurons, readout, synapses, output


def test_first_spikes_against_their_targets(case):
    network, _, neurons, _, synapses, _ = case
    gradient = SpikeGradient(network, SpikeTimeLoss(neurons, target=[12, 30] * ms), [synapses.w], solver=SOLVER)
    value, _ = gradient(50 * ms)
    first = gradient.trajectory.spikes[neurons].t[0]
    assert set(gradient.trajectory.spikes[neurons].i) == {0}
    expected = (first - 12 * ms) ** 2 + (50 * ms - 30 * ms) ** 2
    assert float(value) == pytest.approx(float(expected), rel=1e-14)
    assert value.dim == (second**2).dim


def test_weighted_average_against_quadrature(case):
    from scipy.integrate import quad

    network, stimulus, neurons, readout, synapses, output = case
    loss = CrossEntropyLoss(readout, label=0, weight_time=15 * ms)
    gradient = SpikeGradient(network, loss, [output.w], solver=SOLVER)
    value, slopes = gradient(50 * ms)
    spikes = np.asarray(gradient.trajectory.spikes[neurons].t)
    assert len(spikes) >= 1

    def kernel(t):
        return 5 / (5 - 10) * (np.exp(-t / 0.005) - np.exp(-t / 0.01)) if t > 0 else 0.0

    mass = quad(lambda t: np.exp(-t / 0.015), 0, 0.05)[0]
    per_weight = sum(
        quad(lambda t, s=s: kernel(t - s) * np.exp(-t / 0.015), s, 0.05, epsabs=1e-15, epsrel=1e-13)[0] for s in spikes
    )
    outputs = np.array([1.0, 2.0]) * per_weight / mass
    expected = np.log(np.sum(np.exp(outputs))) - outputs[0]
    assert value == pytest.approx(expected, rel=1e-12)
    probability = np.exp(outputs) / np.sum(np.exp(outputs)) - [1, 0]
    np.testing.assert_allclose(slopes[0][:2], probability * per_weight / mass, rtol=1e-12)
    assert np.all(slopes[0][2:] == 0)  # the synapses of the silent neuron


def test_a_function_of_all_spikes(case):
    network, _, neurons, _, synapses, _ = case
    loss = SpikeFunctionLoss(neurons, lambda t, i: (np.sum(t**2), 2 * t), unit=second**2)
    value, slopes = SpikeGradient(network, loss, [synapses.w, synapses.delay], solver=SOLVER)(50 * ms)
    assert value.dim == (second**2).dim
    assert slopes[0].dim == (second**2).dim
    assert slopes[1].dim == second.dim
    assert slopes[1].shape == (4,)


def test_slopes_have_the_shape_and_order_of_their_parameters(case):
    network, stimulus, neurons, _, synapses, output = case
    loss = SpikeTimeLoss(neurons, target=12 * ms)
    views = [stimulus.spike_time, neurons.I, output.delay, output.w]
    _, slopes = SpikeGradient(network, loss, views, solver=SOLVER)(50 * ms)
    assert [np.shape(slope) for slope in slopes] == [(3,), (2,), (4,), (4,)]
    assert np.all(np.asarray(slopes[3]) == 0)


def test_a_scalar_delay_has_a_scalar_slope():
    stimulus = SpikeGeneratorGroup(1, [0], [2] * ms)
    neurons = LIFGroup(1, tau_m=20 * ms, tau_s=5 * ms)
    synapses = Synapses(stimulus, neurons, "w : 1", on_pre="I_post += w", delay=1 * ms)
    synapses.connect()
    synapses.w = 20
    network = Network(stimulus, neurons, synapses)
    loss = SpikeFunctionLoss(neurons, lambda t, i: (t[0], np.eye(1, len(t))[0]), unit=second)
    value, slopes = SpikeGradient(network, loss, [synapses.delay], solver=SOLVER)(50 * ms)
    assert np.shape(slopes[0]) == ()
    assert float(slopes[0]) == pytest.approx(1.0, rel=1e-12)  # the only input moves, and the spike with it


def test_nothing_in_the_network_changes(case):
    network, stimulus, neurons, _, synapses, _ = case
    before = [np.array(x) for x in (neurons.v[:], neurons.I[:], synapses.w[:], stimulus.spike_time[:])]
    SpikeGradient(network, SpikeTimeLoss(neurons, target=12 * ms), [synapses.w], solver=SOLVER)(50 * ms)
    after = [np.array(x) for x in (neurons.v[:], neurons.I[:], synapses.w[:], stimulus.spike_time[:])]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert network.t == 0 * ms


class TestMisuse:
    def test_target_that_is_no_time(self, case):
        with pytest.raises(DimensionMismatchError, match="The target of a SpikeTimeLoss is a time"):
            SpikeTimeLoss(case[2], target=12 * mV)

    def test_target_of_another_length(self, case):
        with pytest.raises(ValueError) as caught:
            SpikeTimeLoss(case[2], target=[1, 2, 3] * ms)
        assert str(caught.value) == (
            "The target of a SpikeTimeLoss has shape (3,); 'neurons' has 2 neurons: give one "
            "time per neuron, or one for all."
        )

    def test_target_that_is_not_finite(self, case):
        with pytest.raises(ValueError, match="contains a value that is not a finite time"):
            SpikeTimeLoss(case[2], target=[np.nan, 1] * ms)

    def test_spike_loss_on_a_readout(self, case):
        loss = SpikeTimeLoss(case[3], target=12 * ms)
        with pytest.raises(NotImplementedError) as caught:
            SpikeGradient(case[0], loss, [case[4].w])
        assert (
            str(caught.value) == "SpikeTimeLoss needs a NeuronGroup that spikes; 'readout' does not follow a threshold."
        )

    def test_average_of_spiking_neurons(self, case):
        loss = CrossEntropyLoss(case[2], label=0)
        with pytest.raises(NotImplementedError, match="use a brian_qif.models.LeakyIntegratorGroup as readout"):
            SpikeGradient(case[0], loss, [case[4].w])

    @pytest.mark.parametrize("label", [2, -1, 0.5])
    def test_label_beyond_the_readout(self, case, label):
        with pytest.raises(ValueError) as caught:
            CrossEntropyLoss(case[3], label=label)
        assert str(caught.value) == f"The label {label} is not one of the 2 classes 0 to 1 of 'readout'."

    def test_no_label(self, case):
        gradient = SpikeGradient(case[0], CrossEntropyLoss(case[3]), [case[4].w], solver=SOLVER)
        with pytest.raises(ValueError, match="CrossEntropyLoss needs a label"):
            gradient(50 * ms)

    def test_weight_time_with_another_unit(self, case):
        with pytest.raises(DimensionMismatchError, match="weight_time of a CrossEntropyLoss is a time"):
            CrossEntropyLoss(case[3], weight_time=2)

    def test_gain_with_another_unit(self, case):
        with pytest.raises(DimensionMismatchError, match="inverse unit of the voltage of 'readout'"):
            CrossEntropyLoss(case[3], gain=1 / mV)

    def test_derivatives_of_another_length(self, case):
        loss = SpikeFunctionLoss(case[2], lambda t, i: (0.0, np.zeros(len(t) + 1)))
        with pytest.raises(ValueError, match="one per spike is needed"):
            SpikeGradient(case[0], loss, [case[4].w], solver=SOLVER)(50 * ms)

    def test_function_that_is_not_finite(self, case):
        loss = SpikeFunctionLoss(case[2], lambda t, i: (np.nan, np.zeros(len(t))))
        with pytest.raises(ValueError, match="a value or a derivative that is not finite"):
            SpikeGradient(case[0], loss, [case[4].w], solver=SOLVER)(50 * ms)

    def test_copied_values_as_parameter(self, case):
        with pytest.raises(TypeError, match="A parameter is given as the variable itself, for instance synapses.w"):
            SpikeGradient(case[0], SpikeTimeLoss(case[2], target=1 * ms), [case[4].w[:]])

    def test_a_parameter_without_slope(self, case):
        with pytest.raises(NotImplementedError) as caught:
            SpikeGradient(case[0], SpikeTimeLoss(case[2], target=1 * ms), [case[2].lastspike])
        assert str(caught.value).startswith("There is no slope with respect to 'neurons.lastspike'.")

    def test_a_bare_parameter(self, case):
        with pytest.raises(TypeError, match="parameters is a list of variables"):
            SpikeGradient(case[0], SpikeTimeLoss(case[2], target=1 * ms), case[4].w)

    def test_duration_that_is_no_time(self, case):
        gradient = SpikeGradient(case[0], SpikeTimeLoss(case[2], target=1 * ms), [case[4].w], solver=SOLVER)
        with pytest.raises(DimensionMismatchError, match="The duration of a trial is a time"):
            gradient(40)
        with pytest.raises(ValueError, match="must be positive and finite"):
            gradient(-1 * ms)

    def test_a_group_outside_the_network(self, case):
        other = QIFGroup(1, tau_m=20 * ms, tau_s=10 * ms, name="other")
        with pytest.raises(ValueError, match="'other' is not part of the network, which holds"):
            SpikeGradient(case[0], SpikeTimeLoss(other, target=1 * ms), [case[4].w])

    def test_what_is_no_group_no_loss_no_network(self, case):
        with pytest.raises(TypeError, match="SpikeTimeLoss needs a NeuronGroup; 3 was given."):
            SpikeTimeLoss(3, target=1 * ms)
        with pytest.raises(TypeError, match="SpikeTimeLoss needs a NeuronGroup; SpikeGeneratorGroup"):
            SpikeTimeLoss(case[1], target=1 * ms)
        with pytest.raises(TypeError, match=r"needs a function of \(t, i\); 'sum' cannot be called"):
            SpikeFunctionLoss(case[2], "sum")
        with pytest.raises(TypeError, match="A loss such as SpikeTimeLoss is needed; 'loss' was given."):
            SpikeGradient(case[0], "loss", [case[4].w])
        with pytest.raises(TypeError, match="A brian2.Network is needed"):
            EventSolver().simulate([case[2]], 1 * ms)

    def test_an_unknown_backend(self, case):
        with pytest.raises(ValueError, match="There is no backend 'fortran'"):
            EventSolver(backend="fortran").simulate(case[0], 10 * ms)
