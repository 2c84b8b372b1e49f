#!/usr/bin/env python3
"""
EventProp on the Yin-Yang set
=============================

The task of

    Wunderlich & Pehle, Event-based backpropagation can compute exact gradients for spiking neural networks,
    Scientific Reports 11, 12829 (2021), https://doi.org/10.1038/s41598-021-91786-z

A point of the plane is told by the times of four spikes, for x, y, 1 - x and 1 - y between 10 and 40 ms, and a fifth at
20 ms. 200 hidden neurons hear them, and three neurons hear the hidden ones; the class is that of the output neuron that
spikes first. As there, hidden neurons may spike several times, and the loss is the cross-entropy of the first spike
times. Published, with leaky integrate-and-fire (LIF) neurons: 98.1 +- 0.2 % of the test points.

Here LIF and quadratic integrate-and-fire (QIF) neurons learn it, by the exact gradient. Time constants, initial weights
and step sizes are our own.

    python Wunderlich_2021.py             # one run of each model
    python Wunderlich_2021.py --seeds 10  # finished runs are kept: it may be broken off and started again
"""

import numpy as np
from brian2 import Network, SpikeGeneratorGroup, Synapses, ms

from brian_qif import Adam, FirstSpikeCrossEntropyLoss, Trainer
from brian_qif.models import LIFGroup, QIFGroup
from brian_qif.protocols.yin_yang import run_example
from brian_qif.training.latency import latency_samples
from brian_qif.training.remedies import ActivityFloor
from brian_qif.training.schedules import CosineSchedule

PUBLISHED = ("Wunderlich_2021", 98.1, 0.2)
N_HIDDEN = 200
# Mean and spread of the initial weights onto hidden and onto output neurons; the step sizes of both; and the limit of
# one sample's slopes by the weights of a neuron. They were chosen on other points than those of the test.
SETTINGS = {
    "lif": ((1.0, 0.05), (1.0, 0.2), (1e-2, 1e-2), None),
    "qif": ((4.0, 0.5), (4.0, 1.0), (2e-2, 2e-2), 3.0),
}


def encode(points, labels):
    """The spikes that tell of a point."""
    return latency_samples(points, labels, first=10 * ms, last=40 * ms, bias=20 * ms)


def make_groups(neuron):
    """Hidden and output neurons."""
    if neuron == "qif":
        times = {"tau_m": 10 * ms, "tau_s": 5 * ms}
        return QIFGroup(N_HIDDEN, **times, name="hidden"), QIFGroup(3, **times, name="output")
    times = {"tau_m": 15 * ms, "tau_s": 15 * ms}
    # Only the first spike of an output neuron counts; a low reset spares the others.
    return LIFGroup(N_HIDDEN, **times, name="hidden"), LIFGroup(3, **times, v_reset=-1e4, name="output")


def prepare(neuron, seed, samples):
    """The network with its initial weights, and what trains it."""
    means, spreads, steps, clip = SETTINGS[neuron]
    stimulus = SpikeGeneratorGroup(5, [], [] * ms, name="stimulus")
    hidden, output = make_groups(neuron)
    onto_hidden = Synapses(stimulus, hidden, "w : 1", on_pre="I_post += w", name="onto_hidden")
    onto_output = Synapses(hidden, output, "w : 1", on_pre="I_post += w", name="onto_output")
    generator = np.random.default_rng(seed)
    for synapses, mean, spread in zip((onto_hidden, onto_output), means, spreads, strict=True):
        synapses.connect()
        synapses.w = generator.normal(mean, spread, len(synapses))
    # A gradient knows nothing of spikes that are missing: without a floor, outputs that should be late fall silent.
    floors = [
        ActivityFloor(onto_hidden.w, minimum=0.1, lift=0.01),
        ActivityFloor(onto_output.w, minimum=0.9, lift=0.01),
    ]
    return Trainer(
        Network(stimulus, hidden, output, onto_hidden, onto_output),
        FirstSpikeCrossEntropyLoss(output, time_scale=0.5 * ms, early=0.2, pseudospikes=neuron == "qif"),
        [onto_hidden.w, onto_output.w],
        stimulus,
        60 * ms,
        optimiser=Adam(learning_rate=steps),
        batch_size=20,
        seed=seed,
        clip=clip,
        floor=floors,
        schedule=CosineSchedule(),
    )


if __name__ == "__main__":
    run_example(prepare, encode, PUBLISHED, __doc__, epochs=12)
