"""Seconds of the reverse pass of the clock-driven solver per second of its forward pass, by device.

Run it as ``python -m tests.benchmarks.clock_ratio``: a 700-128-20 network of LIF neurons with a readout, 1 s in steps
of 0.5 ms, 8 samples of 8000 spikes side by side, slopes by all weights. Both passes are run once to make their
objects or programs, and then five times; the medians and the ratio of the medians are printed. Last, steps of a
training on cpp_standalone (both passes, everything that is read and written, and the optimiser) per seconds that its
two bare programs take.
"""

import subprocess
import time
from unittest.mock import patch

import numpy as np
from brian2 import Network, SpikeGeneratorGroup, Synapses, defaultclock, ms, prefs, second

from brian_qif import Adam, ClockSolver, CrossEntropyLoss, SpikeGradient
from brian_qif.gradients.batch import BatchGradient
from brian_qif.gradients.parameters import wanted_slopes
from brian_qif.models import LeakyIntegratorGroup, LIFGroup
from brian_qif.training.datasets import SpikeSample

SAMPLES, SPIKES, TURNS = 8, 8000, 5
SECONDS = 1.0


def gradient_on(device: str):
    generator = np.random.default_rng(0)
    stimulus = SpikeGeneratorGroup(700, [], [] * ms)
    hidden = LIFGroup(128, tau_m=20 * ms, tau_s=10 * ms)
    readout = LeakyIntegratorGroup(20, tau_m=20 * ms, tau_s=10 * ms)
    first = Synapses(stimulus, hidden, "w : 1", on_pre="I_post += w")
    last = Synapses(hidden, readout, "w : 1", on_pre="I_post += w")
    first.connect()
    last.connect()
    first.w = 0.03 + 0.1 * generator.normal(size=len(first))
    last.w = generator.normal(size=len(last))
    loss = CrossEntropyLoss(readout, weight_time=500 * ms)
    network = Network(stimulus, hidden, readout, first, last)
    return SpikeGradient(network, loss, [first.w, last.w], solver=ClockSolver(device)), stimulus


def samples(source: int):
    generator = np.random.default_rng(1)
    for _ in range(SAMPLES):
        times = np.sort(generator.uniform(0, SECONDS, SPIKES))
        yield {source: (times, generator.integers(0, 700, SPIKES))}


def measure(device: str) -> str:
    gradient, stimulus = gradient_on(device)
    reading = gradient.read()
    prepared = gradient.solver.prepare(reading.plan)
    request = gradient.loss.request(reading, SECONDS)
    stimuli = list(samples(reading.node(stimulus)))
    wanted = wanted_slopes(gradient.parameters, reading)
    spent = []
    for _ in range(1 + TURNS):
        started = time.perf_counter()
        records = prepared.forward_many(request, stimuli)
        seeds = [gradient.loss.evaluate(reading, record, SECONDS, 3)[1] for record in records]
        middle = time.perf_counter()
        prepared.reverse_many(records, seeds, wanted)
        spent.append((middle - started, time.perf_counter() - middle))
    forward, reverse = np.median(spent[1:], axis=0)
    spikes = sum(len(times) for record in records for times in record.spike_times[1:]) / SAMPLES
    return (
        f"{device}: forward {forward:.2f} s, reverse {reverse:.2f} s, ratio {reverse / forward:.2f} "
        f"({spikes:.0f} spikes of hidden neurons per sample)"
    )


def measure_steps(device: str) -> str:
    gradient, stimulus = gradient_on(device)
    batch, optimiser, values = BatchGradient(gradient, stimulus), Adam(learning_rate=1e-4), gradient.values()
    optimiser.prepare([value.shape for value in values])
    data = [SpikeSample(*pair, k, 0) for k, own in enumerate(samples(0)) for pair in own.values()]
    bare, spent, run = [], [], subprocess.run

    def timed(*arguments, **keywords):
        started = time.perf_counter()
        finished = run(*arguments, **keywords)
        bare[-1] += time.perf_counter() - started
        return finished

    with patch.object(subprocess, "run", timed):
        for _ in range(1 + TURNS):
            bare.append(0.0)
            started = time.perf_counter()
            values = optimiser.step(values, batch(data, SECONDS * second, values=values).slopes, 1.0)
            spent.append(time.perf_counter() - started)
    whole, programs = np.median(spent[1:]), np.median(bare[1:])
    return f"{device}: a training step {whole:.2f} s, its programs {programs:.2f} s, ratio {whole / programs:.2f}"


if __name__ == "__main__":
    prefs.codegen.target = "numpy"
    defaultclock.dt = 0.5 * ms
    for name in ("runtime", "cpp_standalone"):
        print(measure(name), flush=True)
    print(measure_steps("cpp_standalone"), flush=True)
