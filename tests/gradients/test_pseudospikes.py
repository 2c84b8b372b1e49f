"""Spikes beyond the end of the trial: exact slopes, and no jump where a spike leaves the trial."""

import numpy as np
import pytest
from brian2 import Network, SpikeGeneratorGroup, Synapses, ms

from brian_qif import (
    EventSolver,
    FirstSpikeCrossEntropyLoss,
    SpikeFunctionLoss,
    SpikeGradient,
    SpikeTimeLoss,
    check_gradient,
)
from brian_qif.models import LIFGroup, QIFGroup
from brian_qif.plan.reader import read_network
from brian_qif.solvers.sweeps import Request
from tests.networks import example

DURATION = 40 * ms


def layers(strength, delay=0 * ms, seed=1):
    """Inputs, three hidden and three output QIF neurons, feed-forward."""
    generator = np.random.default_rng(seed)
    stimulus = SpikeGeneratorGroup(4, [0, 1, 2, 3, 0], [2, 5, 9, 14, 22] * ms)
    hidden = QIFGroup(3, tau_m=20 * ms, tau_s=10 * ms, name="hidden*")
    outputs = QIFGroup(3, tau_m=20 * ms, tau_s=10 * ms, name="outputs*")
    into = Synapses(stimulus, hidden, "w : 1", on_pre="I_post += w", delay=delay)
    out = Synapses(hidden, outputs, "w : 1", on_pre="I_post += w", delay=delay)
    into.connect()
    out.connect()
    into.w = strength * generator.uniform(0.3, 1.7, 12)
    out.w = strength * generator.uniform(0.3, 1.7, 9)
    return Network(stimulus, hidden, outputs, into, out), hidden, outputs, into, out


def spike_count(gradient, group):
    gradient(DURATION)
    return len(gradient.trajectory.spikes[group].t)


# Without a spike; with spikes in the hidden layer alone.
@pytest.mark.parametrize(("strength", "fires"), [(0.6, False), (2.0, True)])
@pytest.mark.parametrize("delay", [0 * ms, 3 * ms])
def test_silent_neurons_pass_the_taylor_test(strength, fires, delay, backend):
    network, hidden, outputs, into, out = layers(strength, delay)
    loss = FirstSpikeCrossEntropyLoss(outputs, label=1, time_scale=5 * ms, early=0.1, pseudospikes=True)
    gradient = SpikeGradient(network, loss, [into.w, out.w, hidden.v, outputs.I], solver=EventSolver(backend))
    assert (spike_count(gradient, hidden) > 0) == fires
    assert spike_count(gradient, outputs) == 0
    report = check_gradient(gradient, DURATION)
    assert {direction.method for direction in report.directions} == {"order"}
    assert all(np.all(slope != 0) for slope in gradient(DURATION)[1][:2])


def test_time_constants_pass_the_taylor_test():
    network, hidden, outputs, into, out = layers(2.4)
    loss = SpikeTimeLoss(outputs, target=30 * ms, pseudospikes=True)
    parameters = [hidden.tau_m, outputs.tau_m, outputs.tau_s]
    check_gradient(SpikeGradient(network, loss, parameters, solver=EventSolver("reference")), DURATION)


def test_later_pseudospikes_pass_the_taylor_test(backend):
    network, hidden, outputs, into, out = layers(3.0)

    def third_spikes(t, i):
        slope = np.zeros_like(t)
        slope[[np.flatnonzero(i == n)[2] for n in range(3)]] = 1
        return np.sum(slope * t**2), 2 * slope * t

    loss = SpikeFunctionLoss(outputs, third_spikes, pseudospikes=3)
    check_gradient(SpikeGradient(network, loss, [into.w, out.w], solver=EventSolver(backend)), DURATION)


@pytest.mark.parametrize("delay", [0 * ms, 3 * ms])
@pytest.mark.parametrize("leaving", ["hidden", "outputs"])
def test_the_loss_has_no_jump_where_a_spike_leaves_the_trial(leaving, delay, backend):
    network, hidden, outputs, into, out = layers(3.0, delay)
    loss = SpikeTimeLoss(outputs, target=30 * ms, pseudospikes=True)
    gradient = SpikeGradient(network, loss, [into.w if leaving == "hidden" else out.w], solver=EventSolver(backend))
    function, start = gradient.flat(DURATION)
    group = hidden if leaving == "hidden" else outputs

    def count(factor):
        gradient.write(gradient.unflatten(factor * start))
        return spike_count(gradient, group)

    low, high = 0.1, 1.6
    assert count(low) == 0 < count(high)
    while high - low > 4 * np.finfo(float).eps:
        middle = (low + high) / 2
        low, high = (middle, high) if count(middle) == 0 else (low, middle)
        if middle in (low, high) and (low + high) / 2 in (low, high):
            break
    (before, slope_before), (after, slope_after) = function(low * start), function(high * start)
    # Two neighbouring numbers: the loss moves by its slope, and by rounding times the size of its terms.
    assert abs(after - before) <= 1e-13 * abs(before) + 10 * np.abs(slope_after @ start) * (high - low)
    assert np.all(np.isfinite(slope_before)) and np.all(np.isfinite(slope_after))


@pytest.mark.parametrize("v", [np.inf, -np.inf])
def test_a_neuron_at_infinity_has_just_spiked(v, backend):
    """Else a spike at the end would be counted twice: on its way, and by a phase that is full."""
    neuron = QIFGroup(1, tau_m=20 * ms, tau_s=10 * ms)
    neuron.v = v
    prepared = EventSolver(backend).prepare(read_network(Network(neuron)).plan)
    record = prepared.forward(Request(0.04, samples={0: np.zeros(1)}))
    assert record.samples[0][0, 0, 0] == -np.inf


class TestRefusals:
    def refusal(self, loss, network):
        with pytest.raises(NotImplementedError) as caught:
            SpikeGradient(network, loss, [])
        return str(caught.value)

    def test_lif_neurons(self):
        group = LIFGroup(2, tau_m=20 * ms, tau_s=5 * ms, name="neurons")
        loss = SpikeTimeLoss(group, target=1 * ms, pseudospikes=True)
        assert self.refusal(loss, Network(group)) == (
            "SpikeTimeLoss: 'neurons' does not spike at infinity; pseudospikes are known for QIF neurons that do, such "
            "as brian_qif.models.QIFGroup. Use pseudospikes=False."
        )

    def test_feedback(self):
        case = example("qif", recurrent=True)
        loss = FirstSpikeCrossEntropyLoss(case.neurons, label=0, pseudospikes=True)
        assert "need layers without feedback, and '" in self.refusal(loss, case.network)

    def test_synapses_on_the_voltage(self):
        stimulus = SpikeGeneratorGroup(1, [0], [1] * ms)
        group = QIFGroup(2, tau_m=20 * ms, tau_s=10 * ms, name="neurons")
        synapses = Synapses(stimulus, group, "w : 1", on_pre="v_post += w")
        synapses.connect()
        loss = SpikeTimeLoss(group, target=1 * ms, pseudospikes=True)
        assert "some act on the voltage of 'neurons'" in self.refusal(loss, Network(stimulus, group, synapses))
