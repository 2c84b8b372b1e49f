"""A user's script under a strict type checker: the types that the public names promise (make types)."""

from collections.abc import Callable
from typing import assert_type

import numpy as np
import pandas as pd
from brian2 import Network, SpikeGeneratorGroup, Synapses, ms

from brian_qif import (
    Adam,
    EventSolver,
    GradientReport,
    SpikeFunctionLoss,
    SpikeGradient,
    SpikeTimeLoss,
    Trainer,
    Trajectory,
    cite,
    example_run,
)
from brian_qif.bridges.tables import spike_table
from brian_qif.example import Deviation
from brian_qif.models import QIFGroup
from brian_qif.training.datasets import SpikeDataset, SpikeSample
from brian_qif.training.records import Evaluation


def sum_of_times(t: np.ndarray, i: np.ndarray) -> tuple[float, np.ndarray]:
    return float(np.sum(t)), np.ones(len(t))


stimulus = SpikeGeneratorGroup(1, [0], [2] * ms)
neurons = QIFGroup(2, tau_m=20 * ms, tau_s=10 * ms)
synapses = Synapses(stimulus, neurons, "w : 1", on_pre="I_post += w")
network = Network(stimulus, neurons, synapses)

trajectory = EventSolver(threads=2).simulate(network, 40 * ms)
assert_type(trajectory, Trajectory)
assert_type(trajectory.spikes[neurons].i, np.ndarray)
assert_type(spike_table(trajectory), pd.DataFrame)

gradient = SpikeGradient(network, SpikeTimeLoss(neurons, target=12 * ms), [synapses.w], solver=EventSolver())
SpikeGradient(network, SpikeFunctionLoss(neurons, sum_of_times), [synapses.w])
value, slopes = gradient(40 * ms)
function, start = gradient.flat(40 * ms)
assert_type(start, np.ndarray)
assert_type(function(start), tuple[float, np.ndarray])

trainer = Trainer(network, SpikeTimeLoss(neurons, 12 * ms), [synapses.w], stimulus, 40 * ms, optimiser=Adam(1e-2))
samples = [SpikeSample(np.array([1e-3]), np.array([0]), label=0, speaker=0)]
assert_type(trainer.train(samples, epochs=3), pd.DataFrame)
assert_type(trainer.evaluate(samples), Evaluation)
assert_type(SpikeDataset("digits.h5").split(0.2), tuple[SpikeDataset, SpikeDataset])

assert_type(cite("bibtex"), str)
assert_type(example_run(report=None), list[Deviation])
report: Callable[[], GradientReport] | None = None
