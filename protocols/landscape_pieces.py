"""The pieces of a landscape study: each is computed by itself, wherever, to the same bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from brian_qif.protocols.discontinuities import brackets, change_in, scan_line
from brian_qif.protocols.landscape_subject import Subject, dot, probe_of
from brian_qif.protocols.loss_line import LossLine

# What the seeds of directions begin with; the grid has two directions, every line and every check one of its own.
GRID, LINES, CHECKS, CELLS = range(4)
STEPS = (1e-1, 1e-2, 1e-3, 1e-4)  # of finite differences, as parts of a direction
_NARROW = 1e-13  # of an edge of a cell, as in scan_line
NONE, UNRESOLVED, JUMP = range(3)


def positions(size: int, extent: float) -> np.ndarray:
    """The points of a side of the grid, symmetric about zero to the last bit."""
    half = (size - 1) // 2
    return extent * np.arange(-half, half + 1) / half


@dataclass(frozen=True)
class GridRow:
    """A row of the grid: all samples at all its points.

    ``every``: at every so many-th point of every so many-th row, counted from the middle, there is a gradient too.
    """

    row: int
    size: int
    extent: float
    every: int
    dtype: str

    @property
    def name(self):
        return f"row_{self.row:04d}"

    def compute(self, subject: Subject) -> dict[str, np.ndarray]:
        """Of each point and sample: loss, whether it is right, spikes, and how they differ from the point before."""
        probe, places = probe_of(subject, self.dtype), positions(self.size, self.extent)
        across, up = probe.direction(GRID, 0), probe.direction(GRID, 1)
        shape, middle = (self.size, len(subject.samples)), (self.size - 1) // 2
        found = {name: np.zeros(shape, kind) for name, kind in _COLUMNS.items()}
        slopes = np.full((*shape, 2), np.nan)
        before = [None] * len(subject.samples)
        for column, place in enumerate(places):
            point = probe.at((place, across), (places[self.row], up))
            sloped = (self.row - middle) % self.every == 0 and (column - middle) % self.every == 0
            for n in range(len(subject.samples)):
                trial = point.trial(n)
                _, units = probe.spikes(trial.record)
                counts = np.bincount(units, minlength=probe.neurons)
                found["loss"][column, n], found["right"][column, n] = trial.loss, trial.right
                found["spikes"][column, n], found["silent"][column, n] = len(units), np.count_nonzero(counts == 0)
                if before[n] is not None:
                    changed, moved = compared(before[n], (units, counts))
                    found["neurons_changed"][column, n], found["places_moved"][column, n] = changed, moved
                before[n] = units, counts
                if sloped:
                    gradient = point.slopes(trial)
                    slopes[column, n] = dot(gradient, across), dot(gradient, up)
        return {**found, "slopes": slopes}


_COLUMNS = {
    "loss": float,
    "right": bool,
    "spikes": np.int32,
    "silent": np.int32,
    "neurons_changed": np.int32,
    "places_moved": float,
}


def compared(before, behind):
    """How the spikes of two points differ.

    Parameters
    ----------
    before, behind : tuple
        Of each point the neurons of its spikes in the order of time, and the number of spikes of each neuron.

    Returns
    -------
    changed : int
        The number of neurons that have another number of spikes.
    moved : float
        By how many places a spike of the other neurons moves in the order of their spikes, on average.
    """
    same = before[1] == behind[1]
    changed = int(np.count_nonzero(~same))
    one, other = before[0], behind[0]
    if changed:
        one, other = one[same[one]], other[same[other]]
    if not len(one):
        return changed, 0.0
    # Sorted by neuron, and by time within, the k-th spikes of a neuron stand at the same entry.
    apart = np.argsort(one, kind="stable") - np.argsort(other, kind="stable")
    return changed, float(np.mean(np.abs(apart)))


@dataclass(frozen=True)
class BatchLine:
    """A line through the network: the mean loss over all samples and its whole gradient at every point."""

    line: int
    points: int
    extent: float
    dtype: str

    @property
    def name(self):
        return f"batch_line_{self.line:03d}"

    def compute(self, subject: Subject) -> dict[str, np.ndarray]:
        """Losses by point and sample, slopes along the line, and how gradients differ at several distances."""
        probe, places = probe_of(subject, self.dtype), positions(self.points, self.extent)
        direction = probe.direction(LINES, self.line)
        losses, slopes = np.empty((self.points, len(subject.samples))), np.empty((self.points, len(subject.samples)))
        gradients = np.empty((self.points, sum(value.size for value in subject.values)))
        for k, place in enumerate(places):
            point, total = probe.at((place, direction)), 0.0
            for n in range(len(subject.samples)):
                trial = point.trial(n)
                gradient = point.slopes(trial)
                losses[k, n], slopes[k, n] = trial.loss, dot(gradient, direction)
                total = total + np.concatenate([np.ravel(part) for part in gradient])
            gradients[k] = total / len(subject.samples)
        lags = 2 ** np.arange(int(np.log2(max(1, self.points // 2))) + 1)
        differences = np.full((len(lags), self.points), np.nan)
        for row, lag in enumerate(lags):
            differences[row, :-lag] = np.sum((gradients[lag:] - gradients[:-lag]) ** 2, axis=1)
        return {
            "positions": places,
            "losses": losses,
            "slopes": slopes,
            "lags": lags,
            "squared_differences": differences,
            "squared_norms": np.sum(gradients**2, axis=1),
        }


@dataclass(frozen=True)
class ExactSegment:
    """A part of a line through the network, with one sample: every point where spikes come and go, located."""

    line: int
    segment: int
    sample: int
    low: float
    high: float
    points: int

    @property
    def name(self):
        return f"exact_line_{self.line:03d}_{self.segment:03d}"

    def compute(self, subject: Subject) -> dict[str, np.ndarray]:
        """The moments of the scan and its changes of spikes, column by column."""
        line = _line(probe_of(subject), self.sample, (), probe_of(subject).direction(LINES, self.line))
        scan = scan_line(line, self.low, self.high, self.points)
        changes = {name: np.array([value(change) for change in scan.changes]) for name, value in CHANGE_COLUMNS.items()}
        if not scan.changes:
            changes = {name: np.empty(0, kind) for name, kind in _EMPTY.items()}
        return {
            **{f"change_{name}": values for name, values in changes.items()},
            "positions": np.array([moment.position for moment in scan.moments]),
            "losses": np.array([moment.loss for moment in scan.moments]),
            "spikes": np.array([sum(len(units) for _, units in moment.trains.values()) for moment in scan.moments]),
            "order_swaps": np.array(scan.order_swaps),
            "variation": np.array(scan.variation),
        }


def _total(numbers):
    return sum(numbers.values())


CHANGE_COLUMNS = {
    "position": lambda change: change.position,
    "kind": lambda change: "at the end" if change.at_end else "unresolved" if change.unresolved else "inside",
    "what": lambda change: "moved" if change.moved else "gained" if change.gained else "lost",
    "group": lambda change: change.group,
    "neuron": lambda change: change.neuron,
    "time": lambda change: change.time,
    "jump": lambda change: change.jump,
    "more": lambda change: _total(change.more),
    "fewer": lambda change: _total(change.fewer),
    "downstream": lambda change: max(0, _total(change.more) + _total(change.fewer) - 1),
    "silenced": lambda change: change.silenced,
}
_TEXTS, _WHOLE = ("kind", "what", "group"), ("neuron", "more", "fewer", "downstream", "silenced")
_EMPTY = {name: "U1" if name in _TEXTS else np.int64 if name in _WHOLE else float for name in CHANGE_COLUMNS}


@dataclass(frozen=True)
class DirectionChecks:
    """Gradients at the network against finite differences along random directions, sample by sample."""

    first: int
    last: int

    @property
    def name(self):
        return f"directions_{self.first:03d}"

    def compute(self, subject: Subject) -> dict[str, np.ndarray]:
        """Slopes and central differences by direction, step and sample."""
        probe, samples = probe_of(subject), range(len(subject.samples))
        directions = [probe.direction(CHECKS, k) for k in range(self.first, self.last)]
        slopes = np.empty((len(directions), len(samples)))
        centre = probe.at()
        for n in samples:
            gradient = centre.slopes(centre.trial(n))
            slopes[:, n] = [dot(gradient, direction) for direction in directions]
        differences = np.empty((len(directions), len(STEPS), len(samples)))
        for row, direction in enumerate(directions):
            for k, step in enumerate(STEPS):
                sides = [probe.at((sign * step, direction)) for sign in (1, -1)]
                for n in samples:
                    ahead, behind = (side.trial(n).loss for side in sides)
                    differences[row, k, n] = (ahead - behind) / (2 * step)
        return {"slopes": slopes, "differences": differences}


@dataclass(frozen=True)
class CellChecks:
    """Cells of the grid, each with one sample: whether the loss jumps on the diagonal of the cell."""

    first: int
    last: int
    size: int
    extent: float

    @property
    def name(self):
        return f"cells_{self.first:04d}"

    def compute(self, subject: Subject) -> dict[str, np.ndarray]:
        """Of each cell: row, column, sample, and what is on its diagonal: nothing, an unresolved change, a jump."""
        probe, places = probe_of(subject), positions(self.size, self.extent)
        across, up = probe.direction(GRID, 0), probe.direction(GRID, 1)
        diagonal = [one + other for one, other in zip(across, up, strict=True)]
        cells = np.empty((self.last - self.first, 4), np.int64)
        for k in range(self.first, self.last):
            generator = np.random.default_rng([subject.seed, CELLS, k])
            row, column = generator.integers(self.size - 1, size=2)
            sample = int(generator.integers(len(subject.samples)))
            corner = (places[column], across), (places[row], up)
            found = _worst_on(_line(probe, sample, corner, diagonal), places[1] - places[0])
            cells[k - self.first] = row, column, sample, found
        return {"cells": cells}


def _worst_on(line, length) -> int:
    """The worst that is found on a line; the first jump ends the search."""
    worst = NONE
    for left, right in brackets(line, line(0.0), line(length), _NARROW * length):
        change = change_in(line, left, right)
        if change.inside and change.jump != 0:
            return JUMP
        worst = max(worst, UNRESOLVED if change.unresolved else NONE)
    return worst


def _line(probe, sample, steps, direction):
    """The loss of one sample along a direction, from the point that steps lead to."""
    subject = probe.subject
    return LossLine(
        probe.gradient,
        probe.classifier.stimulus,
        subject.duration,
        subject.samples[sample],
        probe.moved(*steps),
        direction,
    )
