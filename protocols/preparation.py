"""The network of a training and its trainer: what a recipe says, made."""

from __future__ import annotations

import math

import numpy as np
from brian2 import ms, second

from brian_qif.protocols.networks import SPIKING_OUTPUTS, layer_mark
from brian_qif.protocols.trained_network import classifier_of
from brian_qif.solvers.sweeps import UnboundedActivityError
from brian_qif.training.augmentation import SpikeAugmentation
from brian_qif.training.encoding import EncodedAugmentation, SpikeEncoding
from brian_qif.training.initialisation import draw_weights, scale_to_activity
from brian_qif.training.optimisers import Adam
from brian_qif.training.remedies import ActivityFloor, SharedBySource
from brian_qif.training.schedules import CosineSchedule
from brian_qif.training.trainer import Trainer

# First spikes are wanted of every class, and few after them; counts tell classes apart from a few on.
_OUTPUT_SPIKES = {"first spike": 1.5, "spike count": 5.0}
_WEIGHTS = ("input", "deeper", "recurrent", "readout")  # of the roles of parameters
# What a training raises that diverged: numbers are not finite any more, or spikes not to be counted.
DIVERGED = (ArithmeticError, UnboundedActivityError)
# Of the initial weights from one hidden layer to the next, in standard deviations; found by held-out samples.
_DEEPER_MEAN = 0.3


def encoding_of(recipe, inputs):
    """How a recipe brings spike trains of a number of channels to the input neurons."""
    taps = {"taps": recipe.taps, "tap_delay": recipe.tap_delay, "coincident": recipe.coincident}
    return SpikeEncoding(inputs, recipe.merge, recipe.time_step, recipe.virtual_times, **taps)


def augmentation_of(recipe, encoding):
    """What a recipe changes of recorded samples, which are then encoded."""
    changes = SpikeAugmentation(encoding.n_units, recipe.shift, recipe.stretch, recipe.jitter)
    return EncodedAugmentation(changes, encoding)


def trial_duration(samples):
    """The duration of a trial: up to the last spike of any sample, which lies inside after rounding up to 10 ms."""
    return (math.floor(float(samples.duration) / 0.01) + 1) * 10 * ms


def prepare_trainer(neuron, sizes, duration, recipe, seed=0, threads=None, recurrent=False, solver=None, encoding=None):
    """The network and its trainer, with all weights still zero.

    Parameters
    ----------
    neuron : 'lif' or 'qif'
        The model of the hidden neurons.
    sizes : tuple
        The number of input neurons, of hidden neurons (or a tuple, by layer) and of classes.
    duration : Quantity
        The duration of a trial.
    recipe : Recipe
        Initialisation and training.
    seed, threads, recurrent
        See `train_on_recordings`.
    solver : EventSolver or ClockSolver, optional
        By default an `EventSolver`.
    encoding : SpikeEncoding, optional
        From `encoding_of`. What is learned are then recorded samples, changed and encoded at each use; what is
        evaluated are encoded ones.

    Returns
    -------
    Trainer
        Its parameters are those of `Classifier.parameters`.
    """
    classifier = classifier_of(neuron, sizes, recipe, recurrent)
    steps = {
        "input": (recipe.learning_rate, recipe.clip or None, None),
        "deeper": (recipe.deeper_learning_rate, recipe.clip or None, None),
        "recurrent": (recipe.recurrent_learning_rate, recipe.clip or None, None),
        "readout": (recipe.readout_learning_rate, None, None),
        "delay": (recipe.delay_rate * second, None, (0 * ms, None)),
        "time constant": (recipe.time_constant_rate * second, None, (1 * ms, None)),
        "input delay": (recipe.input_delay_rate * second, None, (0 * ms, None)),
        "hidden time constant": (recipe.hidden_time_constant_rate * second, None, (1 * ms, None)),
    }
    rates, clips, bounds = map(list, zip(*[steps[role] for role in classifier.roles], strict=True))
    # Delays and time constants have no reason to become zero.
    decays = [recipe.weight_decay if role in _WEIGHTS else 0.0 for role in classifier.roles]
    levels = {"minimum": recipe.floor, "maximum": recipe.ceiling or math.inf}
    deeper = recipe.lift * recipe.deeper_learning_rate / recipe.learning_rate
    lifts = [(classifier.input_synapses, recipe.lift), *[(layer.synapses, deeper) for layer in classifier.deeper]]
    if recipe.output == "first spike":
        lifts.append((classifier.output_synapses, recipe.lift))
    return Trainer(
        classifier.network,
        classifier.loss,
        classifier.parameters,
        classifier.stimulus,
        duration,
        solver=solver,
        optimiser=Adam(learning_rate=rates, weight_decay=decays if len(set(decays)) > 1 else decays[0], bounds=bounds),
        batch_size=recipe.batch_size,
        seed=seed,
        threads=threads,
        clip=clips,
        floor=[ActivityFloor(synapses.w, lift=lift, **levels) for synapses, lift in lifts if recipe.floor],
        schedule=CosineSchedule(),
        augmentation=augmentation_of(recipe, encoding or SpikeEncoding(sizes[0])),
        shared=SharedBySource([classifier.input_synapses.delay]) if classifier.learns_input_delays else None,
        namespace={},
    )


def initialise(trainer, samples, sizes, recipe, seed=0):
    """Draw the initial weights and scale those onto each layer of spiking neurons to the recipe's activity.

    Parameters
    ----------
    trainer : Trainer
        From `prepare_trainer`; its network gets the weights.
    samples : sequence of SpikeSample
        64 of them, drawn at random, measure the activity.
    sizes, recipe, seed
        See `prepare_trainer`.

    Returns
    -------
    float
        The mean number of spikes per neuron of the first hidden layer and sample.
    """
    generator = np.random.default_rng([seed, 1])
    chosen = generator.choice(len(samples), size=min(64, len(samples)), replace=False)
    chosen = [samples[int(k)] for k in chosen]
    names = trainer.settings()["parameters"]
    drawn = _draw_all(generator, sizes, recipe)
    values = [
        drawn[name].ravel() if name in drawn else value for name, value in zip(names, trainer.values, strict=True)
    ]
    activities = {}
    for group, synapses, spikes in _wanted_activities(sizes, recipe):
        values, activities[group] = scale_to_activity(
            trainer.batch, values, names.index(f"{synapses}_w"), group, chosen, trainer.duration, spikes
        )
    trainer.gradient.write(values)
    trainer.restart()
    return activities["hidden"]


def _draw_all(generator, sizes, recipe):
    """Weights before they are scaled, by the name of the parameter."""
    inputs, hidden, classes = sizes
    layers = (hidden,) if np.ndim(hidden) == 0 else tuple(hidden)
    channels, prior = inputs // recipe.taps, (recipe.input_mean, recipe.smoothing)
    drawn = {
        "input_synapses_w": np.concatenate(
            [draw_weights(generator, channels, layers[0], *prior) for _ in range(recipe.taps)]
        )
        / inputs,
        "output_synapses_w": draw_weights(generator, layers[-1], classes, recipe.output_mean)
        * recipe.output_scale
        / math.sqrt(layers[-1]),
    }
    for k, size in enumerate(layers):
        among = generator.normal(size=size * (size - 1)) * recipe.recurrent_scale / math.sqrt(size)
        drawn[f"recurrent_synapses{layer_mark(k)}_w"] = among
        if k > 0:
            # With a mean above zero some scale gives every activity; a large one would make all neurons hear the same.
            deeper = draw_weights(generator, layers[k - 1], size, _DEEPER_MEAN) / layers[k - 1]
            drawn[f"input_synapses{layer_mark(k)}_w"] = deeper
    return drawn


def _wanted_activities(sizes, recipe):
    """Group, synapses onto it and spikes per neuron and sample, from the input on."""
    count = 1 if np.ndim(sizes[1]) == 0 else len(sizes[1])
    marks = [layer_mark(k) for k in range(count)]
    wanted = [(f"hidden{mark}", f"input_synapses{mark}", recipe.initial_spikes) for mark in marks]
    if recipe.output in SPIKING_OUTPUTS:
        wanted.append(("readout", "output_synapses", _OUTPUT_SPIKES[recipe.output]))
    return wanted
