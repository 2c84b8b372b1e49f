"""What is checked of the arrays of a trial before something reads them without looking at their bounds."""

from __future__ import annotations

import numpy as np

from brian_qif.plan.network_plan import NetworkPlan, SourceNode
from brian_qif.solvers.sweeps import Record, Seeds, Wanted


def given_spikes(node: SourceNode, times, units) -> tuple[np.ndarray, np.ndarray]:
    """The spikes of a source as contiguous arrays.

    Raises
    ------
    ValueError
        If there is not one unit per time, a unit is outside the group, or the times are not ascending numbers.
    TypeError
        If the units are not integers.
    """
    times, units = np.ascontiguousarray(times, dtype=float), np.asarray(units)
    if times.ndim != 1 or units.shape != times.shape:
        raise ValueError(
            f"The spikes of '{node.name}' need one unit per time; times have the shape {times.shape} and units "
            f"{units.shape}."
        )
    if len(units) and units.dtype.kind not in "iu":
        raise TypeError(f"The units of the spikes of '{node.name}' must be integers; they are {units.dtype}.")
    if not np.all(times[1:] >= times[:-1]) or np.isnan(times[-1:]).any():
        raise ValueError(f"The spike times of '{node.name}' must be numbers in ascending order; sort them with units.")
    outside = units[(units < 0) | (units >= node.size)]
    if len(outside):
        raise ValueError(
            f"'{node.name}' has {node.size} neurons, so its units go from 0 to {node.size - 1}; one of them is "
            f"{outside[0]}."
        )
    return times, np.ascontiguousarray(units, dtype=np.int64)


def checked_seeds(plan: NetworkPlan, record: Record, seeds: Seeds) -> tuple[dict, dict, dict, dict]:
    """Seeds of spike times, averages, samples and peaks as contiguous arrays.

    Raises
    ------
    ValueError
        If they do not fit what the record delivered.
    """
    spike_times = {
        k: _fitting(plan.nodes[k].name, "spike", seed, record.spike_times[k]) for k, seed in seeds.spike_times.items()
    }
    for k in seeds.averages:
        if k not in record.averages:
            raise ValueError(f"There is a seed for the average of '{plan.nodes[k].name}', which was not requested.")
    averages = {
        k: _fitting(plan.nodes[k].name, "averaged neuron", seed, record.averages[k])
        for k, seed in seeds.averages.items()
    }
    samples = {
        k: _fitting(plan.nodes[k].name, "sampled state", seed, record.samples[k]) for k, seed in seeds.samples.items()
    }
    peaks = {k: _fitting(plan.nodes[k].name, "neuron", seed, record.peaks[k]) for k, seed in seeds.peaks.items()}
    return spike_times, averages, samples, peaks


def _fitting(name: str, what: str, seed, delivered: np.ndarray) -> np.ndarray:
    seed = np.ascontiguousarray(seed, dtype=float)
    if seed.shape != delivered.shape:
        raise ValueError(
            f"The seeds of '{name}' need one value per {what}: {delivered.size}; their shape is {seed.shape}."
        )
    return seed


def check_wanted(plan: NetworkPlan, wanted: Wanted) -> None:
    """Refuse slopes that do not exist.

    Raises
    ------
    ValueError
        For the initial state of a source or the given spike times of neurons.
    """
    for k in wanted.initial:
        if isinstance(plan.nodes[k], SourceNode):
            raise ValueError(f"'{plan.nodes[k].name}' gives spikes and has no initial state.")
    for k in wanted.spike_times:
        if not isinstance(plan.nodes[k], SourceNode):
            raise ValueError(f"The spike times of '{plan.nodes[k].name}' are not given but follow from its inputs.")
