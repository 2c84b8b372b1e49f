"""The bridge to PyTorch: its gradients by PyTorch's own check, and what it refuses."""

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, Synapses, ms

from brian_qif import SpikeGradient, SpikeTimeLoss
from brian_qif.models import QIFGroup
from brian_qif.training.datasets import SpikeSample
from tests.bridges.cases import CASES, DURATION, make_case

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from brian_qif.bridges.torch import SpikeTimes, spiking_function  # noqa: E402  (needs PyTorch)


def tensors(values, dtype=torch.double):
    return [torch.tensor(value, dtype=dtype, requires_grad=True) for value in values]


def small(weights=(12.0, 8.0)):
    """One input onto two QIF neurons."""
    stimulus = SpikeGeneratorGroup(1, [0], [2] * ms, name="stimulus")
    neurons = QIFGroup(2, tau_m=20 * ms, tau_s=10 * ms, name="neurons")
    synapses = Synapses(stimulus, neurons, "w : 1", on_pre="I_post += w", name="synapses")
    synapses.connect()
    synapses.w = weights
    return Network(stimulus, neurons, synapses), stimulus, neurons, synapses


@pytest.mark.parametrize("name", CASES)
def test_gradients_pass_the_check_of_torch(name):
    case = make_case(name)
    function = spiking_function(case.network, case.output, case.parameters, DURATION)
    # In units in which all values are of the order of one, so that one step fits all.
    scales = [max(1e-3, float(np.max(np.abs(value)))) for value in case.values]
    scaled = tensors([value / scale for value, scale in zip(case.values, scales, strict=True)])
    factor = 1.0 if "readout" in name or name == "states" else 1e3

    def of_scaled(*given):
        return factor * function(*(value * scale for value, scale in zip(given, scales, strict=True)))

    assert torch.autograd.gradcheck(of_scaled, scaled, eps=1e-6, atol=1e-6, rtol=1e-5)


def test_the_gradient_is_that_of_the_loss_in_brian2():
    network, _, neurons, synapses = small()
    target = np.array([6e-3, 12e-3])
    value, (slopes,) = SpikeGradient(network, SpikeTimeLoss(neurons, target=target * 1000 * ms), [synapses.w])(40 * ms)
    function = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms)
    (weights,) = tensors([synapses.w[:]])
    loss = torch.sum((function(weights)[0] - torch.tensor(target)) ** 2)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(value), rel=1e-14)
    np.testing.assert_allclose(weights.grad.numpy(), np.asarray(slopes), rtol=1e-13)


def test_weights_that_a_model_makes():
    """A linear layer gives the weights, and learns by what comes back."""
    network, _, neurons, synapses = small()
    function = spiking_function(network, SpikeTimes(neurons, pseudospikes=True), [synapses.w], 40 * ms)
    torch.manual_seed(1)
    layer = torch.nn.Linear(3, 2, dtype=torch.double)
    features, target = torch.ones(3, dtype=torch.double), torch.tensor([0.010, 0.014], dtype=torch.double)
    optimiser, losses = torch.optim.Adam(layer.parameters(), lr=0.1), []
    for _ in range(60):
        optimiser.zero_grad()
        loss = torch.sum((1e3 * (function(10 + layer(features))[0] - target)) ** 2)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]


def test_samples_are_the_trials_of_their_spikes():
    network, stimulus, neurons, synapses = small()
    samples = [SpikeSample(np.array([1e-3 * (n + 1), 9e-3]), np.array([0, 0]), label=0, speaker=0) for n in range(3)]
    together = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms, stimulus=stimulus)
    (weights,) = tensors([synapses.w[:]])
    times = together(weights, samples=samples)
    assert times.shape == (3, 1, 2)
    rows = torch.tensor([[1.0, 2.0], [-1.0, 0.5], [0.25, 3.0]], dtype=torch.double)[:, None, :]
    torch.sum(times * rows).backward()
    total = np.zeros(2)
    for sample, row, shown in zip(samples, rows, times.detach(), strict=True):
        stimulus.set_spikes(sample.units, sample.times * 1000 * ms)
        alone = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms)
        (own,) = tensors([synapses.w[:]])
        output = alone(own)
        torch.sum(output * row).backward()
        np.testing.assert_allclose(output.detach().numpy(), shown.numpy(), rtol=1e-13)
        total += own.grad.numpy()
    np.testing.assert_allclose(weights.grad.numpy(), total, rtol=1e-13)


def test_a_missing_spike_counts_as_the_end_with_slope_zero():
    network, _, neurons, synapses = small(weights=(12.0, 0.0))
    function = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms)
    (weights,) = tensors([synapses.w[:]])
    times = function(weights)
    times.sum().backward()
    assert times[0, 1].item() == 0.04
    assert weights.grad[1].item() == 0.0 and weights.grad[0].item() < 0


def test_single_precision_tensors_stay_so():
    network, _, neurons, synapses = small()
    function = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms)
    (weights,) = tensors([synapses.w[:]], dtype=torch.float32)
    times = function(weights)
    times.sum().backward()
    assert times.dtype == torch.float32 and weights.grad.dtype == torch.float32


def test_the_network_stays_as_it_is():
    network, _, neurons, synapses = small()
    function = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms)
    before = function(*tensors([[12.0, 8.0]])).detach()
    synapses.w = 0
    assert torch.equal(function(*tensors([[12.0, 8.0]])).detach(), before)
    assert list(synapses.w[:]) == [0, 0] and float(network.t) == 0


def test_what_is_changed_before_the_way_back_changes_no_slope():
    network, stimulus, neurons, synapses = small()
    function = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms, stimulus=stimulus)
    slopes = []
    for changed in (False, True):
        (weights,) = tensors([synapses.w[:]])
        samples, given = [SpikeSample(np.array([1e-3]), np.array([0]), label=0)], weights * 1.0
        times = function(given, samples=samples)
        if changed:
            with torch.no_grad():
                given.zero_()
                times *= 0
            samples.clear()
        times.backward(torch.ones_like(times))
        slopes.append(weights.grad)
    assert torch.equal(*slopes)


@pytest.mark.parametrize("view", ["strided", "negated", "expanded"])
def test_views_are_what_they_show(view):
    network, _, neurons, synapses = small()
    function = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms)
    weights = torch.tensor([[12.0, -12.0], [8.0, 12.0]], dtype=torch.double)
    shown = {
        "strided": lambda: weights[:, 0],
        "negated": lambda: torch._neg_view(-weights[:, 0]),
        "expanded": lambda: weights[0, 0].expand(2),
    }[view]()
    assert torch.equal(function(shown), function(torch.tensor(shown.tolist(), dtype=torch.double)))


def test_compiled_models_leave_the_trial_alone():
    network, _, neurons, synapses = small()
    function = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms)

    def model(weights):
        return torch.sum(1e3 * function(2 * weights))

    slopes = []
    for run in (model, torch.compile(model, backend="eager")):
        (weights,) = tensors([[6.0, 4.0]])
        run(weights).backward()
        slopes.append(weights.grad)
    assert torch.equal(*slopes)
    given = torch.tensor([12.0, 8.0])
    assert torch.equal(torch.compile(function, backend="eager")(given), function(given))


@pytest.mark.parametrize("transform", ["grad", "vmap", "jvp", "jacrev"])
def test_transformations_are_refused(transform):
    network, _, neurons, synapses = small()
    function = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms)
    weights = torch.tensor([12.0, 8.0])
    given = {
        "grad": lambda: torch.func.grad(lambda w: function(w).sum())(weights),
        "vmap": lambda: torch.vmap(function)(weights[None]),
        "jvp": lambda: torch.func.jvp(function, (weights,), (weights,)),
        "jacrev": lambda: torch.func.jacrev(function)(weights),
    }[transform]
    with pytest.raises(
        NotImplementedError, match=r"repeated by torch\.func: take backward\(\) or torch\.autograd\.grad"
    ):
        given()


def test_forward_mode_is_refused():
    network, _, neurons, synapses = small()
    function = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms)
    weights = torch.tensor([12.0, 8.0])
    with (
        torch.autograd.forward_ad.dual_level(),
        pytest.raises(NotImplementedError, match="A trial goes backwards alone"),
    ):
        function(torch.autograd.forward_ad.make_dual(weights, weights))


def test_second_derivatives_are_refused():
    network, _, neurons, synapses = small()
    function = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms)
    (weights,) = tensors([synapses.w[:]])
    (slope,) = torch.autograd.grad((function(weights) ** 2).sum(), weights, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


@pytest.mark.parametrize(
    "given, error, message",
    [
        ([], TypeError, r"The function has 1 argument\(s\) \(synapses\.w\); 0 were given\."),
        ([torch.zeros(3)], ValueError, r"synapses\.w has shape \(2,\); shape \(3,\) was given\."),
        ([torch.tensor([1, 2])], TypeError, r"The arguments are tensors of floating-point numbers; tensor\(\[1, 2\]\)"),
        ([np.zeros(2)], TypeError, r"The arguments are tensors of floating-point numbers; array\(\[0\., 0\.\]\)"),
        ([torch.tensor([1.0, np.nan])], ValueError, r"synapses\.w was given values that are not finite\."),
        ([torch.tensor([1.0, np.inf])], ValueError, r"synapses\.w was given values that are not finite\."),
        ([torch.zeros(0)], ValueError, r"synapses\.w has shape \(2,\); shape \(0,\) was given\."),
        ([[12.0, 8.0]], TypeError, r"The arguments are tensors of floating-point numbers; \[12\.0, 8\.0\] was given\."),
        ([torch.ones(2) > 0], TypeError, r"tensors of floating-point numbers; tensor\(\[True, True\]\) was given\."),
        ([torch.ones(2).to_sparse()], TypeError, r"The arguments are dense tensors that hold values; tensor\(indices="),
        (
            [torch.ones(2, device="meta")],
            TypeError,
            r"The arguments are dense tensors that hold values; tensor\(\.\.\., ",
        ),
    ],
)
def test_wrong_arguments_are_refused(given, error, message):
    network, _, neurons, synapses = small()
    function = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms)
    with pytest.raises(error, match=message):
        function(*given)


def test_samples_without_a_stimulus_are_refused():
    network, _, neurons, synapses = small()
    function = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms)
    sample = SpikeSample(np.array([1e-3]), np.array([0]), label=0, speaker=0)
    with pytest.raises(TypeError, match="make the function with stimulus=that group"):
        function(torch.ones(2), samples=[sample])
    network, stimulus, neurons, synapses = small()
    function = spiking_function(network, SpikeTimes(neurons), [synapses.w], 40 * ms, stimulus=stimulus)
    with pytest.raises(ValueError, match="At least one sample is needed"):
        function(torch.ones(2), samples=[])


def test_wrong_outputs_are_refused():
    network, _, neurons, synapses = small()
    with pytest.raises(TypeError, match="The output is SpikeTimes, ReadoutVoltage or StateValues"):
        spiking_function(network, SpikeTimeLoss(neurons, target=3 * ms), [synapses.w], 40 * ms)
    with pytest.raises(ValueError, match="0 was given"):
        SpikeTimes(neurons, count=0)
    for wrong in ([2], [-1], [0, 0], [0.5], []):
        with pytest.raises(ValueError, match="different indices from 0 to 1 of 'neurons'"):
            SpikeTimes(neurons, neurons=wrong)
    with pytest.raises(TypeError, match="SpikeTimes needs a NeuronGroup"):
        SpikeTimes("neurons")
    with pytest.raises(ValueError, match="at least one parameter"):
        spiking_function(network, SpikeTimes(neurons), [], 40 * ms)


def test_constants_of_the_script_are_found():
    tau = 20 * ms
    stimulus = SpikeGeneratorGroup(1, [0], [2] * ms)
    neurons = NeuronGroup(1, "dv/dt = (-v + I)/tau : 1\ndI/dt = -I/(5*ms) : 1", threshold="v > 1", reset="v = 0")
    synapses = Synapses(stimulus, neurons, "w : 1", on_pre="I_post += w")
    synapses.connect()
    synapses.w = 12
    function = spiking_function(Network(stimulus, neurons, synapses), SpikeTimes(neurons), [(neurons, "tau")], 40 * ms)
    (given,) = tensors([float(tau)])
    function(given).sum().backward()
    assert given.grad.item() > 0
