"""The Taylor test: a gradient is right if the remainder of the linear approximation falls with order 2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from brian2 import Quantity

from brian_qif.arguments import whole_number
from brian_qif.gradients.convergence import ConvergenceReport, check_convergence
from brian_qif.gradients.spike_gradient import SpikeGradient
from brian_qif.plan.network_plan import VOLTAGE, HybridNode
from brian_qif.solvers.clock import ClockSolver
from brian_qif.solvers.simulation import duration_in_seconds

HALVINGS = 4
ORDER_TOLERANCE = 0.1
# The first remainder of a Taylor test is so many times larger than the rounding of the loss: after four halvings
# of a quadratic remainder it is still forty times larger.
ABOVE_ROUNDING = 1e4
LARGEST_STEP, SMALLEST_STEP = 2.0**-4, 2.0**-36
CENTRAL_TOLERANCE = 1e-6


class GradientCheckError(AssertionError):
    """A gradient did not pass `check_gradient`.

    Examples
    --------
    >>> from brian2 import ms, second
    >>> import numpy as np
    >>> from brian_qif import GradientCheckError, SpikeFunctionLoss, SpikeGradient, check_gradient
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network()
    >>> wrong = SpikeFunctionLoss(neurons, lambda t, i: (np.sum(t**2), t))  # the derivative is 2*t
    >>> try:
    ...     check_gradient(SpikeGradient(network, wrong, [synapses.w]), 40*ms)
    ... except GradientCheckError as error:
    ...     print("FAILED" in str(error))
    True
    """


@dataclass(frozen=True)
class DirectionReport:
    """One direction of a Taylor test.

    ``method`` is "order" (the remainders' order decided) or "central difference" (the curvature is too small
    to show an order); ``order`` is None in the latter case. ``slope`` and ``difference`` are the directional derivative
    by the gradient and by the difference. ``note`` tells of spikes that appear, vanish or change places nearby.
    """

    method: str
    order: float | None
    steps: np.ndarray
    remainders: np.ndarray
    slope: float
    difference: float
    passed: bool
    note: str

    def __str__(self):
        found = f"order {self.order:.3f}" if self.order is not None else "curvature too small to show an order"
        verdict = "passed" if self.passed else "FAILED"
        text = (
            f"{verdict} by {self.method}: {found}; slope {self.slope:.10g}, central difference {self.difference:.10g}"
        )
        return f"{text}; {self.note}" if self.note else text


@dataclass(frozen=True)
class GradientReport:
    """Outcome of `check_gradient`: one report per direction; ``rounding`` is the measured noise of the loss.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_qif import SpikeGradient, SpikeTimeLoss, check_gradient
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network()
    >>> gradient = SpikeGradient(network, SpikeTimeLoss(neurons, 12*ms), [synapses.w])
    >>> report = check_gradient(gradient, 40*ms)
    >>> [round(direction.order, 1) for direction in report.directions]
    [2.0, 2.0, 2.0]
    """

    directions: list[DirectionReport]
    rounding: float

    @property
    def passed(self) -> bool:
        return all(direction.passed for direction in self.directions)

    def __str__(self):
        lines = [f"direction {n}: {direction}" for n, direction in enumerate(self.directions)]
        return "\n".join([f"Taylor test, rounding of the loss {self.rounding:.1e}", *lines])


def check_gradient(
    gradient: SpikeGradient, duration: Quantity, directions: int = 3, seed: int = 0
) -> GradientReport | ConvergenceReport:
    """Test a gradient by the order of its Taylor remainder, or, on a clock, by its convergence.

    ``L(x + h d) - L(x) - h <slope, d>`` must fall with order 2 +- 0.1 over four halvings of h, in random directions d
    scaled by the size of each parameter, with the smallest steps that stay above rounding. Where the curvature is
    too small to show an order, a central difference decides (relative 1e-6), and the report says so.

    With `ClockSolver`, slopes are instead compared with those of `EventSolver`: for steps of dt, dt/2, ..., dt/16 the
    distance must fall, on average with an order of 1, see :mod:`brian_qif.gradients.convergence`.

    Parameters
    ----------
    gradient : `SpikeGradient`
    duration : `brian2.Quantity`
        Length of the trial.
    directions : int
        Number of random directions.
    seed : int
        Seed of the directions.

    Returns
    -------
    `GradientReport` or `ConvergenceReport`
        ``print`` shows it.

    Raises
    ------
    GradientCheckError
        If a direction fails; the message holds the whole report.
    ValueError
        For a solver of single precision, whose rounding hides the order.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_qif import SpikeGradient, SpikeTimeLoss, check_gradient
    >>> from brian_qif.example import example_network
    >>> network, stimulus, neurons, synapses = example_network()
    >>> gradient = SpikeGradient(network, SpikeTimeLoss(neurons, 12*ms), [synapses.w])
    >>> report = check_gradient(gradient, 40*ms)
    >>> report.passed
    True
    """
    if not isinstance(gradient, SpikeGradient):
        raise TypeError(f"A SpikeGradient is checked; {gradient!r} was given.")
    directions = whole_number(directions, "The number of directions", 1)
    if getattr(gradient.solver, "dtype", "float64") != "float64":
        raise ValueError(
            "Differences of a loss in single precision are mostly rounding, so no order shows in them. Check the same "
            "gradient with EventSolver(dtype='float64'); docs/accuracy.md says how far the two are apart."
        )
    if isinstance(gradient.solver, ClockSolver):
        convergence = check_convergence(gradient, duration)
        if not convergence.passed:
            raise GradientCheckError(str(convergence))
        return convergence
    trial = _Trial(gradient, duration_in_seconds(duration))
    generator = np.random.default_rng(seed)
    rounding = trial.rounding(generator)
    reports = [_check_direction(trial, *trial.direction(generator), rounding) for _ in range(directions)]
    report = GradientReport(reports, rounding)
    if not report.passed:
        raise GradientCheckError(str(report))
    return report


class _Trial:
    """The loss as a function of the parameters' numbers."""

    def __init__(self, gradient: SpikeGradient, duration: float):
        self.gradient, self.duration = gradient, duration
        self.reading = gradient.read()
        self.point = [parameter.value(self.reading) for parameter in gradient.parameters]
        prepared, record = self._run(self.reading)
        self.value, seeds, _ = gradient.loss.evaluate(self.reading, record, duration)
        self.pattern = self._pattern(self.reading, record)
        self.slopes = gradient.carry_back(self.reading, prepared, record, seeds, duration)

    def _run(self, reading):
        prepared = self.gradient.solver.prepare(reading.plan)
        return prepared, prepared.forward(self.gradient.loss.request(reading, self.duration))

    def _pattern(self, reading, record):
        """What must stay for the loss to stay smooth, and the order of all spikes.

        The loss may jump where a neuron gains or loses a spike; where a spike or an arrival passes a time at which a
        state is read; and, with synapses that act on what the threshold looks at, where another arrival makes a neuron
        spike at once.
        """
        plan = reading.plan
        counts = [np.bincount(record.spike_units[k], minlength=plan.nodes[k].size) for k in reading.neurons]
        labels = [np.full(len(units), k) for k, units in enumerate(record.spike_units)]
        order = np.argsort(np.concatenate(record.spike_times), kind="stable")
        order = np.stack([np.concatenate(labels)[order], np.concatenate(record.spike_units)[order]])
        samples = self.gradient.loss.request(reading, self.duration).samples
        for k, times in samples.items():
            counts += [np.searchsorted(record.spike_times[k], times, side="right")]
        for pathway in plan.pathways:
            arrivals = np.sort(np.concatenate(list(_arrivals(pathway, record))))
            for time in samples.get(pathway.target, ()):
                counts.append(np.searchsorted(arrivals, time, side="right"))
            if pathway.port == VOLTAGE or isinstance(plan.nodes[pathway.target], HybridNode):
                counts.append(np.searchsorted(arrivals, record.spike_times[pathway.target], side="right"))
        return np.concatenate([np.ravel(count) for count in counts]), order

    def at(self, shift, step: float):
        """Loss at a shifted point; whether it is smooth on the way there; whether the spikes keep their order.

        With other spikes the loss is not evaluated: a function of the second spike has no value without one.
        """
        values = [x + step * d for x, d in zip(self.point, shift, strict=True)]
        try:
            moved = self.gradient.with_values(self.reading, values)
        except ValueError:  # beyond what is possible: a reset above its threshold, a time constant below zero
            return np.nan, False, False
        _, record = self._run(moved)
        smooth, order = map(np.array_equal, self._pattern(moved, record), self.pattern)
        if not smooth:
            return np.nan, False, False
        return self.gradient.loss.evaluate(moved, record, self.duration)[0], True, order

    def direction(self, generator) -> tuple[list[np.ndarray], bool]:
        """A random direction, each parameter scaled by its own size, and whether a bound makes it one-sided.

        Delays near zero and input spikes near the start of the trial only grow; a voltage at infinity stays.
        """
        shift, one_sided = [], False
        bounds = {"delays": 0.0, "spike_times": self.reading.plan.start}
        for parameter, x in zip(self.gradient.parameters, self.point, strict=True):
            finite = np.isfinite(x)
            size = self.duration if parameter.kind == "spike_times" else np.sqrt(np.mean(x[finite] ** 2))
            if parameter.kind == "delays" and not size > 0:
                size = 0.01 * self.duration
            draw = np.where(finite, generator.standard_normal(np.shape(x)) * (size if size > 0 else 1.0), 0.0)
            if parameter.kind in bounds:
                near = x - bounds[parameter.kind] < np.abs(draw) * LARGEST_STEP
                draw, one_sided = np.where(near, np.abs(draw), draw), one_sided or bool(np.any(near))
            shift.append(draw)
        return shift, one_sided

    def rounding(self, generator) -> float:
        """Noise of the loss: how far it moves when the parameters move by some units in the last place."""
        tiny = 4 * np.finfo(float).eps
        nearby = [self.at(self.direction(generator)[0], tiny) for _ in range(3)]
        return max([tiny * abs(self.value), *(abs(value - self.value) for value, same, _ in nearby if same)])


def _arrivals(pathway, record):
    """The times at which the spikes of a trial arrive through each synapse of a pathway."""
    times, units = record.spike_times[pathway.source], record.spike_units[pathway.source]
    yield np.zeros(0)
    for neuron, delay in zip(pathway.pre, pathway.delays, strict=True):
        yield times[units == neuron] + delay


def _check_direction(trial: _Trial, shift, one_sided: bool, rounding: float) -> DirectionReport:
    slope = float(sum(np.sum(g * d) for g, d in zip(trial.slopes, shift, strict=True)))
    steps, remainders, note = _remainders(trial, shift, slope, rounding)
    usable = np.flatnonzero(remainders >= ABOVE_ROUNDING * rounding)
    start = usable[-1] if len(usable) else -1
    if 0 <= start <= len(steps) - 1 - HALVINGS and np.all(remainders[start : start + HALVINGS + 1] > 0):
        window = slice(start, start + HALVINGS + 1)
        order = float(np.polyfit(np.log2(steps[window]), np.log2(remainders[window]), 1)[0])
        passed = abs(order - 2) <= ORDER_TOLERANCE
        difference = _difference(trial, shift, steps[window], one_sided)
        return DirectionReport("order", order, steps[window], remainders[window], slope, difference, passed, note)
    difference = _difference(trial, shift, steps, one_sided)
    size = sum(np.sum(np.abs(g * d)) for g, d in zip(trial.slopes, shift, strict=True))
    allowed = CENTRAL_TOLERANCE * max(size, abs(difference)) + (2 * rounding / steps[0] if len(steps) else 0.0)
    passed = len(steps) > 0 and abs(difference - slope) <= allowed
    return DirectionReport("central difference", None, steps, remainders, slope, difference, passed, note)


def _remainders(trial, shift, slope, rounding):
    """Remainders for falling steps at which every neuron keeps its number of spikes, until rounding takes over."""
    steps, remainders, reordered, step = [], [], False, LARGEST_STEP
    changed_at = None
    while step >= SMALLEST_STEP:
        value, same_counts, same_order = trial.at(shift, step)
        if same_counts:
            steps.append(step)
            remainders.append(abs(value - trial.value - step * slope))
            reordered = not same_order
            if len(steps) > HALVINGS and remainders[-1 - HALVINGS] < ABOVE_ROUNDING * rounding:
                break
        else:
            steps, remainders, changed_at = [], [], step
        step /= 2
    notes = []
    if changed_at is not None:
        notes.append(f"the number of spikes changes within a step of {changed_at:.1e}")
    if reordered:
        notes.append("spikes change their order within the smallest step")
    if not steps:
        notes.append("no step leaves the number of spikes unchanged")
    return np.array(steps), np.array(remainders), "; ".join(notes)


# Positions, in steps, and weights of differences of fourth order: central, and one-sided for directions at a bound.
_CENTRAL = {-1.0: 1 / 6, -0.5: -8 / 6, 0.5: 8 / 6, 1.0: -1 / 6}
_ONE_SIDED = {0.0: -25 / 3, 0.25: 48 / 3, 0.5: -36 / 3, 0.75: 16 / 3, 1.0: -3 / 3}


def _difference(trial, shift, steps, one_sided) -> float:
    """Difference of fourth order at the largest step at which the loss stays smooth on all sides."""
    step = steps[0] if len(steps) else 0.0
    while step >= SMALLEST_STEP:
        total = 0.0
        for position, weight in (_ONE_SIDED if one_sided else _CENTRAL).items():
            value, same, _ = trial.at(shift, position * step)
            if not same:
                break
            total += weight * value
        else:
            return float(total / step)
        step /= 2
    return float("nan")
