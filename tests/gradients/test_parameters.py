"""Parameters by their kinds: shared and expressed weights, constants of the script, flat vectors, refusals."""

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, Synapses, ms, second
from brian2.units import DimensionMismatchError
from scipy.optimize import minimize

from brian_qif import Adam, CrossEntropyLoss, SpikeGradient, SpikeTimeLoss, StateLoss, Trainer, check_gradient
from brian_qif.models import LIFGroup
from tests.networks import DURATION, example, smooth_loss


def test_the_sensitivity_through_a_reset_is_that_of_the_closed_form():
    """A published counterexample: without the jump at the reset the slope would be 1 - exp(-1.8) = 0.835."""
    drive = 1.5
    neuron = NeuronGroup(1, "dv/dt = (drive - v)/(10*ms) : 1", threshold="v > 1", reset="v = 0", method="exact")
    gradient = SpikeGradient(Network(neuron), StateLoss(neuron, "v", 18 * ms), [(neuron, "drive")])
    _, (slope,) = gradient(20 * ms)
    since = np.exp(-(1.8 - np.log(drive / (drive - 1))))
    assert slope == pytest.approx(1 - since + drive * since * (1 / (drive - 1) - 1 / drive), rel=1e-13)


def test_weights_that_are_shared_or_expressed_pass_the_taylor_test(backend):
    case = example("lif")
    g_max = 1.3
    link = Synapses(
        case.stimulus, case.neurons, "w : 1\ngain : 1 (shared)", on_pre="I_post += g_max*gain*w", delay=1 * ms
    )
    link.connect()
    link.w, link.gain = np.linspace(0.1, 0.4, 20), 0.7
    case.network.add(link)
    from brian_qif import EventSolver

    gradient = SpikeGradient(
        case.network,
        smooth_loss(case.neurons),
        [link.w, link.gain, (link, "g_max")],
        solver=EventSolver(backend),
        namespace={"g_max": g_max},
    )
    check_gradient(gradient, DURATION)
    _, (by_w, by_gain, by_constant) = gradient(DURATION)
    assert (by_w.shape, np.shape(by_gain), np.shape(by_constant)) == ((20,), (), ())
    assert by_gain == pytest.approx(np.sum(by_w * link.w[:]) / float(link.gain[:]), rel=1e-12)
    assert by_constant == pytest.approx(np.sum(by_w * link.w[:]) / g_max, rel=1e-12)


def test_a_flat_gradient_serves_scipy():
    case = example("qif")
    gradient = SpikeGradient(
        case.network, SpikeTimeLoss(case.neurons, target=[9, 11, 12, 14] * ms), [case.synapses.w, case.neurons.v]
    )
    function, start = gradient.flat(DURATION)
    value, slopes = gradient(DURATION)
    flat_value, flat_slope = function(start)
    assert flat_value == float(value)
    assert np.array_equal(flat_slope, np.concatenate([np.asarray(slope) for slope in slopes]))
    before = np.array(case.synapses.w)
    found = minimize(lambda x: tuple(1e6 * y for y in function(x)), start, jac=True, method="L-BFGS-B")
    assert found.fun < 1e-6 < 1e6 * flat_value
    assert np.array_equal(case.synapses.w, before)
    gradient.write(gradient.unflatten(found.x))
    assert float(gradient(DURATION)[0]) * 1e6 == pytest.approx(found.fun, rel=1e-6, abs=1e-12)
    with pytest.raises(ValueError, match="The parameters have 24 values; a vector of shape"):
        gradient.unflatten(start[:-1])


def test_time_constants_are_trained_within_bounds():
    case = example("lif", readout=True)
    loss = CrossEntropyLoss(case.readout, weight_time=30 * ms)
    parameters = [case.parameters["readout_w"], case.neurons.tau_m]
    trainer = Trainer(
        case.network,
        loss,
        parameters,
        case.stimulus,
        DURATION,
        optimiser=Adam(learning_rate=[0.01, 5 * ms], bounds=[None, (15 * ms, 21 * ms)]),
        batch_size=4,
        seed=0,
    )

    class Sample:
        times, label = np.linspace(0.001, 0.06, 20), 1
        units = np.arange(20) % 5

    history = trainer.train([Sample()] * 8, epochs=6)
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    tau = float(case.neurons.tau_m[:])
    assert tau != 0.02 and 0.015 <= tau <= 0.021


class TestRefusals:
    def test_a_constant_is_not_trained(self):
        tau = 10 * ms
        neuron = NeuronGroup(1, "dv/dt = (1.5 - v)/tau : 1", threshold="v > 1", reset="v = 0", method="exact")
        gradient = SpikeGradient(
            Network(neuron), StateLoss(neuron, "v", 5 * ms), [(neuron, "tau")], namespace={"tau": tau}
        )
        with pytest.raises(NotImplementedError) as caught:
            gradient.write([np.array(0.02)])
        assert str(caught.value) == (
            f"'tau' is a constant of the script, which cannot be written from here; declare it as a parameter of "
            f"'{neuron.name}' ('tau : unit (shared, constant)')."
        )

    def test_a_name_that_the_equations_do_not_use(self):
        group = LIFGroup(1, tau_m=20 * ms, tau_s=5 * ms, name="neurons")
        with pytest.raises(NotImplementedError, match="There is no slope with respect to 'neurons.dt'"):
            SpikeGradient(Network(group), SpikeTimeLoss(group, target=1 * ms), [(group, "dt")])

    def test_a_state_that_does_not_exist(self):
        group = LIFGroup(1, tau_m=20 * ms, tau_s=5 * ms, name="neurons")
        with pytest.raises(ValueError, match="'neurons' has no state variable 'u'; there are I, v."):
            StateLoss(group, "u", 1 * ms)

    def test_times_and_targets_of_a_state(self):
        group = LIFGroup(1, tau_m=20 * ms, tau_s=5 * ms, name="neurons")
        with pytest.raises(DimensionMismatchError):
            StateLoss(group, "v", 1)
        with pytest.raises(DimensionMismatchError):
            StateLoss(group, "v", 1 * ms, target=1 * second)
        gradient = SpikeGradient(Network(group), StateLoss(group, "v", 30 * ms), [group.v])
        with pytest.raises(ValueError, match=r"The time 0.03 s of a StateLoss lies outside the trial, 0.0 s to 0.02 s"):
            gradient(20 * ms)
