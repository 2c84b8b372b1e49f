"""A trained network as the Brian2 network that it is: rebuilt from the folder of its run."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from brian2 import Quantity, Synapses, ms, second
from brian2.units.fundamentalunits import fail_for_dimension_mismatch

from brian_qif import CrossEntropyLoss
from brian_qif.gradients.batch import BatchGradient
from brian_qif.gradients.spike_gradient import SpikeGradient
from brian_qif.protocols.checks import refuse_below
from brian_qif.protocols.networks import Classifier, build_classifier
from brian_qif.protocols.trained_run import (
    learned_values,
    read_settings,
    recipe_in,
    refuse_another_size,
    refuse_other_sizes,
)
from brian_qif.training.encoding import SpikeEncoding

_AT_ONCE = 256
_FIRST_DELAY = 5 * ms  # of delays that are learned


def classifier_of(neuron, sizes, recipe, recurrent=False, trials=1):
    """The network that a recipe describes, with weights of zero.

    Parameters
    ----------
    neuron : 'lif' or 'qif'
        The model of the hidden neurons.
    sizes : tuple
        The number of input neurons, of hidden neurons (or a tuple, by layer) and of classes.
    recipe : Recipe
        Its time constants and its loss.
    recurrent, trials
        See `build_classifier`.

    Returns
    -------
    Classifier
    """
    return build_classifier(
        neuron,
        *sizes,
        tau_m=recipe.tau_m * second,
        tau_s=recipe.tau_s * second if recipe.tau_s > 0 else None,
        readout_tau_m=recipe.readout_tau_m * second,
        readout_tau_s=recipe.readout_tau_s * second,
        weight_time=recipe.weight_time * second,
        gain=recipe.gain,
        recurrent=recurrent,
        output=recipe.output,
        early=recipe.early,
        delay=_FIRST_DELAY if recipe.delay_rate > 0 else None,
        learn_time_constants=recipe.time_constant_rate > 0,
        input_delay=_FIRST_DELAY if recipe.input_delay_rate > 0 else None,
        learn_hidden_time_constants=recipe.hidden_time_constant_rate > 0,
        trials=trials,
    )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TrainedNetwork(Classifier):
    """A trained network and its parts, which are ordinary Brian2 objects.

    Attributes
    ----------
    network : brian2.Network
        The network of the groups and synapses below, to which monitors can be added.
    stimulus : brian2.SpikeGeneratorGroup
        The input, silent until `present` gives it spikes.
    hidden, readout : brian2.NeuronGroup
        The neurons. With several trials, those of trial k follow those of trial k - 1.
    input_synapses, output_synapses : brian2.Synapses
        Their variable ``w`` holds what was learned; ``recurrent_synapses`` is None where there are none.
    duration : brian2.Quantity
        The duration of a trial in the training.
    trials : int
        How many trials lie side by side.
    settings : dict
        The settings of the run, as in its settings.json.

    Examples
    --------
    >>> from brian_qif import EventSolver, load_network
    >>> from brian_qif.training.datasets import SpikeDataset
    >>> trained = load_network("results/qif")
    >>> with SpikeDataset("digits_test.h5") as dataset:
    ...     samples = [dataset[0], dataset[1]]
    >>> trained.present(samples[0])
    0
    >>> trajectory = EventSolver().simulate(trained.network, trained.duration)
    >>> outputs, spike_counts = trained.classify(samples)
    >>> outputs.shape
    (2, 20)
    """

    duration: Quantity
    trials: int
    settings: dict

    def __repr__(self):
        settings = self.settings
        sizes = f"{settings['inputs']}-{settings['hidden']}-{settings['classes']}"
        return f"<TrainedNetwork {settings['neuron'].upper()} {sizes}, trials side by side: {self.trials}>"

    def present(self, *samples, dt=None):
        """Give the stimulus the spikes of one sample per trial.

        Parameters
        ----------
        *samples : SpikeSample
            As many as there are trials; each has ``times`` (in seconds) and ``units``.
        dt : Quantity, optional
            The step of a clock-driven simulation. There a spike acts at the end of its step, so each is put into the
            step whose end is nearest to its time; and a neuron of a `SpikeGeneratorGroup` spikes once per step at
            most, so of spikes that share a step the later ones are moved to the next free one. Without ``dt`` all
            times stay as they are.

        Returns
        -------
        int
            The number of spikes that were moved because they shared a step.

        Raises
        ------
        ValueError
            If there are more or fewer samples than trials, or a unit that the network does not have.
        DimensionMismatchError
            If ``dt`` is not a time.
        """
        if len(samples) != self.trials:
            raise ValueError(f"This network takes one sample per trial, {self.trials}; {len(samples)} were given.")
        inputs = len(self.stimulus) // self.trials
        for sample in samples:
            if len(sample.units) and not 0 <= np.min(sample.units) <= np.max(sample.units) < inputs:
                raise ValueError(f"The units of a sample lie between 0 and {inputs - 1}; this network has no others.")
        units = np.concatenate([np.asarray(sample.units) + k * inputs for k, sample in enumerate(samples)])
        times = np.concatenate([np.asarray(sample.times, dtype=float) for sample in samples])
        moved = 0
        if dt is not None:
            fail_for_dimension_mismatch(dt, second, "dt is a time, for instance 0.1*ms")
            times, moved = _one_per_step(times, units, float(dt))
        self.stimulus.set_spikes(units.astype(np.int32), times * second)
        return moved

    def outputs(self, monitor):
        """What the network says after a clock-driven run: the outputs before the softmax.

        Parameters
        ----------
        monitor : brian2.StateMonitor
            It recorded ``v`` of all neurons of the readout, at every step of the run.

        Returns
        -------
        numpy.ndarray
            One row per trial, one column per class. The integral of the voltage is that of straight lines between the
            recorded values, so its error is of order dt**2, in addition to that of the run.

        Raises
        ------
        NotImplementedError
            For a loss that is not an average of the voltage.
        ValueError
            If the monitor did not record all neurons of the readout.
        """
        if not isinstance(self.loss, CrossEntropyLoss):
            raise NotImplementedError(
                f"Outputs are computed from voltages for a CrossEntropyLoss, not for a {type(self.loss).__name__}."
            )
        voltages, dt = np.asarray(monitor.v), float(monitor.clock.dt)
        if monitor.source is not self.readout or len(voltages) != len(self.readout):
            raise ValueError(
                "The monitor has to record v of all neurons of the readout: StateMonitor(readout, 'v', True)."
            )
        voltages = np.concatenate([voltages, voltages[:, -1:]], axis=1)
        weights = np.exp(-self.loss.rate * dt * np.arange(voltages.shape[1]))
        weights[[0, -1]] /= 2  # trapezoids
        means = voltages @ weights / weights.sum()
        return self.loss.gain * means.reshape(self.trials, -1)

    def classify(self, samples, solver=None, threads=None):
        """Outputs and spike counts of samples, each simulated on its own from the network's present state.

        Parameters
        ----------
        samples : sequence of SpikeSample
            With ``times`` and ``units``.
        solver : EventSolver or ClockSolver, optional
            By default an `EventSolver`.
        threads : int, optional
            Samples computed at a time, by default the preference ``brian_qif.threads``.

        Returns
        -------
        outputs : numpy.ndarray
            Before the softmax; one row per sample, one column per class.
        spike_counts : numpy.ndarray
            Of the hidden neurons; one row per sample.

        Raises
        ------
        ValueError
            If several trials lie side by side.
        """
        if self.trials != 1:
            raise ValueError("Samples are simulated one by one; load the network with trials=1.")
        gradient = SpikeGradient(self.network, self.loss, [], solver=solver, namespace={})
        batch = BatchGradient(gradient, self.stimulus, threads=threads)
        outputs, counts = [], []
        for first in range(0, len(samples), _AT_ONCE):
            some = [_Spikes(samples[k]) for k in range(first, min(first + _AT_ONCE, len(samples)))]
            result = batch(some, self.duration, reverse=False)
            outputs.append(result.outputs)
            counts.append(result.spike_counts[self.hidden.name])
        return np.concatenate(outputs), np.concatenate(counts)


class _Spikes:
    """The spikes of a sample, with a label that the batch asks for and that decides nothing about outputs."""

    label = 0

    def __init__(self, sample):
        self.times, self.units = sample.times, sample.units


def load_network(run, trials=1):
    """Rebuild a trained network from the folder of its run.

    Its parts are ordinary Brian2 objects with the trained values, for every Brian2 device: call ``set_device`` first
    where it is not runtime.

    Parameters
    ----------
    run : str or os.PathLike
        The folder, with settings.json and checkpoint.npz. The run need not be finished: the values are those of its
        last whole epoch.
    trials : int
        How many copies of the network lie side by side in the same groups, so that one clock-driven run takes as many
        samples.

    Returns
    -------
    TrainedNetwork

    Raises
    ------
    TypeError
        If the number of trials is no whole number, or the folder no path.
    FileNotFoundError
        If the folder holds no run.
    ValueError
        If there is not one trial at least, or the files are damaged or do not belong together.

    Examples
    --------
    >>> from brian_qif import load_network
    >>> load_network("results/qif")  # the folder of a run
    <TrainedNetwork QIF 70-4-20, trials side by side: 1>
    """
    refuse_below(1, "trials", trials)
    settings, path = read_settings(run), Path(run) / "checkpoint.npz"
    arrays, duration = learned_values(path)
    recipe = recipe_in(settings)
    inputs = SpikeEncoding(settings["inputs"], recipe.merge, taps=recipe.taps, tap_delay=recipe.tap_delay).n_inputs
    sizes = inputs, settings["hidden"], settings["classes"]
    refuse_other_sizes(path, arrays, sizes)
    classifier = classifier_of(settings["neuron"], sizes, recipe, settings["recurrent"], trials)
    for k, parameter in enumerate(classifier.parameters):
        value = arrays.get(f"value_{k}", np.empty(0))
        refuse_another_size(path, value.size, f"{parameter.group.name}.{parameter.name}", _size(parameter, trials))
        shared = parameter.variable.scalar
        setattr(parameter.group, f"{parameter.name}_", float(value) if shared else np.tile(value, trials))
    parts = {field.name: getattr(classifier, field.name) for field in fields(Classifier)}
    return TrainedNetwork(**parts, duration=duration * second, trials=trials, settings=settings)


def _size(parameter, trials):
    """How many values a variable has in one trial; a standalone device does not know how many synapses there are."""
    if parameter.variable.scalar:
        return 1
    group = getattr(parameter.group, "synapses", parameter.group)  # delays belong to a pathway of the synapses
    if not isinstance(group, Synapses):
        return len(group) // trials
    pre, post = len(group.source) // trials, len(group.target) // trials
    return pre * post - (pre if group.source is group.target else 0)


def _one_per_step(times, units, dt):
    """Times on the clock, and how many had to wait because an earlier spike of their unit has their step."""
    steps = np.maximum(np.rint(times / dt).astype(np.int64) - 1, 0)
    order = np.lexsort((steps, units))
    ordered, owners = steps[order], units[order].astype(np.int64)
    rank = np.arange(len(ordered))
    # Within a unit, the largest step - rank so far, plus the rank, is the first free step. Offsets keep units apart.
    offset = owners * (int(ordered.max(initial=0)) + len(ordered) + 1)
    free = np.maximum.accumulate(ordered - rank + offset) + rank - offset
    placed = np.empty(len(times))
    placed[order] = (free + 0.5) * dt
    return placed, int(np.count_nonzero(free != ordered))
