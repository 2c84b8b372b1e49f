"""The bridge to JAX: its gradients by JAX's own check, its transformations, and what it refuses."""

import re

import numpy as np
import pytest
from brian2 import Network, SpikeGeneratorGroup, Synapses, ms, mV
from brian2.units import DimensionMismatchError

from brian_qif import SpikeGradient, SpikeTimeLoss
from brian_qif.models import QIFGroup
from brian_qif.training.datasets import SpikeSample
from tests.bridges.cases import CASES, DURATION, make_case

jax = pytest.importorskip("jax", reason="JAX is not installed")
test_util = pytest.importorskip("jax.test_util", reason="JAX is not installed")

from brian_qif.bridges.jax import SpikeTimes, spiking_function  # noqa: E402  (needs JAX)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def small():
    """One input onto two QIF neurons."""
    stimulus = SpikeGeneratorGroup(1, [0], [2] * ms, name="stimulus")
    neurons = QIFGroup(2, tau_m=20 * ms, tau_s=10 * ms, name="neurons")
    synapses = Synapses(stimulus, neurons, "w : 1", on_pre="I_post += w", name="synapses")
    synapses.connect()
    synapses.w = [12, 8]
    return Network(stimulus, neurons, synapses), stimulus, neurons, synapses


@pytest.mark.parametrize("name", CASES)
def test_gradients_pass_the_check_of_jax(name):
    case = make_case(name)
    function = spiking_function(case.network, case.output, case.parameters, DURATION)
    # In units in which all values are of the order of one, so that one step fits all.
    scales = [max(1e-3, float(np.max(np.abs(value)))) for value in case.values]
    scaled = [value / scale for value, scale in zip(case.values, scales, strict=True)]
    factor = 1.0 if "readout" in name or name == "states" else 1e3

    def of_scaled(*given):
        return factor * function(*(value * scale for value, scale in zip(given, scales, strict=True)))

    test_util.check_grads(of_scaled, scaled, order=1, modes=["rev"], eps=1e-6, atol=1e-6, rtol=1e-5)


def test_the_gradient_is_that_of_the_loss_in_brian2(small):
    network, _, neurons, synapses = small
    target = np.array([6e-3, 12e-3])
    value, (slopes,) = SpikeGradient(network, SpikeTimeLoss(neurons, target=target * 1000 * ms), [synapses.w])(40 * ms)
    function = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms)
    loss = jax.jit(jax.value_and_grad(lambda w: jax.numpy.sum((function(w)[0] - target) ** 2)))
    shown, gradient = loss(jax.numpy.array([12.0, 8.0]))
    assert float(shown) == pytest.approx(float(value), rel=1e-14)
    np.testing.assert_allclose(gradient, np.asarray(slopes), rtol=1e-13)


def test_many_trials_by_vmap(small):
    network, _, neurons, synapses = small
    function = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms)
    weights = jax.numpy.array([[12.0, 8.0], [9.0, 10.0], [11.0, 11.0]])
    gradient = jax.grad(lambda w: function(w).sum())
    together = jax.vmap(gradient)(weights)
    np.testing.assert_array_equal(together, np.stack([gradient(w) for w in weights]))


def test_samples_are_the_trials_of_their_spikes(small):
    network, stimulus, neurons, synapses = small
    samples = [SpikeSample(np.array([1e-3 * (n + 1), 9e-3]), np.array([0, 0]), label=0, speaker=0) for n in range(3)]
    together = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms, stimulus=stimulus)
    weights = jax.numpy.array([12.0, 8.0])
    rows = np.array([[1.0, 2.0], [-1.0, 0.5], [0.25, 3.0]])[:, None, :]
    total = jax.grad(lambda w: (rows * together(w, samples=samples)).sum())(weights)
    expected = np.zeros(2)
    for n, (sample, row) in enumerate(zip(samples, rows, strict=True)):
        stimulus.set_spikes(sample.units, sample.times * 1000 * ms)
        alone = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms)
        np.testing.assert_allclose(alone(weights), together(weights, samples=samples)[n], rtol=1e-13)
        expected += jax.grad(lambda w, alone=alone, row=row: (row * alone(w)).sum())(weights)
    np.testing.assert_allclose(total, expected, rtol=1e-13)


def test_large_arrays_go_through():
    """JAX moves large arrays in the background; a callback that waits for its own thread would never return."""
    stimulus = SpikeGeneratorGroup(700, np.arange(700), np.linspace(1, 30, 700) * ms)
    neurons = QIFGroup(512, tau_m=20 * ms, tau_s=10 * ms)
    synapses = Synapses(stimulus, neurons, "w : 1", on_pre="I_post += w")
    synapses.connect()
    function = spiking_function(Network(stimulus, neurons, synapses), SpikeTimes(neurons), [synapses.w], 40 * ms)
    weights = jax.numpy.full(700 * 512, 0.05)
    slopes = jax.jit(jax.grad(lambda w: function(w).sum()))(weights * 1.0)
    assert slopes.shape == weights.shape and bool(jax.numpy.any(slopes < 0))


def test_a_list_of_samples_may_change_before_the_way_back(small):
    network, stimulus, neurons, synapses = small
    function = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms, stimulus=stimulus)
    samples = [SpikeSample(np.array([1e-3]), np.array([0]), label=0)]
    times, back = jax.vjp(lambda w: function(w, samples=samples), jax.numpy.array([12.0, 8.0]))
    (expected,) = back(times)
    samples.clear()
    np.testing.assert_array_equal(back(times)[0], expected)


def test_lists_and_quantities_are_arrays_too(small):
    network, _, neurons, synapses = small
    function = spiking_function(network, SpikeTimes(neurons), [synapses.w, neurons.tau_m], 40 * ms)
    expected = function(jax.numpy.array([12.0, 8.0]), jax.numpy.array(20e-3))
    np.testing.assert_array_equal(function([12.0, 8.0], 20 * ms), expected)
    with pytest.raises(
        DimensionMismatchError, match=r"neurons\.tau_m is given in its unit, or as numbers \(units are V"
    ):
        function([12.0, 8.0], 20 * mV)
    with pytest.raises(DimensionMismatchError, match=r"synapses\.w is given in its unit, or as numbers \(units are V"):
        function([12 * mV, 8 * mV], 0.02)


def test_single_precision_arrays_stay_so(small):
    network, _, neurons, synapses = small
    function = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms)
    weights = jax.numpy.array([12.0, 8.0], dtype=jax.numpy.float32)
    assert function(weights).dtype == jax.numpy.float32
    assert jax.grad(lambda w: function(w).sum())(weights).dtype == jax.numpy.float32


def test_forward_mode_is_refused(small):
    network, _, neurons, synapses = small
    function = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms)
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jacfwd(function)(jax.numpy.array([12.0, 8.0]))


def test_wrong_arguments_are_refused(small):
    network, _, neurons, synapses = small
    function = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms)
    with pytest.raises(TypeError, match=r"The function has 1 argument\(s\) \(synapses\.w\); 2 were given\."):
        function(jax.numpy.zeros(2), jax.numpy.zeros(2))
    with pytest.raises(ValueError, match=r"synapses\.w has shape \(2,\); shape \(3,\) was given\."):
        jax.jit(function)(jax.numpy.zeros(3))
    with pytest.raises(TypeError, match="arrays of floating-point numbers; int64 was given"):
        function(jax.numpy.array([1, 2]))
    with pytest.raises(ValueError, match=r"synapses\.w was given values that are not finite"):
        function(jax.numpy.array([1.0, np.nan]))
    with pytest.raises(Exception, match=r"synapses\.w was given values that are not finite"):
        jax.jit(function)(jax.numpy.array([1.0, np.nan])).block_until_ready()


@pytest.mark.parametrize("given", [None, "x", {}, ["x", "y"], [[1.0], [1.0, 2.0]], np.array([None, 1.0])])
def test_what_is_no_array_is_refused(small, given):
    network, _, neurons, synapses = small
    function = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms)
    expected = f"The arguments are arrays of floating-point numbers; {given!r} was given."
    with pytest.raises(TypeError, match=re.escape(expected)):
        function(given)


@pytest.mark.parametrize(
    "samples, error, message",
    [
        ([], ValueError, "At least one sample is needed; an empty list was given."),
        (3, TypeError, "samples is a list of SpikeSample; 3 was given."),
        (iter([1]), TypeError, "samples is a list of SpikeSample; <list_iterator"),
        (
            ["x"],
            TypeError,
            "A sample has its spikes in 'times' (seconds) and 'units', rows of one length, as a SpikeSam",
        ),
        ([([1e-3], [5])], ValueError, "'stimulus' has 1 neurons, so its units go from 0 to 0; one of them is 5."),
        ([([np.nan], [0])], ValueError, "The spike times of 'stimulus' must be numbers in ascending order"),
    ],
)
def test_wrong_samples_are_refused_before_jax_calls(small, samples, error, message):
    """An error in the call back would be told by JAX, after pages of its own."""
    network, stimulus, neurons, synapses = small
    function = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms, stimulus=stimulus)
    if isinstance(samples, list):
        samples = [SpikeSample(*map(np.array, one), label=0) if isinstance(one, tuple) else one for one in samples]

    def call(weights):
        return function(weights, samples=samples)

    for run in (call, jax.jit(call)):
        with pytest.raises(error, match=re.escape(message)):
            run(jax.numpy.array([12.0, 8.0]))


def test_spikes_of_samples_are_constants(small):
    network, stimulus, neurons, synapses = small
    function = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms, stimulus=stimulus)

    def of_times(times):
        return function([12.0, 8.0], samples=[SpikeSample(times, np.array([0]), label=0)]).sum()

    for transform in (jax.jit, jax.grad):
        with pytest.raises(
            TypeError, match="The spikes of samples are constants, NumPy arrays that JAX does not trace"
        ):
            transform(of_times)(jax.numpy.array([1e-3]))
