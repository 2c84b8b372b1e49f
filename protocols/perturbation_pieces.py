"""The perturbations of one sample: what is changed, and what follows."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np

from brian_qif import GrazingSpikeError
from brian_qif.protocols.checks import refuse_below, refuse_unless_positive
from brian_qif.protocols.divergence import course, distance_over_time
from brian_qif.protocols.perturbed_network import ROUNDING, Perturbation, refuse_unknown_kind
from brian_qif.protocols.spike_differences import layer_change

# Kinds whose effect has a dose.
SIZED = ("shift", "weight")
SIZES = tuple(float(f"1e{k}") for k in range(-9, -1))


@dataclass(frozen=True)
class Plan:
    """What a study of perturbations does to each sample.

    Parameters
    ----------
    kind : str
        See `Perturbation`.
    sizes : tuple of float
        Each is tried on the same spike, or weight. Empty for spikes that are added or deleted.
    repeats : int
        How many spikes, or weights, are drawn.
    seed : int
        Decides which.
    spike : int, optional
        Perturb this spike of the layer, counted in time order, in every sample, instead of drawing some.
    time_scale : float
        In seconds: of the neurons, and of the cost of moving a spike (`match_spikes`).

    Examples
    --------
    >>> from brian_qif.protocols.perturbation_pieces import Plan
    >>> Plan("shift", sizes=(1e-9, 1e-6), repeats=5, seed=0, spike=None, time_scale=0.01)
    Plan(kind='shift', sizes=(1e-09, 1e-06), repeats=5, seed=0, spike=None, time_scale=0.01)
    """

    kind: str
    sizes: tuple
    repeats: int
    seed: int
    spike: int | None
    time_scale: float

    def __post_init__(self):
        refuse_unknown_kind(self.kind)
        if self.kind not in SIZED and self.sizes:
            raise ValueError(f"'{self.kind}' has no size: a spike is there or not. Leave the sizes out.")
        if self.kind in SIZED and not self.sizes:
            raise ValueError(f"'{self.kind}' needs sizes.")
        for size in self.sizes:
            refuse_unless_positive("Sizes have", size)
        refuse_below(1, "repeats", self.repeats)
        refuse_below(0, "seed", self.seed)
        refuse_below(0, "spike", self.spike, optional=True)
        if self.spike is not None and self.kind not in ("delete", "shift"):
            raise ValueError(f"'{self.kind}' changes no spike that is there; leave 'spike' out.")
        refuse_unless_positive("The time scale has", self.time_scale, " s")
        # NumPy's numbers would not be kept as JSON.
        plain = {"sizes": tuple(float(size) for size in self.sizes), "time_scale": float(self.time_scale)}
        plain |= {"repeats": int(self.repeats), "seed": int(self.seed)}
        plain["spike"] = None if self.spike is None else int(self.spike)
        for name, value in plain.items():
            object.__setattr__(self, name, value)


def perturb_sample(network, sample, number, plan):
    """All perturbations of one sample.

    Parameters
    ----------
    network : PerturbedNetwork
    sample : SpikeSample or None
        None for a network that has its input already.
    number : int
        Of the sample; it decides, with the seed, what is drawn.
    plan : Plan

    Returns
    -------
    dict
        ``perturbations``: one dict for each; ``changes``: one for each and every layer; ``courses``: for each
        perturbation, by layer, the distances of the states from the perturbation on.

    Raises
    ------
    ValueError
        If the layer has no spike that could be changed, or not as many as asked for.
    """
    base = network.run(sample)
    found = {"perturbations": [], "changes": [], "courses": []}
    for repeat, chosen in enumerate(chosen_perturbations(network, base, number, plan)):
        slope = _slope(network, sample, chosen)
        for perturbation in with_control(chosen, plan):
            trial = network.run(sample, perturbation)
            size = perturbation.size if plan.kind in SIZED else np.nan
            key = {"sample": number, "repeat": repeat, "size": size, "control": size == 0}
            row = {**key, "kind": plan.kind, "layer": network.layer, "neuron": chosen.neuron, "time": chosen.time}
            row |= _loss_row(base, trial, slope * perturbation.size, sample)
            found["perturbations"].append(row)
            changes, courses = _changes(network, base, trial, chosen.time, plan)
            found["changes"] += [{**key, **change} for change in changes]
            found["courses"].append(courses)
    return found


def _slope(network, sample, chosen):
    """The derivative of the loss by the size; NaN where there is none, or a spike grazes its threshold."""
    if network.loss is None or chosen.kind not in SIZED:
        return np.nan
    try:
        return network.response(sample, chosen)
    except GrazingSpikeError:
        return np.nan


def with_control(chosen, plan):
    """A perturbation in all sizes, after one of size zero, from which nothing may follow."""
    sizes = (0.0, *plan.sizes) if plan.kind in SIZED else (0.0,)
    return [replace(chosen, size=size) for size in sizes]


def chosen_perturbations(network, base, number, plan):
    """What is changed in one sample."""
    generator = np.random.default_rng([plan.seed, number])
    if plan.kind == "weight":
        return [Perturbation("weight", int(k)) for k in generator.integers(network.synapses(), size=plan.repeats)]
    if plan.kind == "add":
        neurons = generator.integers(network.size, size=plan.repeats)
        times = generator.uniform(0, network.duration, plan.repeats)
        return [Perturbation("add", int(k), float(t)) for k, t in zip(neurons, times, strict=True)]
    times, neurons = network.spikes_of(base)
    if not len(times):
        raise ValueError(
            f"'{network.layer}' has no spikes in sample {number}, so none can be changed. Add one (kind 'add'), or"
            " choose another layer."
        )
    spikes = [plan.spike] if plan.spike is not None else generator.integers(len(times), size=plan.repeats)
    if not 0 <= spikes[0] < len(times):
        raise ValueError(
            f"'{network.layer}' has {len(times)} spikes in sample {number}, counted from 0; there is no spike"
            f" {plan.spike}."
        )
    return [Perturbation(plan.kind, int(neurons[k]), float(times[k])) for k in spikes]


def _loss_row(base, trial, foreseen, sample):
    row = {"loss_before": base.loss, "loss_change": trial.loss - base.loss, "loss_change_linear": foreseen}
    if base.output is not None and np.ndim(base.output) == 1 and np.size(base.output) > 1:
        answers = int(np.argmax(base.output)), int(np.argmax(trial.output))
        row |= {"answer_before": answers[0], "answer_after": answers[1], "flipped": answers[0] != answers[1]}
    if sample is not None:
        row["label"] = int(sample.label)
    return row


def _changes(network, base, trial, time, plan):
    """By layer, how spikes and states differ, and the course of the latter."""
    changes, courses = [], {}
    first = int(np.searchsorted(network.times, time))
    for name in dict.fromkeys([*network.layers, *base.states]):
        row = {"response_layer": name}
        if name in base.trains:
            found = layer_change(base.trains[name], trial.trains[name], plan.time_scale, ROUNDING)
            row |= {**asdict(found), "first_after": found.first - time, "last_after": found.last - time}
        distances = np.empty(0)
        if name in base.states:
            distances = distance_over_time(
                base.states[name][first:], trial.states[name][first:], network.is_circular(name)
            )
            courses[name] = distances.tolist()
        row |= course(distances, network.times[first:][: len(distances)] - time, plan.time_scale)
        changes.append(row)
    return changes, courses
