"""One spike or weight changed: against closed forms, the exact gradient, and networks that are wired otherwise."""

from dataclasses import replace

import numpy as np
import pytest
from brian2 import Network, SpikeGeneratorGroup, Synapses, ms

from brian_qif import EventSolver, SpikeFunctionLoss, SpikeTimeLoss
from brian_qif.models import LIFGroup, QIFGroup
from brian_qif.protocols.perturbed_network import Perturbation, PerturbedNetwork
from brian_qif.training.datasets import SpikeSample

DURATION = 80 * ms
GROUPS = {"lif": LIFGroup, "qif": QIFGroup}
WEIGHTS = {"lif": 4.3, "qif": 5.0}


def crossing(neuron, weight, gap=None):
    """The time of the first spike, in ms, after an input of a weight at 0, and a second at ``gap``.

    LIF: v = w (A u - B u**2) with u = exp(-t/20 ms), A = 1 + exp(gap/20 ms), B = 1 + exp(gap/10 ms); QIF: q is a sum of
    cosines, see docs/mathematics.md.
    """
    if neuron == "lif":
        a, b = (1.0, 1.0) if gap is None else (1 + np.exp(gap / 20), 1 + np.exp(gap / 10))
        u = (a + np.sqrt(a**2 - 4 * b / weight)) / (2 * b)
        return -20 * np.log(u)
    if gap is None:
        return -20 * np.log1p(-np.pi / 2 / np.sqrt(weight))
    r, root, decay = -np.expm1(-gap / 20), np.sqrt(weight), np.exp(-gap / 20)
    p, q = decay * root * np.sin(root * r), np.cos(root * r)
    later = np.sqrt(weight * decay**2 + weight)
    return gap - 20 * np.log1p(-np.arctan2(later * q, p) / later)


def chain(neuron, backend="cpp", layer="first", weight=None, loss_target=(40,), **options):
    """An input spike at 1 ms, a neuron that answers once, and a second that hears it 2 ms later."""
    stimulus = SpikeGeneratorGroup(1, [0], [1] * ms, name="stimulus")
    first = GROUPS[neuron](1, tau_m=20 * ms, tau_s=10 * ms, name="first")
    second = GROUPS[neuron](1, tau_m=20 * ms, tau_s=10 * ms, name="second")
    onto = Synapses(stimulus, first, "w : 1", on_pre="I_post += w", name="onto")
    between = Synapses(first, second, "w : 1", on_pre="I_post += w", delay=2 * ms, name="between")
    for synapses in (onto, between):
        synapses.connect()
        synapses.w = WEIGHTS[neuron] if weight is None else weight
    loss = SpikeTimeLoss(second, target=loss_target * ms)
    network = Network(stimulus, first, second, onto, between)
    return PerturbedNetwork(network, DURATION, layer, loss, solver=EventSolver(backend=backend), **options)


@pytest.mark.parametrize("neuron", ["lif", "qif"])
def test_a_hidden_spike_is_changed_on_its_way(neuron, backend):
    network = chain(neuron, backend)
    base = network.run()
    own = base.trains["first"][0]
    alone = crossing(neuron, WEIGHTS[neuron])
    np.testing.assert_allclose(own * 1e3, 1 + alone, rtol=1e-12)
    np.testing.assert_allclose(base.trains["second"][0] * 1e3, 3 + 2 * alone, rtol=1e-12)

    spike = Perturbation("shift", 0, float(own[0]))
    shifted = network.run(perturbation=replace(spike, size=4e-3))
    np.testing.assert_allclose(shifted.trains["second"][0] * 1e3, 7 + 2 * alone, rtol=1e-12)
    earlier = network.run(perturbation=replace(spike, size=-4e-3))
    np.testing.assert_allclose(earlier.trains["second"][0] * 1e3, -1 + 2 * alone, rtol=1e-12)
    deleted = network.run(perturbation=replace(spike, kind="delete"))
    assert len(deleted.trains["second"][0]) == 0
    gap = 1.5
    added = network.run(perturbation=Perturbation("add", 0, float(own[0]) + gap * 1e-3))
    expected = 3 + alone + crossing(neuron, WEIGHTS[neuron], gap)
    np.testing.assert_allclose(added.trains["second"][0][0] * 1e3, expected, rtol=1e-12)
    for trial in (shifted, earlier, deleted, added):  # the neuron itself does what it did
        np.testing.assert_array_equal(trial.trains["first"][0], own)


@pytest.mark.parametrize("neuron", ["lif", "qif"])
def test_an_input_spike_is_changed_where_it_is_given(neuron, backend):
    network = chain(neuron, backend, layer="stimulus")
    alone = crossing(neuron, WEIGHTS[neuron])
    shifted = network.run(perturbation=Perturbation("shift", 0, 1e-3, 2.5e-3))
    np.testing.assert_allclose(shifted.trains["first"][0] * 1e3, 3.5 + alone, rtol=1e-12)
    np.testing.assert_allclose(shifted.trains["second"][0] * 1e3, 5.5 + 2 * alone, rtol=1e-12)
    deleted = network.run(perturbation=Perturbation("delete", 0, 1e-3))
    assert all(len(times) == 0 for times, _ in deleted.trains.values())
    added = network.run(perturbation=Perturbation("add", 0, 2e-3))
    np.testing.assert_allclose(
        added.trains["first"][0][0] * 1e3, 1 + crossing(neuron, WEIGHTS[neuron], 1.0), rtol=1e-12
    )


@pytest.mark.parametrize("neuron", ["lif", "qif"])
def test_a_weight_is_raised_in_units_of_its_like(neuron):
    network = chain(neuron)
    raised = network.run(perturbation=Perturbation("weight", 0, size=0.1))
    expected = 3 + crossing(neuron, WEIGHTS[neuron]) + crossing(neuron, 1.1 * WEIGHTS[neuron])
    np.testing.assert_allclose(raised.trains["second"][0] * 1e3, expected, rtol=1e-12)


def loop(neuron, backend, layer, delay=1.5):
    """Two groups that hear each other, and themselves through each other, under a few input spikes."""
    generator = np.random.default_rng(4)
    stimulus = SpikeGeneratorGroup(12, np.arange(12), np.sort(generator.uniform(1, 50, 12)) * ms, name="stimulus")
    first = GROUPS[neuron](6, tau_m=20 * ms, tau_s=10 * ms, name="first")
    second = GROUPS[neuron](4, tau_m=20 * ms, tau_s=10 * ms, name="second")
    joined = [
        Synapses(a, b, "w : 1", on_pre="I_post += w", delay=d * ms)
        for a, b, d in ((stimulus, first, 0), (first, second, 0.5), (second, first, delay), (first, first, delay))
    ]
    for synapses, scale in zip(joined, (6.0, 4.0, -2.0, 1.0), strict=True):
        synapses.connect()
        synapses.w = scale * generator.uniform(0, 1, len(synapses)) / np.sqrt(len(synapses.source) / 4)
    loss = SpikeFunctionLoss(second, lambda t, i: (np.sum((i + 1) * t**2), 2 * (i + 1) * t))
    network = Network(stimulus, first, second, *joined)
    return PerturbedNetwork(network, DURATION, layer, loss, solver=EventSolver(backend=backend))


@pytest.mark.parametrize("layer", ["stimulus", "first", "second"])
@pytest.mark.parametrize("neuron", ["lif", "qif"])
def test_small_changes_are_what_the_exact_gradient_says(neuron, layer, backend):
    network = loop(neuron, backend, layer)
    base = network.run()
    times, neurons = network.spikes_of(base)
    loss = base.loss
    weights = [Perturbation("weight", n) for n in range(network.synapses())]
    weight = next(one for one in weights if network.response(None, one) != 0)
    for chosen in (Perturbation("shift", int(neurons[0]), float(times[0])), weight):
        slope = network.response(None, chosen)
        assert slope != 0
        sizes = np.array([1e-5, 5e-6, 2.5e-6, 1.25e-6, 6.25e-7]) * (1 if chosen.kind == "shift" else 100)
        left = [abs(network.run(perturbation=replace(chosen, size=size)).loss - loss - slope * size) for size in sizes]
        orders = np.diff(np.log(left)) / np.diff(np.log(sizes))
        np.testing.assert_allclose(orders, 2, atol=0.1)


@pytest.mark.parametrize("layer", ["stimulus", "first"])
@pytest.mark.parametrize("neuron", ["lif", "qif"])
def test_nothing_follows_from_a_size_of_zero(neuron, layer):
    network = loop(neuron, "cpp", layer)
    base = network.run()
    times, neurons = network.spikes_of(base)
    for chosen in (Perturbation("shift", int(neurons[0]), float(times[0])), Perturbation("weight", 0)):
        same = network.run(perturbation=chosen)
        assert same.loss == base.loss
        for name, (kept, _) in base.trains.items():
            np.testing.assert_array_equal(same.trains[name][0], kept)


@pytest.mark.parametrize("neuron", ["lif", "qif"])
def test_in_a_loop_a_deleted_spike_is_as_if_its_synapses_were_cut(neuron, backend):
    def made(connected):
        stimulus = SpikeGeneratorGroup(1, [0, 0], [1, 40] * ms, name="stimulus")
        one = GROUPS[neuron](1, tau_m=20 * ms, tau_s=10 * ms, name="one")
        other = GROUPS[neuron](1, tau_m=20 * ms, tau_s=10 * ms, name="other")
        onto = Synapses(stimulus, one, "w : 1", on_pre="I_post += w")
        there = Synapses(one, other, "w : 1", on_pre="I_post += w", delay=1 * ms)
        back = Synapses(other, one, "w : 1", on_pre="I_post += w", delay=1 * ms)
        for synapses, weight in ((onto, {"lif": 1.3, "qif": 2.0}[neuron]), (there, connected), (back, -0.3)):
            synapses.connect()
            synapses.w = weight * WEIGHTS[neuron]
        network = Network(stimulus, one, other, onto, there, back)
        return PerturbedNetwork(network, DURATION, "one", solver=EventSolver(backend=backend))

    network, cut = made(1.0), made(0.0)
    base, expected = network.run(), cut.run()
    times, _ = network.spikes_of(base)
    free, _ = cut.spikes_of(expected)
    assert len(free) > 1 and len(times) > 1 and abs(times[1] - free[1]) > 1e-4
    found = network.run(perturbation=Perturbation("delete", 0, float(times[0])))
    # The first spike is not heard, so the second comes when it would alone.
    np.testing.assert_allclose(found.trains["one"][0][:2], free[:2], rtol=1e-12)


def test_samples_and_states():
    network = chain("qif", times=np.array([0.0, 0.01, 0.05]), stimulus="stimulus", layer="stimulus")
    sample = SpikeSample(np.array([3e-3, 0.2]), np.array([0, 0]), 0, 0)
    trial = network.run(sample)
    np.testing.assert_array_equal(trial.trains["stimulus"][0], [3e-3])  # the other comes after the trial
    assert trial.states["first"].shape == (3, 1)
    assert trial.states["first"][0, 0] == np.arctan(-0.5) / np.pi
    assert network.is_circular("first")


def test_spikes_of_a_sample_may_be_lists_in_any_order(backend):
    network = chain("qif", backend, stimulus="stimulus", layer="stimulus")
    ordered = network.run(SpikeSample(np.array([3e-3, 9e-3]), np.array([0, 0]), 0))
    given = network.run(SpikeSample([9e-3, 3e-3], [0, 0], 0))
    for name, (times, _) in ordered.trains.items():
        np.testing.assert_array_equal(given.trains[name][0], times)
    with pytest.raises(ValueError, match="'stimulus' has 1 neurons, so its units go from 0 to 0; one of them is 5."):
        network.run(SpikeSample([3e-3], [5], 0))


def test_what_is_not_there_is_refused():
    with pytest.raises(ValueError, match="There is no spiking layer 'third'; there are stimulus, first, second."):
        chain("lif", layer="third")
    with pytest.raises(ValueError, match="No synapses leave 'second'"):
        chain("lif", layer="second")
    network = chain("lif")
    for change, said in (
        (Perturbation("delete", 0, 5e-3), "Neuron 0 of 'first' has no spike at 0.005 s"),
        (Perturbation("add", 7, 5e-3), "has the neurons 0 to 0; it has no neuron 7"),
        (Perturbation("shift", 0, 5e-3, -6e-3), "before the trial begins"),
        (Perturbation("weight", 1), "1 synapses leave 'first', counted from 0; there is no synapse 1"),
    ):
        with pytest.raises(ValueError, match=said):
            network.run(perturbation=change)
    with pytest.raises(ValueError, match="There is no perturbation 'nudge'; there are add, delete, shift, weight"):
        Perturbation("nudge", 0)
    with pytest.raises(ValueError, match="Neuron 0 of 'stimulus' has no spike at 0.002 s"):
        chain("lif", layer="stimulus").run(perturbation=Perturbation("delete", 0, 2e-3))
    with pytest.raises(ValueError, match="'first' hears itself"):
        loop("lif", "cpp", "first").run(perturbation=Perturbation("shift", 0, 5e-3, -1e-4))
    with pytest.raises(ValueError, match="responds linearly to a shift"):
        network.response(None, Perturbation("add", 0, 1e-3))


def test_synapses_that_a_spike_changes_are_refused():
    first = LIFGroup(1, tau_m=20 * ms, tau_s=10 * ms, name="first")
    second = LIFGroup(1, tau_m=20 * ms, tau_s=10 * ms, name="second")
    depressing = Synapses(
        first, second, "dx/dt = (1 - x)/(50*ms) : 1 (event-driven)\nw : 1", on_pre="I_post += w*x\nx *= 0.5"
    )
    depressing.connect()
    with pytest.raises(NotImplementedError):
        PerturbedNetwork(Network(first, second, depressing), DURATION, "first", solver=EventSolver(numeric=True))
