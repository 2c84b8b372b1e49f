"""brian_qif: the network in Brian2's words, its gradient by `BatchGradient`, as `Trainer` computes it."""

import numpy as np
from brian2 import Network, SpikeGeneratorGroup, Synapses, second

from brian_qif import CrossEntropyLoss, EventSolver, FirstSpikeCrossEntropyLoss, SpikeGradient
from brian_qif.gradients.batch import BatchGradient
from brian_qif.models import LeakyIntegratorGroup, LIFGroup, QIFGroup
from brian_qif.training.datasets import SpikeSample
from brian_qif.training.initialisation import draw_weights, scale_to_activity

from .task import DURATION, GAIN, HIDDEN_SPIKES, OUTPUT_SPIKES, TAU_M, TAU_S, TIME_SCALE, Outcome, Setup, Sizes, Task

PACKAGES = ("brian_qif", "brian2", "numpy")
ABOUT = "`EventSolver` with its backend of generated C++, spikes and gradient exact up to rounding."
SETUPS = [
    Setup("brian_qif", neuron, readout, "exact", "no grid", precision)
    for readout in ("average", "first spike")
    for neuron in ("lif", "qif")
    for precision in ("float64", "float32")
]


def batch_gradient(sizes: Sizes, neuron: str, readout: str, dtype: str = "float64") -> BatchGradient:
    model = {"lif": LIFGroup, "qif": QIFGroup}[neuron]
    constants = {"tau_m": TAU_M * second, "tau_s": TAU_S * second}
    stimulus = SpikeGeneratorGroup(sizes.inputs, [], [] * second)
    hidden = model(sizes.hidden, name="hidden", **constants)
    if readout == "average":
        outputs = LeakyIntegratorGroup(sizes.outputs, name="outputs", **constants)
        loss = CrossEntropyLoss(outputs, gain=GAIN)
    else:
        outputs = model(sizes.outputs, name="outputs", **constants)
        loss = FirstSpikeCrossEntropyLoss(outputs, time_scale=TIME_SCALE * second)
    first = Synapses(stimulus, hidden, "w : 1", on_pre="I_post += w")
    last = Synapses(hidden, outputs, "w : 1", on_pre="I_post += w")
    first.connect()
    last.connect()
    network = Network(stimulus, hidden, outputs, first, last)
    gradient = SpikeGradient(network, loss, [first.w, last.w], solver=EventSolver(dtype=dtype))
    return BatchGradient(gradient, stimulus, threads=1)


def make_task(sizes: Sizes, neuron: str, readout: str) -> Task:
    """Random samples, and random weights that are scaled until the neurons fire as wanted."""
    generator = np.random.default_rng(0)
    times = np.sort(generator.uniform(0, DURATION, (sizes.batch, sizes.spikes)))
    units = generator.integers(sizes.inputs, size=times.shape)
    labels = generator.integers(sizes.outputs, size=sizes.batch)
    # With a mean all hidden neurons are about equally active, and output neurons fire at all.
    values = [
        draw_weights(generator, sizes.inputs, sizes.hidden, 3.0).ravel() / sizes.inputs,
        draw_weights(generator, sizes.hidden, sizes.outputs, 1.0).ravel() / sizes.hidden,
    ]
    batch = batch_gradient(sizes, neuron, readout)
    samples = _samples(times, units, labels)
    values, _ = scale_to_activity(batch, values, 0, "hidden", samples, DURATION * second, HIDDEN_SPIKES)
    if readout == "first spike":
        values, _ = scale_to_activity(batch, values, 1, "outputs", samples, DURATION * second, OUTPUT_SPIKES)
    counts = batch(samples, DURATION * second, values=values).spike_counts
    most = [int(counts[name].sum(axis=1).max()) if name in counts else 0 for name in ("hidden", "outputs")]
    first, last = values[0].reshape(sizes.inputs, -1), values[1].reshape(sizes.hidden, -1)
    return Task(sizes, times, units, labels, first, last, *most)


def prepare(setup: Setup, task: Task):
    """A function that computes the gradient of the first so many samples."""
    batch = batch_gradient(task.sizes, setup.neuron, setup.readout, setup.precision)
    samples = _samples(task.times, task.units, task.labels)
    values = [task.first.ravel(), task.last.ravel()]

    def gradient(count: int) -> Outcome:
        result = batch(samples[:count], DURATION * second, values=values)
        first, last = (slopes / count for slopes in result.slopes)
        spikes = result.spike_counts["hidden"].mean()
        return Outcome(spikes, first.reshape(task.first.shape), last.reshape(task.last.shape))

    return gradient


def _samples(times, units, labels):
    return [SpikeSample(*spikes, int(label), 0) for *spikes, label in zip(times, units, labels, strict=True)]
