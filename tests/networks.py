"""Networks that several test modules share: small, seeded, with neurons that fire a few spikes each."""

from dataclasses import dataclass

import numpy as np
from brian2 import Network, SpikeGeneratorGroup, Synapses, ms

from brian_qif.models import LeakyIntegratorGroup, LIFGroup, QIFGroup

DURATION = 100 * ms

# Weights that make each model fire 2 to 8 spikes per neuron in the wirings below; the tests check it.
DRIVE = {"lif": 1.4, "qif": 2.0}
LOOP = {"lif": 0.4, "qif": 0.6}


@dataclass
class Example:
    """A network with its parts by name and the parameters that have slopes."""

    network: Network
    neurons: object
    stimulus: object
    synapses: object
    parameters: dict
    readout: object = None


def make_group(kind: str, size: int, **keywords):
    """A group of one of the two spiking models with its time constants of the tests."""
    if kind == "lif":
        return LIFGroup(size, tau_m=20 * ms, tau_s=keywords.pop("tau_s", 5 * ms), **keywords)
    return QIFGroup(size, tau_m=20 * ms, tau_s=10 * ms, **keywords)


def example(
    kind: str, recurrent: bool = False, delays: bool = False, readout: bool = False, seed: int = 0, **keywords
) -> Example:
    """Five inputs onto four neurons, with a loop of excitation and inhibition and a readout if wanted."""
    generator = np.random.default_rng(seed)
    stimulus = SpikeGeneratorGroup(5, np.arange(20) % 5, np.sort(generator.uniform(0, 60, 20)) * ms)
    neurons = make_group(kind, 4, **keywords)
    neurons.v = generator.uniform(0, 0.5, 4)
    neurons.I = generator.uniform(0, 1, 4)
    synapses = Synapses(stimulus, neurons, "w : 1", on_pre="I_post += w")
    synapses.connect()
    synapses.w = DRIVE[kind] * generator.uniform(0.4, 1.6, 20)
    parts = [stimulus, neurons, synapses]
    parameters = {"w": synapses.w, "spike_time": stimulus.spike_time, "v": neurons.v, "I": neurons.I}
    if delays:
        synapses.delay = generator.uniform(0, 5, 20) * ms
        parameters["delay"] = synapses.delay
    if recurrent:
        loop = Synapses(neurons, neurons, "w : 1", on_pre="I_post += w", delay=1.5 * ms if delays else None)
        loop.connect(condition="i != j")
        loop.w = LOOP[kind] * generator.normal(size=12)
        parts.append(loop)
        parameters["loop_w"] = loop.w
        if delays:
            parameters["loop_delay"] = loop.delay
    result = Example(None, neurons, stimulus, synapses, parameters)
    if readout:
        result.readout = LeakyIntegratorGroup(3, tau_m=20 * ms, tau_s=5 * ms)
        output = Synapses(neurons, result.readout, "w : 1", on_pre="I_post += w", delay=1 * ms if delays else None)
        output.connect()
        output.w = generator.normal(size=12)
        parts += [result.readout, output]
        parameters["readout_w"] = output.w
    result.network = Network(*parts)
    return result


def smooth_loss(group, seed: int = 0):
    """A loss that uses every spike of every neuron, with curvature: ``function(t, i)`` for `SpikeFunctionLoss`."""
    from brian_qif import SpikeFunctionLoss

    weights = np.random.default_rng(seed).uniform(0.5, 1.5, len(group))

    def function(t, i):
        return np.sum(weights[i] * np.sin(40 * t)), 40 * weights[i] * np.cos(40 * t)

    return SpikeFunctionLoss(group, function)
