"""Many samples through one network: sums, threads, and what is recomputed."""

import threading
from dataclasses import dataclass

import numpy as np
import pytest
from brian2 import Network, SpikeGeneratorGroup, Synapses, ms, second

from brian_qif import CrossEntropyLoss, EventSolver, GrazingSpikeError, SpikeGradient, Trainer
from brian_qif.gradients.batch import BatchGradient
from brian_qif.models import LeakyIntegratorGroup, LIFGroup
from tests.networks import make_group


@dataclass
class Trial:
    times: np.ndarray
    units: np.ndarray
    label: int


def network(kind, backend):
    generator = np.random.default_rng(3)
    stimulus = SpikeGeneratorGroup(10, [], [] * second)
    hidden = make_group(kind, 6, name="hidden*")
    readout = LeakyIntegratorGroup(3, tau_m=20 * ms, tau_s=5 * ms)
    into = Synapses(stimulus, hidden, "w : 1", on_pre="I_post += w")
    out = Synapses(hidden, readout, "w : 1", on_pre="I_post += w")
    into.connect()
    out.connect()
    into.w = generator.uniform(0, 2, 60)
    out.w = generator.normal(size=18)
    loss = CrossEntropyLoss(readout, weight_time=50 * ms)
    net = Network(stimulus, hidden, readout, into, out)
    return stimulus, hidden, SpikeGradient(net, loss, [into.w, out.w], solver=EventSolver(backend))


def trials(count):
    generator = np.random.default_rng(4)
    return [
        Trial(np.sort(generator.uniform(0, 0.06, 30)), generator.integers(0, 10, 30), int(generator.integers(3)))
        for _ in range(count)
    ]


@pytest.mark.parametrize("kind", ["lif", "qif"])
def test_a_batch_is_the_sum_of_its_samples(kind, backend):
    stimulus, hidden, gradient = network(kind, backend)
    samples = trials(3)
    result = BatchGradient(gradient, stimulus, threads=1)(samples, 100 * ms)
    total = None
    for sample, loss, counts in zip(samples, result.losses, result.spike_counts[hidden.name], strict=True):
        stimulus.set_spikes(sample.units, sample.times * second, sorted=True)
        gradient.loss.label = sample.label
        value, slopes = gradient(100 * ms)
        assert value == pytest.approx(loss, rel=1e-14)
        assert np.array_equal(np.bincount(gradient.trajectory.spikes[hidden].i, minlength=6), counts)
        total = slopes if total is None else [a + b for a, b in zip(total, slopes, strict=True)]
    for found, expected in zip(result.slopes, total, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def test_bits_do_not_depend_on_the_number_of_threads(backend):
    samples = trials(20)
    results = []
    for threads in (1, 2, 5):
        stimulus, _, gradient = network("qif", backend)
        results.append(BatchGradient(gradient, stimulus, threads=threads)(samples, 100 * ms))
    for other in results[1:]:
        assert np.array_equal(results[0].losses, other.losses)
        assert all(np.array_equal(a, b) for a, b in zip(results[0].slopes, other.slopes, strict=True))


@pytest.mark.parametrize(
    "times, units, error, message",
    [
        ([0.01], [99], ValueError, "so its units go from 0 to .*; one of them is 99"),
        ([np.nan], [0], ValueError, "must be numbers in ascending order"),
        ([0.01], [0.5], TypeError, "must be integers; they are float64"),
        (["x"], [0], TypeError, "A sample has its spikes in 'times'"),
    ],
)
def test_spikes_that_the_stimulus_cannot_have_are_refused(backend, times, units, error, message):
    stimulus, _, gradient = network("lif", backend)
    wrong = Trial(np.array(times), np.array(units), 0)
    with pytest.raises(error, match=message):
        BatchGradient(gradient, stimulus, threads=1)([wrong], 100 * ms)


@pytest.mark.parametrize("threads", [1, 2])
def test_what_is_done_meanwhile_is_done_once_and_by_who_calls(threads):
    stimulus, _, gradient = network("qif", "reference")
    callers = []
    batch = BatchGradient(gradient, stimulus, threads=threads)
    batch(trials(3), 100 * ms, meanwhile=lambda: callers.append(threading.get_ident()))
    assert callers == [threading.get_ident()]


def test_values_replace_those_of_the_network(backend):
    stimulus, _, gradient = network("lif", backend)
    batch = BatchGradient(gradient, stimulus, threads=1)
    samples = trials(2)
    values = [1.1 * value for value in gradient.values()]
    replaced = batch(samples, 100 * ms, values=values)
    gradient.write(values)
    written = batch(samples, 100 * ms)
    assert np.array_equal(replaced.losses, written.losses)
    assert np.array_equal(gradient.values()[0], values[0])


def test_a_transform_acts_on_each_sample(backend):
    stimulus, _, gradient = network("lif", backend)
    batch = BatchGradient(gradient, stimulus, threads=1)

    def ones(slopes):
        for slope in slopes:
            slope[:] = 1

    result = batch(trials(5), 100 * ms, transform=ones)
    assert all(np.all(slope == 5) for slope in result.slopes)


def test_order_of_coinciding_spikes_does_not_matter(backend):
    stimulus, _, gradient = network("qif", backend)
    times = np.repeat([0.01, 0.02, 0.03], 10)
    units = np.tile(np.arange(10), 3)
    turned = units.reshape(3, 10)[:, ::-1].ravel()
    batch = BatchGradient(gradient, stimulus, threads=1)
    result = batch([Trial(times, units, 0)], 100 * ms)
    other = batch([Trial(times, turned, 0)], 100 * ms)
    assert all(np.sum(counts) > 0 for counts in result.spike_counts.values())
    assert np.array_equal(result.losses, other.losses)
    assert all(np.array_equal(a, b) for a, b in zip(result.slopes, other.slopes, strict=True))


def test_spikes_of_a_sample_may_be_given_in_any_order(backend):
    stimulus, _, gradient = network("qif", backend)
    batch = BatchGradient(gradient, stimulus, threads=1)
    (sample,) = trials(1)
    mixed = np.random.default_rng(0).permutation(len(sample.times))
    other = Trial(sample.times[mixed], sample.units[mixed], sample.label)
    assert np.array_equal(batch([sample], 100 * ms).losses, batch([other], 100 * ms).losses)


def test_forward_only_gives_no_slopes(backend):
    stimulus, _, gradient = network("lif", backend)
    result = BatchGradient(gradient, stimulus)(trials(2), 100 * ms, reverse=False)
    assert result.slopes is None
    assert result.outputs.shape == (2, 3)


def test_a_neuron_group_is_no_stimulus(backend):
    _, hidden, gradient = network("lif", backend)
    with pytest.raises(TypeError, match="is not a SpikeGeneratorGroup"):
        BatchGradient(gradient, hidden)


def grazing_network(backend):
    """One input spike of weight 4 just lifts the neuron to its threshold; a second one makes it cross."""
    stimulus = SpikeGeneratorGroup(2, [], [] * second)
    neuron, readout = LIFGroup(1, tau_m=20 * ms, tau_s=10 * ms), LeakyIntegratorGroup(2, tau_m=20 * ms, tau_s=5 * ms)
    into = Synapses(stimulus, neuron, "w : 1", on_pre="I_post += w")
    out = Synapses(neuron, readout, "w : 1", on_pre="I_post += w")
    into.connect()
    out.connect()
    into.w, out.w = 4, [1, -1]
    net, loss = Network(stimulus, neuron, readout, into, out), CrossEntropyLoss(readout, weight_time=50 * ms)
    solver = EventSolver(backend)
    return stimulus, SpikeGradient(net, loss, [into.w, out.w], solver=solver), (net, loss, [into.w, out.w], solver)


GRAZING, CROSSING = Trial(np.array([2e-3]), np.array([0]), 0), Trial(np.array([2e-3, 4e-3]), np.array([0, 1]), 1)


def test_a_sample_whose_spike_grazes_is_an_error_or_left_out(backend):
    stimulus, gradient, _ = grazing_network(backend)
    batch = BatchGradient(gradient, stimulus, threads=1)
    with pytest.raises(GrazingSpikeError, match="only grazes its threshold"):
        batch([CROSSING, GRAZING], 60 * ms)
    found, alone = (batch(samples, 60 * ms, leave_out_grazing=True) for samples in ([CROSSING, GRAZING], [CROSSING]))
    assert (found.grazing, alone.grazing) == ([1], [])
    assert np.all(np.concatenate(alone.slopes) != 0)
    assert all(np.array_equal(a, b) for a, b in zip(found.slopes, alone.slopes, strict=True))
    nothing = batch([GRAZING], 60 * ms, leave_out_grazing=True)
    assert nothing.grazing == [0]
    assert np.isfinite(nothing.losses[0])
    assert [slope.tolist() for slope in nothing.slopes] == [[0, 0], [0, 0]]


def test_a_training_goes_on_and_counts_samples_whose_spikes_graze(backend):
    stimulus, _, (net, loss, parameters, solver) = grazing_network(backend)
    trainer = Trainer(net, loss, parameters, stimulus, 60 * ms, solver, batch_size=3, seed=0, threads=1)
    history = trainer.train([GRAZING, CROSSING, CROSSING], epochs=1)
    assert history["grazing_samples"].tolist() == [1]
    assert np.all(trainer.values[0] != 4)
