"""Measure the CPU time of the forward and the reverse sweep on random input."""

from __future__ import annotations

import json
import platform
import time
from dataclasses import replace
from importlib.metadata import version

import numpy as np
from brian2 import second

from brian_qif import EventSolver, __version__
from brian_qif.protocols.networks import NEURONS
from brian_qif.protocols.preparation import initialise, prepare_trainer
from brian_qif.protocols.recipes import recipe_of
from brian_qif.training.datasets import SpikeSample

_REPETITIONS = 3


# What is measured stays the same network when recipes change.
_TAU_M = {"lif": 20e-3, "qif": 6e-3}


def measure_speed(
    neuron="qif",
    inputs=700,
    hidden=128,
    outputs=20,
    events=8000,
    samples=64,
    threads=1,
    seed=0,
    recurrent=False,
    coincident=False,
    dtype="float64",
):
    """Time a network on samples of random input, through the same path as a training.

    Each sample has ``events`` input spikes, uniform over one second, from uniformly drawn units, at distinct times or,
    with ``coincident``, at a quarter as many times, as in the Spiking Heidelberg Digits.
    The input weights are scaled until the hidden neurons fire five spikes each on average. Every figure is the
    median of three passes over all samples, after one that is not counted.

    Parameters
    ----------
    neuron : 'lif' or 'qif'
        The model of the hidden neurons.
    inputs, hidden, outputs : int
        The number of neurons in each layer.
    events : int
        Input spikes per sample.
    samples : int
        The number of samples.
    threads : int
        Samples computed at a time.
    seed : int
        Decides input, labels and weights.
    recurrent : bool
        Whether the hidden neurons hear each other too.
    coincident : bool
        Whether input spikes coincide.
    dtype : str
        The precision of states, weights and adjoints, "float64" or "float32".

    Returns
    -------
    dict
        ``forward_ms`` and ``gradient_ms`` (forward and reverse together): milliseconds of CPU time per sample, all
        threads added; ``forward_wall_ms`` and ``gradient_wall_ms``: of wall-clock time; the spikes per hidden neuron;
        the norm of the gradient; and the settings.

    Raises
    ------
    ValueError
        If a number is not positive or the neuron or the precision is unknown.
    """
    solver = EventSolver(dtype=dtype)
    sizes = {"inputs": inputs, "hidden": hidden, "outputs": outputs, "events": events, "samples": samples}
    for name, value in {**sizes, "threads": threads}.items():
        if value < 1:
            raise ValueError(f"'{name}' has to be at least 1, not {value}.")
    batch_of_samples = _random_samples(seed, inputs, outputs, events, samples, coincident)
    # A mean of three standard deviations makes all neurons about equally active.
    recipe = replace(recipe_of(neuron), tau_m=_TAU_M[neuron], initial_spikes=5.0, input_mean=3.0, smoothing=0.0, taps=1)
    recipe = replace(recipe, recurrent_scale=0.1, weight_time=0.15)
    layers = (inputs, hidden, outputs)
    trainer = prepare_trainer(neuron, layers, 1 * second, recipe, seed, threads, recurrent, solver)
    initialise(trainer, batch_of_samples, layers, recipe, seed)

    def passing(reverse):
        transform = trainer.clip if reverse else None
        return trainer.batch(
            batch_of_samples, trainer.duration, values=trainer.values, reverse=reverse, transform=transform
        )

    forward = _median_time(lambda: passing(reverse=False), samples)
    result = passing(reverse=True)
    gradient = _median_time(lambda: passing(reverse=True), samples)
    spikes = result.spike_counts["hidden"].mean(axis=0)
    return {
        "neuron": neuron,
        **sizes,
        "recurrent": recurrent,
        "coincident": coincident,
        "threads": trainer.batch.threads,
        "seed": seed,
        "forward_ms": forward[0],
        "gradient_ms": gradient[0],
        "forward_wall_ms": forward[1],
        "gradient_wall_ms": gradient[1],
        "mean_spikes_per_hidden_neuron": float(spikes.mean()),
        "min_spikes_per_hidden_neuron": float(spikes.min()),
        "max_spikes_per_hidden_neuron": float(spikes.max()),
        "gradient_norm": float(np.sqrt(sum(np.sum(slope**2) for slope in result.slopes))),
        "mean_loss": float(result.losses.mean()),
        "loss": "CrossEntropyLoss",
        "dtype": solver.dtype,
        "backend": solver.find_backend(trainer.batch.reading.plan).name,
        "versions": {
            "brian_qif": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("brian2", "numpy")},
        },
    }


def _random_samples(seed, inputs, outputs, events, samples, coincident):
    generator = np.random.default_rng([seed, 2])
    drawn = []
    for _ in range(samples):
        distinct = max(1, events // 4) if coincident else events
        times = np.unique(generator.random(distinct))
        while len(times) < distinct:
            times = np.unique(np.append(times, generator.random(distinct - len(times))))
        if coincident:
            times = np.sort(generator.choice(times, size=events))
        units = generator.integers(inputs, size=events)
        drawn.append(SpikeSample(times, units, int(generator.integers(outputs)), 0))
    return drawn


def _median_time(work, samples):
    """CPU and wall-clock time in milliseconds per sample, each the median over the repetitions."""
    work()
    times = []
    for _ in range(_REPETITIONS):
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        times.append((time.process_time() - cpu, time.perf_counter() - wall))
    return tuple(float(value) for value in np.median(times, axis=0) * 1e3 / samples)


def add_arguments(parser):
    """Give a parser the arguments of ``brian-qif bench``."""
    parser.add_argument(
        "--neuron", choices=sorted(NEURONS), default="qif", help="model of the hidden neurons (default: %(default)s)"
    )
    for name, default, text in (
        ("inputs", 700, "input neurons"),
        ("hidden", 128, "hidden neurons"),
        ("outputs", 20, "readout neurons"),
        ("events", 8000, "input spikes per sample, uniform over one second"),
        ("samples", 64, "samples"),
        ("threads", 1, "samples computed at a time"),
        ("seed", 0, "random input and weights"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{text} (default: %(default)s)")
    parser.add_argument("--recurrent", action="store_true", help="hidden neurons hear each other too")
    parser.add_argument(
        "--coincident", action="store_true", help="input spikes at a quarter as many times, as in the SHD"
    )
    parser.add_argument(
        "--dtype",
        choices=("float64", "float32"),
        default="float64",
        help="precision of states, weights and adjoints (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")


def run(arguments):
    """Carry out ``brian-qif bench``; the table or the JSON object to show."""
    settings = {name: value for name, value in vars(arguments).items() if name not in ("command", "json")}
    figures = measure_speed(**settings)
    if arguments.json:
        return json.dumps(figures)
    versions = figures.pop("versions")
    figures |= {f"version of {name}": text for name, text in versions.items()}
    width = max(len(name) for name in figures)
    return "\n".join(
        f"{name.replace('_', ' '):<{width}}  {value:.4g}" if isinstance(value, float) else f"{name:<{width}}  {value}"
        for name, value in figures.items()
    )
