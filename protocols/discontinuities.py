"""Where on a line through parameter space spikes appear and vanish, and what the loss does there.

On a grid of losses a jump can only be guessed. With exact spike times it is located: between two points with other
numbers of spikes something appeared or vanished, and bisection finds the place to rounding error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from brian_qif.gradients.spike_gradient import SpikeGradient
from brian_qif.solvers.sweeps import GrazingSpikeError

# Brackets are halved until they are this part of the line, or of their own position where that is larger.
_BRACKET = 1e-13
# A spike this close to the end of the trial, as a part of its length, has come or gone through the end.
_AT_END = 1e-6
# Spikes that move by more than this, in seconds, over a bracket are other spikes.
_MOVED = 1e-6
# One-sided limits that differ by less than this part of the loss differ by rounding.
_ROUNDING = 1e-9
# Over so many widths of its bracket a spike that touches the threshold moves by far less than _MOVED, with the root of
# the distance; one that runs off moves by its time constant, with the logarithm.
_FURTHER = 16


@dataclass(frozen=True)
class Moment:
    """The network at one point of a line: the loss, its slope along the line, and all spikes.

    ``trains`` maps the name of each spiking group to (times, units), in seconds. The slope is NaN where it was not
    asked for, and infinite where a spike only grazes its threshold.
    """

    position: float
    loss: float
    slope: float
    trains: dict[str, tuple[np.ndarray, np.ndarray]]

    def counts(self):
        """The number of spikes of every neuron that has any, by (group, neuron)."""
        return self._counts

    @cached_property
    def _counts(self):
        found = Counter()
        for name, (_, units) in self.trains.items():
            numbers = np.bincount(units)
            found.update({(name, int(unit)): int(numbers[unit]) for unit in np.flatnonzero(numbers)})
        return found

    def times_of(self, group, neuron):
        """The spike times of one neuron."""
        times, units = self.trains[group]
        return times[units == neuron]


class LossLine:
    """The loss of one sample along a line ``values + s direction``.

    Parameters
    ----------
    gradient : SpikeGradient
        The network, the loss and the parameters.
    stimulus : brian2.SpikeGeneratorGroup
        The group whose spikes the sample replaces.
    duration : float
        The length of the trial in seconds.
    sample : SpikeSample
        Spikes and label.
    values, direction : list of numpy.ndarray
        One array for each parameter, in SI units.
    """

    def __init__(self, gradient: SpikeGradient, stimulus, duration, sample, values, direction):
        self.gradient, self.reading, self.duration = gradient, gradient.read(), float(duration)
        self.sample, self.values, self.direction = sample, values, direction
        plan = self.reading.plan
        self._stimuli = {self.reading.node(stimulus): (sample.times + plan.start, sample.units)}
        self._spiking = {node.name: k for k, node in enumerate(plan.nodes) if getattr(node, "spikes", False)}

    def __call__(self, position: float, with_slope=True) -> Moment:
        """The network at a point."""
        moved = [value + position * part for value, part in zip(self.values, self.direction, strict=True)]
        reading = self.gradient.with_values(self.reading, moved)
        prepared = self.gradient.solver.prepare(reading.plan)
        record = prepared.forward(self.gradient.loss.request(reading, self.duration), self._stimuli)
        found = self.gradient.loss.evaluate(reading, record, self.duration, self.sample.label)
        slope = np.nan
        if with_slope:
            try:
                slopes = self.gradient.carry_back(reading, prepared, record, found.seeds, self.duration)
                slope = sum(float(np.sum(slope * part)) for slope, part in zip(slopes, self.direction, strict=True))
            except GrazingSpikeError:
                slope = np.inf
        trains = {name: (record.spike_times[k], record.spike_units[k]) for name, k in self._spiking.items()}
        return Moment(position, float(found.value), slope, trains)


@dataclass(frozen=True)
class SpikeChange:
    """A point of a line where the number of spikes changes.

    Attributes
    ----------
    position : float
        Where, on the line.
    jump : float
        How much higher the loss is just behind it than just before; 0 where the two differ by rounding.
    gained : bool
        Whether the first spike that is not on both sides is there behind, not before.
    group, neuron, time : str, int, float
        Whose spike that is, and when, in seconds.
    at_end : bool
        Whether it comes or goes through the end of the trial.
    unresolved : bool
        Whether it is seen to come or go inside the trial while it is still moving fast: closer to the point it would be
        elsewhere, and rounding hides the rest of its way. A QIF neuron that is left at its unstable point spikes later
        with the logarithm of the distance, until the end of the trial; where that is many time constants away, the
        last part of the way is narrower than any step of double precision. The jump is then that of the rounded loss.
    more, fewer : dict of str to int
        By group, how many neurons' spikes there are more, and fewer, behind.
    silenced : int
        How many neurons lose their only spikes.
    """

    position: float
    jump: float
    gained: bool
    group: str
    neuron: int
    time: float
    at_end: bool
    more: dict[str, int]
    fewer: dict[str, int]
    silenced: int
    unresolved: bool = False

    @property
    def inside(self) -> bool:
        """Whether the spike comes or goes inside the trial, as far as double precision tells."""
        return not self.at_end and not self.unresolved


@dataclass
class LineScan:
    """What was found on a line: all points that were looked at, in order, and the changes of spikes between them."""

    moments: list[Moment]
    changes: list[SpikeChange]
    order_swaps: int

    @property
    def variation(self) -> float:
        """The total variation of the loss over the points."""
        losses = np.array([moment.loss for moment in self.moments])
        return float(np.sum(np.abs(np.diff(losses))))


def scan_line(line, low, high, points=101, tolerance=1e-3, finest=None) -> LineScan:
    """Look along a line, and locate every point where the number of spikes changes.

    Parameters
    ----------
    line : LossLine or callable
        Gives the `Moment` at a position.
    low, high : float
        The ends.
    points : int
        Equally spaced points of the first look.
    tolerance : float
        An interval is halved where the loss at its ends differs by more than this from what the two slopes say,
        relative to the larger of 1 and the loss, though the numbers of spikes are the same.
    finest : float, optional
        The shortest interval that is halved for that, by default a 64th of the distance between two points. Of spikes
        that come and go again within an interval of this length, and leave the loss alone, nothing is seen.

    Returns
    -------
    LineScan

    Raises
    ------
    ValueError
        If there are fewer than two points or the line has no length.
    """
    if points < 2 or not low < high:
        raise ValueError(f"A line needs two points or more and an end above its beginning: {points}, {low} to {high}.")
    finest = (high - low) / (points - 1) / 64 if finest is None else finest
    moments = [line(position) for position in np.linspace(low, high, points)]
    seen, changes, swaps = [moments[0]], [], 0
    for before, behind in zip(moments[:-1], moments[1:], strict=True):
        for left, right in _split(line, before, behind, tolerance, finest):
            swaps += 0 if left.counts() != right.counts() else order_swaps(left, right)
            for first, last in brackets(line, left, right, _BRACKET * (high - low)):
                seen += [first, last]
                changes.append(change_in(line, first, last))
            seen.append(right)
    seen.sort(key=lambda moment: moment.position)
    return LineScan(seen, changes, swaps)


def _split(line, left, right, tolerance, finest):
    """Intervals in which the loss does what the slopes at both ends say, or that are short."""
    width = right.position - left.position
    foreseen = left.loss + 0.5 * width * (left.slope + right.slope)
    smooth = abs(right.loss - foreseen) <= tolerance * max(1.0, abs(left.loss))
    if smooth or width <= finest or left.counts() != right.counts():
        return [(left, right)]
    middle = line(0.5 * (left.position + right.position))
    return _split(line, left, middle, tolerance, finest) + _split(line, middle, right, tolerance, finest)


def brackets(line, left: Moment, right: Moment, width: float) -> Iterator[tuple[Moment, Moment]]:
    """The shortest intervals between whose ends numbers of spikes differ, in order, as they are found."""
    if left.counts() == right.counts():
        return
    middle = 0.5 * (left.position + right.position)
    shortest = max(width, 4 * np.finfo(float).eps * abs(middle))
    if right.position - left.position <= shortest or not left.position < middle < right.position:
        yield left, right
        return
    between = line(middle, with_slope=False)
    yield from brackets(line, left, between, width)
    yield from brackets(line, between, right, width)


def change_in(line, left: Moment, right: Moment) -> SpikeChange:
    """What happens in a bracket, from the first spike that differs."""
    time, gained, group, neuron = min(_differences(left, right), key=lambda found: (found[0], found[2], found[3]))
    gap = right.loss - left.loss
    before, behind = left.counts(), right.counts()
    at_end = line.duration - time <= _AT_END * line.duration
    return SpikeChange(
        position=float(0.5 * (left.position + right.position)),
        jump=gap if abs(gap) > _ROUNDING * max(1.0, abs(left.loss)) else 0.0,
        gained=gained,
        group=group,
        neuron=neuron,
        time=time,
        at_end=at_end,
        more=_by_group(behind - before),
        fewer=_by_group(before - behind),
        silenced=sum(1 for key in before if key not in behind),
        unresolved=not at_end and _runs_off(line, left, right, time, gained, (group, neuron)),
    )


def _runs_off(line, left, right, time, gained, whose) -> bool:
    """Whether a spike, seen from somewhat further away than its bracket, is at quite another time."""
    distance = _FURTHER * (right.position - left.position)
    further = line(right.position + distance if gained else left.position - distance, with_slope=False)
    times = further.times_of(*whose)
    return len(times) == (right if gained else left).counts()[whose] and bool(np.min(np.abs(times - time)) > _MOVED)


def _differences(left: Moment, right: Moment):
    """For each neuron with another number of spikes, its first spike that is not on both sides."""
    changed = {key for key in (left.counts() - right.counts()) + (right.counts() - left.counts())}
    for group, neuron in changed:
        one, other = left.times_of(group, neuron), right.times_of(group, neuron)
        both = min(len(one), len(other))
        moved = np.flatnonzero(np.abs(one[:both] - other[:both]) > _MOVED)
        place = int(moved[0]) if len(moved) else both
        longer = other if len(other) > len(one) else one
        yield float(longer[place]), len(other) > len(one), group, neuron


def _by_group(counts: Counter) -> dict[str, int]:
    found = Counter()
    for (group, _), number in counts.items():
        found[group] += number
    return dict(found)


def order_swaps(left: Moment, right: Moment) -> int:
    """How many pairs of spikes of one group, of different neurons, are in another order at two points.

    Every neuron has as many spikes at both; its k-th spikes belong together.
    """
    swaps = 0
    for name, (_, units) in left.trains.items():
        place = {key: k for k, key in enumerate(_numbered(right.trains[name][1]))}
        swaps += _inversions([place[key] for key in _numbered(units)])
    return swaps


def _numbered(units):
    seen: Counter = Counter()
    for unit in units:
        yield int(unit), seen[int(unit)]
        seen[int(unit)] += 1


def _inversions(order) -> int:
    """Pairs that are not in ascending order, by merging."""
    if len(order) < 2:
        return 0
    middle = len(order) // 2
    left, right = order[:middle], order[middle:]
    count = _inversions(left) + _inversions(right)
    left, right = np.sort(left), np.sort(right)
    return count + int(np.sum(len(left) - np.searchsorted(left, right)))
