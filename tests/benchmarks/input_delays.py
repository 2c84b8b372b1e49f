"""What delays from the input cost: processor time of value and gradient of one sample, on the embedded digits.

Run it as ``python -m tests.benchmarks.input_delays``: networks with 128 hidden neurons as the recipes make them, their
delays from the input zero, one for each input neuron, one for each synapse, and one for each synapse in whole
milliseconds. All take turns, and the medians are printed, in milliseconds per sample.
"""

import time
from dataclasses import replace

import numpy as np
import pandas as pd

from brian_qif.data.embedded import embedded_files
from brian_qif.protocols.preparation import encoding_of, initialise, prepare_trainer, trial_duration
from brian_qif.protocols.recipes import recipe_of
from brian_qif.training.datasets import SpikeDataset

HIDDEN, SAMPLES, TURNS, MOST = 128, 8, 5, 20e-3
KINDS = ("none", "one for each input neuron", "one for each synapse", "one for each synapse, in whole milliseconds")


def delays_of(kind, inputs):
    """A delay of each synapse from the input, in seconds, row by row."""
    generator = np.random.default_rng(0)
    if kind == "one for each input neuron":
        return np.repeat(generator.uniform(0, MOST, inputs), HIDDEN)
    drawn = generator.uniform(0, MOST, inputs * HIDDEN)
    return np.round(drawn, 3) if kind.endswith("whole milliseconds") else drawn


def prepare(neuron, kind, file):
    """A function that computes the gradients of some samples."""
    with SpikeDataset(file) as plain:
        inputs = plain.n_units
        recipe = replace(recipe_of(neuron, inputs=inputs), input_delay_rate=0.0 if kind == "none" else 1e-4)
        encoding = encoding_of(recipe, inputs)
        samples = [encoding(plain[k]) for k in range(SAMPLES)]
        sizes, duration = (encoding.n_inputs, HIDDEN, plain.n_classes), trial_duration(plain)
    trainer = prepare_trainer(neuron, sizes, duration, recipe, threads=1, encoding=encoding)
    initialise(trainer, samples, sizes, recipe)
    values = [value.copy() for value in trainer.values]
    if kind != "none":
        (position,) = trainer.shared.positions
        values[position] = delays_of(kind, encoding.n_inputs)
    trainer.batch(samples, duration, values=values)  # compiles
    return lambda: trainer.batch(samples, duration, values=values)


def main():
    """Print the table."""
    file = embedded_files()[0]
    made = {(kind, neuron): prepare(neuron, kind, file) for kind in KINDS for neuron in ("lif", "qif")}
    times = {key: [] for key in made}
    for _ in range(TURNS):
        for key, gradients in made.items():
            started = time.process_time()
            gradients()
            times[key].append(1e3 * (time.process_time() - started) / SAMPLES)
    rows = [{"delays": kind, **{n.upper(): np.median(times[kind, n]) for n in ("lif", "qif")}} for kind in KINDS]
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:.1f}".format))


if __name__ == "__main__":
    main()
