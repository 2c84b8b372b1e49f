"""Many samples through one network: the source's spikes are replaced sample by sample, in parallel threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from brian2 import Quantity, SpikeGeneratorGroup, prefs

from brian_qif.arguments import check_sample, whole_number
from brian_qif.gradients.spike_gradient import SpikeGradient
from brian_qif.plan.network_plan import SourceNode
from brian_qif.solvers.simulation import duration_in_seconds
from brian_qif.solvers.sweeps import GrazingSpikeError, Record, Seeds

# Sums are formed in this many lanes, whatever the number of threads, and the lanes are added in order: the bits of
# a gradient do not depend on who computed it, and memory holds one gradient per lane, not one per sample.
LANES = 16


class Sample(Protocol):
    """Input spikes of one trial, ``times`` in seconds from its start and in any order, with its ``label``."""

    @property
    def times(self) -> np.ndarray: ...

    @property
    def units(self) -> np.ndarray: ...

    @property
    def label(self) -> Any: ...


@dataclass
class BatchResult:
    """What a batch gave.

    ``losses`` has one value per sample and ``outputs`` one row; ``spike_counts`` maps the name of each spiking group
    to counts of shape (samples, neurons); ``slopes`` is the sum over the samples, one SI array per parameter.
    ``grazing`` has the numbers of the samples that were left out of that sum because a spike only grazes its threshold.
    """

    losses: np.ndarray
    outputs: np.ndarray
    spike_counts: dict[str, np.ndarray]
    slopes: list[np.ndarray] | None
    grazing: list[int] = field(default_factory=list)


class BatchGradient:
    """Loss and gradient summed over samples.

    Parameters
    ----------
    gradient : `SpikeGradient`
        Its network is simulated once per sample.
    stimulus : `brian2.SpikeGeneratorGroup`
        The group whose spikes each sample replaces.
    threads : int, optional
        Samples that are simulated side by side; by default the preference ``brian_qif.threads``, 0 being all cores.

    Notes
    -----
    The result has the same bits for any number of threads.

    Examples
    --------
    >>> from brian2 import ms
    >>> import numpy as np
    >>> from brian_qif import SpikeGradient, SpikeTimeLoss
    >>> from brian_qif.gradients.batch import BatchGradient
    >>> from brian_qif.training.datasets import SpikeSample
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network()
    >>> gradient = SpikeGradient(network, SpikeTimeLoss(neurons, 12*ms), [synapses.w])
    >>> batch = BatchGradient(gradient, stimulus)
    >>> samples = [SpikeSample(np.array([2e-3, 4e-3]), np.array([0, k]), label=12e-3, speaker=0) for k in (1, 2)]
    >>> result = batch(samples, 40*ms)
    >>> result.losses.shape, result.slopes[0].shape
    ((2,), (6,))
    """

    def __init__(self, gradient: SpikeGradient, stimulus: SpikeGeneratorGroup, threads: int | None = None):
        self.gradient = gradient
        threads = None if threads is None else whole_number(threads, "threads", 1)
        self.threads = threads or prefs["brian_qif.threads"] or os.cpu_count() or 1
        self.reading = gradient.read()
        self.stimulus = self.reading.node(stimulus)
        if not isinstance(self.reading.plan.nodes[self.stimulus], SourceNode):
            raise TypeError(f"'{stimulus.name}' is not a SpikeGeneratorGroup, so samples cannot give its spikes.")
        if any(parameter.kind == "spike_times" for parameter in gradient.parameters):
            raise NotImplementedError(
                "Spike times of the stimulus belong to a sample; they have no slope over a batch."
            )

    def __call__(
        self,
        samples: Sequence[Sample],
        duration: Quantity,
        values: Sequence[np.ndarray] | None = None,
        reverse: bool = True,
        transform: Callable[[list[np.ndarray]], None] | None = None,
        leave_out_grazing: bool = False,
        meanwhile: Callable[[], object] | None = None,
    ) -> BatchResult:
        """Run the samples.

        Parameters
        ----------
        samples : sequence of `Sample`
        duration : `brian2.Quantity`
            Length of each trial.
        values : list of array, optional
            Values of the parameters in SI units; by default the network's.
        reverse : bool
            Whether slopes are wanted.
        transform : callable, optional
            Is given the slopes of one sample, a list of arrays which it may change in place.
        leave_out_grazing : bool
            Whether a sample in which a spike only grazes its threshold, so that its slope has no bound, adds none to
            the sum; otherwise it is an error. Solvers that simulate many samples at a time always make it one.
        meanwhile : callable, optional
            Is called once, by the calling thread, while others compute, where there are others.

        Returns
        -------
        `BatchResult`

        Raises
        ------
        GrazingSpikeError
            If a spike only grazes its threshold.
        """
        seconds = duration_in_seconds(duration)
        reading = self.gradient.read() if values is None else self.gradient.with_values(self.reading, values)
        plan = reading.plan
        prepared: Any = self.gradient.solver.prepare(plan)
        request = self.gradient.loss.request(reading, seconds)
        spiking = [k for k, node in enumerate(plan.nodes) if not isinstance(node, SourceNode) and node.spikes]
        losses = np.empty(len(samples))
        outputs: list[np.ndarray] = [np.empty(0)] * len(samples)
        counts = {k: np.empty((len(samples), plan.nodes[k].size), dtype=np.int64) for k in spiking}
        grazing: list[int] = []

        def stimulus_of(n: int) -> dict[int, tuple[np.ndarray, np.ndarray]]:
            times, units = in_order(samples[n])
            return {self.stimulus: (times + plan.start, units)}

        def evaluate(n: int, record: Record) -> Seeds:
            losses[n], seeds, outputs[n] = self.gradient.loss.evaluate(reading, record, seconds, samples[n].label)
            for k in spiking:
                counts[k][n] = np.bincount(record.spike_units[k], minlength=plan.nodes[k].size)
            return seeds

        def run_some(numbers: Sequence[int]) -> list[np.ndarray] | None:
            """Samples side by side, as a solver takes them that simulates many at a time."""
            records = prepared.forward_many(request, [stimulus_of(n) for n in numbers])
            seeds = [evaluate(n, record) for n, record in zip(numbers, records, strict=True)]
            if not reverse:
                return None
            total = None
            for slopes in self.gradient.carry_back_many(reading, prepared, records, seeds, seconds):
                if transform is not None:
                    transform(slopes)
                total = _add(total, slopes)
            return total

        def run_one(n: int) -> list[np.ndarray] | None:
            record = prepared.forward(request, stimulus_of(n))
            seeds = evaluate(n, record)
            if not reverse:
                return None
            try:
                slopes = self.gradient.carry_back(reading, prepared, record, seeds, seconds)
            except GrazingSpikeError:
                if not leave_out_grazing:
                    raise
                grazing.append(n)
                return None
            if transform is not None:
                transform(slopes)
            return slopes

        if hasattr(prepared, "forward_many"):
            at_once = prepared.samples_at_once(request)
            parts = [range(n, min(n + at_once, len(samples))) for n in range(0, len(samples), at_once)]
            sums = [run_some(part) for part in parts]
            if meanwhile is not None:
                meanwhile()
        else:
            sums = self._in_lanes(len(samples), run_one, meanwhile or (lambda: None))
        total = None
        for part in sums:
            total = _add(total, part)
        if total is None and grazing:
            total = [np.zeros_like(value) for value in (self.gradient.values() if values is None else values)]
        named = {plan.nodes[k].name: count for k, count in counts.items()}
        return BatchResult(losses, np.array(outputs), named, total, sorted(grazing))

    def _in_lanes(self, count: int, run_one, meanwhile) -> list[list[np.ndarray] | None]:
        """The sums over samples that are computed one by one, in threads."""

        def run_lane(lane: int) -> list[np.ndarray] | None:
            total = None
            for n in range(lane, count, LANES):
                total = _add(total, run_one(n))
            return total

        lanes = range(min(LANES, count))
        if self.threads == 1:
            sums = [run_lane(lane) for lane in lanes]
            meanwhile()
            return sums
        with ThreadPoolExecutor(self.threads) as pool:
            running = pool.map(run_lane, lanes)
            meanwhile()
            return list(running)


def in_order(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Spikes by time, and by unit where times coincide: the order in which they are given changes no bit.

    Parameters
    ----------
    sample : `Sample`

    Returns
    -------
    times, units : array

    Raises
    ------
    TypeError
        If it is no sample.
    """
    check_sample(sample)
    return sorted_spikes(np.asarray(sample.times, dtype=float), np.asarray(sample.units))


def sorted_spikes(times: np.ndarray, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spikes by time, and by unit where times coincide, whatever order they are given in.

    Parameters
    ----------
    times, units : array

    Returns
    -------
    times, units : array
    """
    if np.any(times[1:] < times[:-1]):
        order = np.argsort(times, kind="stable")
        times, units = times[order], units[order]
    later = times[1:] > times[:-1]
    if np.any(~later & (units[1:] < units[:-1])):
        # One integer per spike, by the rank of its time and then by unit, sorts fastest; the times stay as they are.
        first = np.append(0, np.cumsum(later)) * (int(np.max(units)) + 1)
        units = (np.sort(first + units, kind="stable") - first).astype(units.dtype)
    return times, units


def _add(total: list[np.ndarray] | None, slopes: list[np.ndarray] | None) -> list[np.ndarray] | None:
    """Add in place; the first summand becomes the total."""
    if total is None or slopes is None:
        return slopes if total is None else total
    return [np.add(a, b, out=a) if a.ndim else a + b for a, b in zip(total, slopes, strict=True)]
