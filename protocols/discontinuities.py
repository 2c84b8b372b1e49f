"""Where on a line through parameter space spikes appear and vanish, and what the loss does there.

On a grid of losses a jump can only be guessed. With exact spike times it is located: between two points with other
numbers of spikes something appeared or vanished, and bisection finds the place to rounding error. Where numbers stay, a
spike may still come at quite another time: one that touches the threshold takes the place of a later one, which the
reset prevents. Such a place shows in the loss, which the slopes on both sides do not explain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np

from brian_qif.protocols.loss_line import Moment

# Brackets are halved until they are this part of the line, or of their own position where that is larger.
_BRACKET = 1e-13
# A spike this close to the end of the trial, as a part of its length, has come or gone through the end. What it does to
# the loss until then is of this order too, and no jump.
_AT_END = 1e-6
# Spikes that move by more than this, in seconds, over a bracket are other spikes.
_MOVED = 1e-6
# One-sided limits that differ by less than this part of the loss differ by rounding.
_ROUNDING = 1e-9
# Intervals this much shorter than those of the first look are judged by the loss alone, without slopes: these have no
# bound beside a spike that has just appeared.
_FINE = 1 / 64
# Over so many widths of its bracket a spike that touches the threshold moves by far less than _MOVED, with the root of
# the distance; one that runs off moves by its time constant, with the logarithm. Close to the bracket rounding may make
# such a spike come and go; then the next distance tells.
_FURTHER = (16, 64, 256)


@dataclass(frozen=True)
class SpikeChange:
    """A point of a line where a spike appears, vanishes, or comes at quite another time.

    Attributes
    ----------
    position : float
        Where, on the line.
    jump : float
        How much higher the loss is just behind it than just before; 0 where the two differ by rounding, or by what a
        spike does within a millionth of the trial before its end.
    gained : bool
        Whether the first spike that is not on both sides is there behind, not before.
    group, neuron, time : str, int, float
        Whose spike that is, and when, in seconds.
    at_end : bool
        Whether it comes or goes through the end of the trial.
    moved : bool
        Whether all neurons keep their numbers of spikes, and that spike comes at another time; ``time`` is the earlier.
    unresolved : bool
        Whether it is seen to come or go inside the trial while it is still moving fast: closer to the point it would be
        elsewhere, and rounding hides the rest of its way. A QIF neuron that is left at its unstable point spikes later
        with the logarithm of the distance, until the end of the trial; where that is many time constants away, the
        last part of the way is narrower than any step of double precision. The jump is then that of the rounded loss.
    more, fewer : dict of str to int
        By group, how many neurons' spikes there are more, and fewer, behind.
    silenced : int
        How many neurons lose their only spikes.

    Examples
    --------
    >>> import numpy as np
    >>> from brian2 import ms
    >>> from brian_qif import SpikeGradient, SpikeTimeLoss
    >>> from brian_qif.example import example_network
    >>> from brian_qif.protocols.discontinuities import scan_line
    >>> from brian_qif.protocols.loss_line import LossLine
    >>> from brian_qif.training.datasets import SpikeSample
    >>> network, stimulus, neurons, synapses = example_network("lif")
    >>> gradient = SpikeGradient(network, SpikeTimeLoss(neurons, 12*ms), [synapses.w])
    >>> sample = SpikeSample(np.array([2e-3]), np.array([0]), label=12e-3, speaker=0)
    >>> line = LossLine(gradient, stimulus, 0.04, sample, [np.zeros(6)], [np.ones(6)])
    >>> change = scan_line(line, 1, 5, points=9).changes[0]
    >>> change.gained, change.inside, round(change.time, 4)
    (True, True, 0.0159)
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
    moved: bool = False
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


def scan_line(line, low, high, points=101, tolerance=1e-3) -> LineScan:
    """Look along a line, and locate every point where spikes appear, vanish, or jump in time.

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
        relative to the larger of 1 and the loss, though the numbers of spikes are the same: until slopes explain the
        loss, or a jump is left. One of less than a 64th of the distance between two points is halved where the loss at
        its ends differs by more than this. Of spikes that come and go again between two points, and leave the loss
        alone up to this, nothing is seen; nor of smaller jumps that change no number of spikes.

    Returns
    -------
    LineScan

    Raises
    ------
    ValueError
        If there are fewer than two points or the line has no length.

    Examples
    --------
    >>> import numpy as np
    >>> from brian2 import ms
    >>> from brian_qif import SpikeGradient, SpikeTimeLoss
    >>> from brian_qif.example import example_network
    >>> from brian_qif.protocols.discontinuities import scan_line
    >>> from brian_qif.protocols.loss_line import LossLine
    >>> from brian_qif.training.datasets import SpikeSample
    >>> network, stimulus, neurons, synapses = example_network("lif")
    >>> gradient = SpikeGradient(network, SpikeTimeLoss(neurons, 12*ms), [synapses.w])
    >>> sample = SpikeSample(np.array([2e-3]), np.array([0]), label=12e-3, speaker=0)
    >>> line = LossLine(gradient, stimulus, 0.04, sample, [np.zeros(6)], [np.ones(6)])
    >>> scan = scan_line(line, 1, 5, points=9)
    >>> round(scan.changes[0].position, 9)  # both neurons spike from w = 4 on
    4.0
    """
    if points < 2 or not low < high:
        raise ValueError(f"A line needs two points or more and an end above its beginning: {points}, {low} to {high}.")
    moments = [line(position) for position in np.linspace(low, high, points)]
    seen, changes, swaps = [], [], 0
    for before, behind in zip(moments[:-1], moments[1:], strict=True):
        for left, right, bracket in _cut(line, before, behind, tolerance, _BRACKET * (high - low)):
            if bracket:
                changes.append(change_in(line, left, right))
            else:
                swaps += order_swaps(left, right)
            seen += [left, right]
    seen.append(moments[-1])
    return LineScan(seen, changes, swaps)


def brackets(line, left: Moment, right: Moment, width: float, tolerance=1e-3) -> Iterator[tuple[Moment, Moment]]:
    """The shortest intervals between whose ends spikes appear, vanish or jump, in order, as they are found."""
    return ((first, last) for first, last, bracket in _cut(line, left, right, tolerance, width) if bracket)


def _cut(line, left, right, tolerance, width) -> Iterator[tuple[Moment, Moment, bool]]:
    """An interval, cut into brackets and intervals in which the loss does what its slopes say."""
    fine = _FINE * (right.position - left.position)
    found = _halves(line, left, right, tolerance, width, fine)
    for bracket, together in groupby(found, itemgetter(2)):
        if bracket:
            # Brackets side by side are one place, which rounding does not resolve further, unless no spike tells of it.
            several = list(together)
            first, last = several[0][0], several[-1][1]
            yield from [(first, last, True)] if first.counts() or last.counts() else several
        else:
            yield from together


def _halves(line, left, right, tolerance, width, fine):
    same = left.counts() == right.counts()
    if same and _is_smooth(line, left, right, tolerance, fine):
        yield left, right, False
        return
    middle = 0.5 * (left.position + right.position)
    shortest = max(width, 4 * np.finfo(float).eps * abs(middle))
    if right.position - left.position <= shortest or not left.position < middle < right.position:
        yield left, right, True
        return
    between = line(middle, with_slope=False)
    yield from _halves(line, left, between, tolerance, width, fine)
    yield from _halves(line, between, right, tolerance, width, fine)


def _is_smooth(line, left, right, tolerance, fine) -> bool:
    """Whether two slopes explain the loss, or it hardly differs over a short interval."""
    allowed = tolerance * max(1.0, abs(left.loss))
    gap, length = right.loss - left.loss, right.position - left.position
    if length <= fine:
        return abs(gap) <= allowed
    slopes = [line(one.position).slope if np.isnan(one.slope) else one.slope for one in (left, right)]
    return abs(gap - 0.5 * length * sum(slopes)) <= allowed


def change_in(line, left: Moment, right: Moment) -> SpikeChange:
    """What happens in a bracket, from the first spike that differs."""
    before, behind = left.counts(), right.counts()
    moved = before == behind
    if moved:
        time, group, neuron, far = _furthest(left, right)
        gained = False
    else:
        time, gained, group, neuron = min(_differences(left, right), key=lambda one: (one[0], one[2], one[3]))
    gap = right.loss - left.loss
    at_end = line.duration - time <= _AT_END * line.duration
    if at_end:
        unresolved = False
    elif moved:
        # Where no spike is elsewhere behind, one came and went again within a bracket.
        unresolved = not far or any(_runs_off(line, left, right, side, (group, neuron)) for side in (left, right))
    else:
        unresolved = _runs_off(line, left, right, right if gained else left, (group, neuron), time)
    return SpikeChange(
        position=float(0.5 * (left.position + right.position)),
        jump=gap if abs(gap) > (_AT_END if at_end else _ROUNDING) * max(1.0, abs(left.loss)) else 0.0,
        gained=gained,
        group=group,
        neuron=neuron,
        time=time,
        at_end=at_end,
        more=_by_group(behind - before),
        fewer=_by_group(before - behind),
        silenced=sum(1 for key in before if key not in behind),
        moved=moved,
        unresolved=unresolved,
    )


def _runs_off(line, left, right, side, whose, time=None) -> bool:
    """Whether a neuron's spike, or any, is at quite another time somewhat further away than its bracket."""
    near, width = side.times_of(*whose), right.position - left.position
    away = width if side is right else -width
    # Where rounding makes the spike come and go, the bracket may lie across its way: then it is on the other side.
    for steps in (*_FURTHER, *(-1 - widths for widths in _FURTHER)):
        times = line(side.position + steps * away, with_slope=False).times_of(*whose)
        if len(times) == len(near):
            apart = np.abs(times - near)
            return bool(np.max(apart if time is None else apart[near == time], initial=0) > _MOVED)
    return False


def _furthest(left: Moment, right: Moment):
    """Where numbers of spikes are the same, the first spike that moves by far, or else the one that moves most."""
    found = []
    for group, neuron in left.counts():
        one, other = left.times_of(group, neuron), right.times_of(group, neuron)
        apart = np.abs(one - other)
        far = np.flatnonzero(apart > _MOVED)
        place = int(far[0]) if len(far) else int(np.argmax(apart))
        found.append((-min(apart[place], _MOVED), float(min(one[place], other[place])), group, neuron))
    least, time, group, neuron = min(found)
    return time, group, neuron, least == -_MOVED


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
        if np.array_equal(units, right.trains[name][1]):
            continue
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
