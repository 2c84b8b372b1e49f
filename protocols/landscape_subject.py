"""What a landscape is drawn of: a network and samples as plain data, and the loss at any point around the network."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from brian_qif import EventSolver
from brian_qif.data.embedded import embedded_files
from brian_qif.gradients.spike_gradient import SpikeGradient
from brian_qif.protocols.checks import refuse_unless_whole, several
from brian_qif.protocols.directions import random_direction
from brian_qif.protocols.preparation import encoding_of
from brian_qif.protocols.run_folder import fingerprint
from brian_qif.protocols.trained_network import classifier_of
from brian_qif.protocols.trained_run import (
    learned_names,
    learned_values,
    read_settings,
    recipe_in,
    refuse_other_inputs,
    refuse_other_names,
)
from brian_qif.solvers.sweeps import GrazingSpikeError, Record
from brian_qif.training.datasets import SpikeDataset, SpikeSample

_DRAWN = 5  # with the seed, what the choice of samples is drawn from


@dataclass(frozen=True)
class Subject:
    """A network and samples as plain data, which any worker can take.

    Attributes
    ----------
    label : str
        What the network is called in tables and pictures.
    run : str
        The folder of its run.
    settings : dict
        The settings of that run.
    duration : float
        The length of a trial in seconds.
    values : list of numpy.ndarray
        The values of the parameters, in SI units.
    samples : list of SpikeSample
        As its input neurons get them.
    numbers : list of int
        Their numbers in the file.
    seed : int
        Decides all directions.
    normalise : str
        See `random_direction`.
    """

    label: str
    run: str
    settings: dict
    duration: float
    values: list[np.ndarray]
    samples: list[SpikeSample]
    numbers: list[int]
    seed: int
    normalise: str

    @property
    def key(self) -> str:
        """A digest of all that decides the loss."""
        digest = hashlib.sha256(json.dumps([self.settings, self.duration, self.seed, self.normalise]).encode())
        for array in [*self.values, *[part for one in self.samples for part in (one.times, one.units)]]:
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Trial:
    """One sample at one point: its loss, whether the largest output is right, its record and the loss's seeds."""

    loss: float
    right: bool
    record: Record
    seeds: object


class Probe:
    """The loss of a subject's samples at points around its network.

    Parameters
    ----------
    subject : Subject
    dtype : str
        The precision of the solver.
    """

    def __init__(self, subject: Subject, dtype="float64"):
        self.subject = subject
        settings = subject.settings
        recipe = recipe_in(settings)
        sizes = encoding_of(recipe, settings["inputs"]).n_inputs, settings["hidden"], settings["classes"]
        self.classifier = classifier_of(settings["neuron"], sizes, recipe, settings["recurrent"])
        self.gradient = SpikeGradient(
            self.classifier.network,
            self.classifier.loss,
            self.classifier.parameters,
            solver=EventSolver(dtype=dtype),
            namespace={},
        )
        self.reading = self.gradient.read()
        self.stimulus = self.reading.node(self.classifier.stimulus)
        self.spiking = [k for k, node in enumerate(self.reading.plan.nodes) if getattr(node, "spikes", False)]
        self.neurons = sum(self.reading.plan.nodes[k].size for k in self.spiking)

    def direction(self, *key: int):
        """The random direction of a key; the same key gives networks of one shape the same numbers."""
        generator = np.random.default_rng([self.subject.seed, *key])
        return random_direction(self.classifier.parameters, self.subject.values, generator, self.subject.normalise)

    def moved(self, *steps):
        """Values of the parameters after steps, pairs of a size and a direction."""
        values = [np.array(value, dtype=float) for value in self.subject.values]
        for size, direction in steps:
            values = [value + size * part for value, part in zip(values, direction, strict=True)]
        return values

    def at(self, *steps):
        """The network at a point."""
        return Point(self, self.moved(*steps))

    def spikes(self, record: Record):
        """Times and neurons of all hidden spikes in their order; neurons of further groups are counted on."""
        plan, first, times, units = self.reading.plan, 0, [], []
        for k in self.spiking:
            times.append(record.spike_times[k])
            units.append(record.spike_units[k] + first)
            first += plan.nodes[k].size
        if len(times) == 1:
            return times[0], units[0]
        times, units = np.concatenate(times), np.concatenate(units)
        order = np.argsort(times, kind="stable")
        return times[order], units[order]


class Point:
    """The network at one point of parameter space."""

    def __init__(self, probe: Probe, values):
        self.probe = probe
        self.reading = probe.gradient.with_values(probe.reading, values)
        self.prepared = probe.gradient.solver.prepare(self.reading.plan)
        self.duration = probe.subject.duration
        self.request = probe.gradient.loss.request(self.reading, self.duration)

    def trial(self, number: int) -> Trial:
        """Run one sample.

        Raises
        ------
        FloatingPointError
            If the loss is not finite.
        """
        sample = self.probe.subject.samples[number]
        times = sample.times + self.reading.plan.start
        record = self.prepared.forward(self.request, {self.probe.stimulus: (times, sample.units)})
        value, seeds, outputs = self.probe.gradient.loss.evaluate(self.reading, record, self.duration, sample.label)
        if not np.isfinite(value):
            subject = self.probe.subject
            raise FloatingPointError(
                f"The loss of sample {subject.numbers[number]} is {value} at a point around the network of"
                f" '{subject.run}'. Choose a smaller extent."
            )
        return Trial(float(value), bool(np.argmax(outputs) == sample.label), record, seeds)

    def slopes(self, trial: Trial):
        """The gradient of a trial, one array for each parameter; NaN where a spike only grazes its threshold."""
        try:
            return self.probe.gradient.carry_back(self.reading, self.prepared, trial.record, trial.seeds, self.duration)
        except GrazingSpikeError:
            return [np.full_like(value, np.nan) for value in self.probe.subject.values]


def dot(slopes, direction) -> float:
    """The slope along a direction."""
    return sum(float(np.sum(slope * part)) for slope, part in zip(slopes, direction, strict=True))


_PROBES: dict[tuple, Probe] = {}  # of this process, the last ones that were used


def probe_of(subject: Subject, dtype="float64") -> Probe:
    """A probe of this process for a subject, made once."""
    key = subject.key, dtype, tuple(sample.label for sample in subject.samples)
    if key not in _PROBES:
        while len(_PROBES) >= 4:
            _PROBES.pop(next(iter(_PROBES)))
        _PROBES[key] = Probe(subject, dtype)
    return _PROBES[key]


def read_subjects(runs, test=None, samples=64, pick=None, seed=0, normalise="neuron"):
    """The networks of runs, each with the same samples.

    Parameters
    ----------
    runs : list of str or os.PathLike
        Folders of runs of ``brian-qif train``.
    test : str or os.PathLike, optional
        The file that the samples are from; by default the digits of the package, where the runs were tested on these.
    samples : int or 'all'
        How many samples are drawn at random.
    pick : list of int, optional
        The numbers of the samples instead.
    seed, normalise
        See `Subject`.

    Returns
    -------
    subjects : list of Subject
    description : dict
        What is known of the samples: the file's name, its fingerprint, source, whether it is synthetic, the numbers.

    Raises
    ------
    OSError
        If a folder or the file is missing.
    ValueError
        If a run is damaged or diverged, runs do not match each other or the file, labels of the file mean something
        else, or there are too few samples.
    """
    all_settings = [read_settings(run) for run in runs]
    _refuse_other_shapes(runs, all_settings)
    file = _file(test, runs[0], all_settings[0])
    inputs, classes = all_settings[0]["inputs"], all_settings[0]["classes"]
    refuse_other_inputs(file, inputs, runs[0])
    subjects = []
    for run, settings, label in zip(runs, all_settings, _labels(all_settings), strict=True):
        values, duration = _trained(run)
        encoding = encoding_of(recipe_in(settings), inputs)
        with SpikeDataset(file, n_units=inputs, n_classes=classes, encoding=encoding) as dataset:
            refuse_other_names(dataset, learned_names(run)[1], run)
            numbers = _chosen(len(dataset), samples, pick, seed, file)
            chosen = [dataset[k] for k in numbers]
            description = {"file": Path(file).name, "source": dataset.source, "synthetic": dataset.synthetic}
        subjects.append(Subject(label, str(run), settings, duration, values, chosen, numbers, seed, normalise))
    return subjects, {**description, "fingerprint": fingerprint(file), "samples": numbers}


def _trained(run):
    """The values and the duration of a run; those of one that diverged are refused."""
    path = Path(run) / "checkpoint.npz"
    arrays, duration = learned_values(path)
    return [arrays[f"value_{k}"] for k in range(len(arrays))], duration


def _refuse_other_shapes(runs, all_settings):
    """Two networks get the same directions only if they have the same parameters."""
    first = _shape(all_settings[0])
    for run, settings in zip(runs[1:], all_settings[1:], strict=True):
        for name, value in _shape(settings).items():
            if value != first[name]:
                raise ValueError(
                    f"'{run}' has {name} {value}, '{runs[0]}' has {first[name]}: their parameters are not the same, so"
                    " no direction is the same for both. Study them one by one, or train them alike."
                )


def _shape(settings):
    recipe = recipe_in(settings)
    return {
        **{name: settings[name] for name in ("inputs", "hidden", "classes", "recurrent")},
        "merge": recipe.merge,
        "output": recipe.output,
        "learned delays": recipe.delay_rate > 0,
        "learned time constants": recipe.time_constant_rate > 0,
    }


def _file(test, run, settings):
    if test is not None:
        return test
    embedded = embedded_files()[1]
    if settings.get("test_data") == fingerprint(embedded):
        return embedded
    raise ValueError(f"'{run}' was not tested on the digits of the package; name the file of its samples by --test.")


def _labels(all_settings):
    names = [settings["neuron"].upper() for settings in all_settings]
    return names if len(set(names)) == len(names) else [f"{name} {k + 1}" for k, name in enumerate(names)]


def _chosen(there, samples, pick, seed, file):
    """The numbers of the samples, ascending."""
    if pick is not None:
        for number in several("pick", pick, "numbers of samples"):
            refuse_unless_whole("pick", number)
        wrong = [number for number in pick if not 0 <= number < there]
        if wrong or not len(pick) or len(set(pick)) != len(pick):
            raise ValueError(f"Samples of '{file}' are picked by numbers from 0 to {there - 1}, each once, not {pick}.")
        return sorted(int(number) for number in pick)
    if isinstance(samples, str) and samples == "all":
        return list(range(there))
    refuse_unless_whole("samples", samples)
    if not 1 <= samples <= there:
        raise ValueError(f"'{file}' has {there} samples; 1 to {there} can be drawn, or all, not {samples}.")
    drawn = np.random.default_rng([seed, _DRAWN]).choice(there, size=samples, replace=False)
    return sorted(int(number) for number in drawn)
