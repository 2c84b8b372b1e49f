"""A network that is trained in a second: 12 inputs, 5 hidden neurons, 3 classes."""

from dataclasses import dataclass

import numpy as np
from brian2 import ms

from brian_qif import EventSolver
from brian_qif.protocols.networks import build_classifier
from brian_qif.training.optimisers import Adam
from brian_qif.training.trainer import Trainer
from tests.training.spike_files import pattern_samples

DURATION = 50 * ms
DRIVE = {"lif": 0.5, "qif": 0.8}


@dataclass
class Word:
    """A sample of the tests."""

    times: np.ndarray
    units: np.ndarray
    label: int
    speaker: int = 0


def make_words(count, seed=0):
    times, units, labels = pattern_samples(np.random.default_rng(seed), count)
    return [
        Word(t, u, int(label), speaker=k % 2) for k, (t, u, label) in enumerate(zip(times, units, labels, strict=True))
    ]


def make_classifier(neuron="qif"):
    """The network with weights that make every hidden neuron fire a few spikes per sample."""
    classifier = build_classifier(neuron, 12, 5, 3, tau_m=10 * ms, weight_time=30 * ms, gain=10.0)
    generator = np.random.default_rng(1)
    classifier.input_synapses.w = DRIVE[neuron] * generator.uniform(0.6, 1.4, 60)
    classifier.output_synapses.w = generator.normal(0, 0.3, 15)
    return classifier


def make_trainer(neuron="qif", **settings):
    """A trainer of that network, and the network."""
    classifier = make_classifier(neuron)
    settings = {"optimiser": Adam([0.02, 0.1]), "batch_size": 8, "seed": 3, "threads": 1, **settings}
    trainer = Trainer(
        classifier.network,
        classifier.loss,
        classifier.parameters,
        classifier.stimulus,
        DURATION,
        solver=EventSolver("reference"),
        **settings,
    )
    return trainer, classifier
