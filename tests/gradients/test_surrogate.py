"""Surrogate gradients against a forward-mode tangent of the same map, written out for one network."""

import numpy as np
import pytest
from brian2 import Network, SpikeGeneratorGroup, Synapses, ms, prefs

from brian_qif import (
    ClockSolver,
    CrossEntropyLoss,
    EventSolver,
    SpikeCountCrossEntropyLoss,
    SpikeFunctionLoss,
    SpikeGradient,
)
from brian_qif.models import LeakyIntegratorGroup, LIFGroup

DT, STEPS, SLOPE = 1.0, 40, 5.0
UNITS, STEPS_OF_SPIKES = [0, 1, 2, 3, 0], [1, 3, 5, 8, 12]

SHAPES = {
    "superspike": lambda x: 1 / (1 + SLOPE * np.abs(x)) ** 2,
    "triangular": lambda x: np.maximum(1 - SLOPE * np.abs(x), 0),
    "sigmoid": lambda x: SLOPE * np.exp(-SLOPE * np.abs(x)) / (1 + np.exp(-SLOPE * np.abs(x))) ** 2,
}


@pytest.fixture(autouse=True)
def numpy_target():
    before = prefs["codegen.target"]
    prefs["codegen.target"] = "numpy"
    yield
    prefs["codegen.target"] = before


class Example:
    """Four inputs, three LIF neurons that hear each other, two leaky readouts; Euler steps of 1 ms."""

    def __init__(self, delay=0 * ms):
        generator = np.random.default_rng(0)
        step = DT * ms
        self.stimulus = SpikeGeneratorGroup(4, UNITS, STEPS_OF_SPIKES * ms, dt=step)
        self.hidden = LIFGroup(3, tau_m=20 * ms, tau_s=5 * ms, method="euler", dt=step)
        self.readout = LeakyIntegratorGroup(2, tau_m=20 * ms, tau_s=10 * ms, method="euler", dt=step)
        ends = [(self.stimulus, self.hidden), (self.hidden, self.readout), (self.hidden, self.hidden)]
        self.synapses = [Synapses(*pair, "w : 1", on_pre="I_post += w", dt=step) for pair in ends]
        for synapses in self.synapses:
            synapses.connect()
        self.synapses[0].w = generator.uniform(1, 4, 12)
        self.synapses[1].w, self.synapses[2].w = generator.normal(size=6), generator.normal(size=9)
        self.synapses[2].delay = delay
        self.network = Network(self.stimulus, self.hidden, self.readout, *self.synapses)
        self.loss = CrossEntropyLoss(self.readout, label=0, weight_time=30 * ms)
        self.counting = SpikeCountCrossEntropyLoss(self.hidden, label=1, gain=0.5)

    def gradient(self, solver, loss=None):
        parameters = [*(synapses.w for synapses in self.synapses), self.hidden.v_th]
        return SpikeGradient(self.network, self.loss if loss is None else loss, parameters, solver=solver)

    def tangent(self, shape, by_weights, by_threshold, counting=False):
        """The derivative of a loss in one direction, with s = H(g) differentiated as the shape says."""
        shapes = ((4, 3), (3, 2), (3, 3))
        w, r, q = (np.reshape(synapses.w[:], size) for synapses, size in zip(self.synapses, shapes, strict=True))
        dw, dr, dq = (np.reshape(x, size) for x, size in zip(by_weights, shapes, strict=True))
        given = np.zeros((STEPS, 4))
        given[STEPS_OF_SPIKES, UNITS] = 1
        v, i, u, j = np.zeros(3), np.zeros(3), np.zeros(2), np.zeros(2)
        dv, di, du, dj = v, i, u, j
        outputs, changes = [u], [du]
        count, by_count = np.zeros(3), np.zeros(3)
        for k in range(STEPS):
            v, dv = v + DT * (i - v) / 20, dv + DT * (di - dv) / 20
            u, du = u + DT * (j - u) / 20, du + DT * (dj - du) / 20
            i, di, j, dj = i - DT * i / 5, di - DT * di / 5, j - DT * j / 10, dj - DT * dj / 10
            spiked = (v > 1).astype(float)
            by_spike = SHAPES[shape](v - 1) * (dv - by_threshold)
            count, by_count = count + spiked, by_count + by_spike
            i, di = i + given[k] @ w + spiked @ q, di + given[k] @ dw + by_spike @ q + spiked @ dq
            j, dj = j + spiked @ r, dj + by_spike @ r + spiked @ dr
            v, dv = v * (1 - spiked), dv * (1 - spiked)
            outputs.append(u)
            changes.append(du)
        weights = DT * np.exp(-DT * np.arange(STEPS + 1) / 30)
        weights[[0, -1]] /= 2
        mass = 30 * -np.expm1(-STEPS * DT / 30)
        output, change = weights @ np.array(outputs) / mass, weights @ np.array(changes) / mass
        if counting:
            output, change = 0.5 * count, 0.5 * by_count
        likely = np.exp(output - np.max(output))
        likely /= np.sum(likely)
        likely[1 if counting else 0] -= 1
        return float(likely @ change)


@pytest.mark.parametrize("counting", [False, True], ids=["voltages", "counts"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_surrogate_gradient_is_that_of_the_smoothed_step(shape, counting):
    example = Example()
    loss = example.counting if counting else example.loss
    _, slopes = example.gradient(ClockSolver(surrogate=shape, surrogate_slope=SLOPE), loss)(STEPS * ms)
    sizes = [12, 6, 9]
    for place, size in enumerate(sizes):
        for n in range(size):
            direction = [np.zeros(other) for other in sizes]
            direction[place][n] = 1
            expected = example.tangent(shape, direction, 0.0, counting)
            assert slopes[place][n] == pytest.approx(expected, rel=1e-11, abs=1e-15)
    still = [np.zeros(size) for size in sizes]
    assert float(slopes[3]) == pytest.approx(example.tangent(shape, still, 1.0, counting), rel=1e-11)
    assert np.count_nonzero(slopes[0]) > 9  # a triangle is zero far from the threshold


def test_the_solver_says_that_it_is_not_exact():
    assert "surrogate through spikes (superspike, slope 5), not exact" in repr(
        ClockSolver(surrogate="superspike", surrogate_slope=5)
    )


def test_what_has_no_surrogate_gradient_is_refused():
    with pytest.raises(ValueError, match="no surrogate 'step'; there are 'sigmoid', 'superspike', 'triangular'"):
        ClockSolver(surrogate="step")
    with pytest.raises(ValueError, match="slope of a surrogate must be positive and finite; it is -1"):
        ClockSolver(surrogate="sigmoid", surrogate_slope=-1)
    with pytest.raises(NotImplementedError, match="not carried back through delays"):
        Example(delay=2 * ms).gradient(ClockSolver(surrogate="sigmoid"))
    example = Example()
    loss = SpikeFunctionLoss(example.hidden, lambda t, i: (np.sum(t), np.ones_like(t)))
    with pytest.raises(NotImplementedError, match="no slope by the spike times of"):
        example.gradient(ClockSolver(surrogate="sigmoid"), loss)(STEPS * ms)


def test_counts_in_segments_and_with_input_delays():
    """The seeds of a count end with the trial, also where the reverse pass begins later, and go on over segments."""
    example = Example()
    example.synapses[0].delay = np.arange(12) % 4 * ms
    solver = ClockSolver(surrogate="superspike", surrogate_slope=SLOPE)
    value, whole = example.gradient(solver, example.counting)(STEPS * ms)
    before = prefs["brian_qif.trajectory_memory"]
    prefs["brian_qif.trajectory_memory"] = 20000
    try:
        again, cut = example.gradient(solver, example.counting)(STEPS * ms)
    finally:
        prefs["brian_qif.trajectory_memory"] = before
    assert again == value
    for slope, other in zip(whole, cut, strict=True):
        np.testing.assert_allclose(other, slope, rtol=1e-12)


def test_counts_are_refused_where_they_have_no_gradient():
    example = Example()
    message = r"EventSolver.* has no slope by it. For a SpikeCountCrossEntropyLoss, use ClockSolver\(surrogate="
    with pytest.raises(NotImplementedError, match=message):
        example.gradient(EventSolver(), example.counting)
    with pytest.raises(NotImplementedError, match="ClockSolver.* has no slope by it"):
        example.gradient(ClockSolver(), example.counting)
    with pytest.raises(ValueError, match="must be positive and finite; it is 0"):
        SpikeCountCrossEntropyLoss(example.hidden, gain=0)
    with pytest.raises(ValueError, match=r"The label 3 is not one of the 3 classes"):
        SpikeCountCrossEntropyLoss(example.hidden, label=3)
    with pytest.raises(ValueError, match=r"needs a label: SpikeCountCrossEntropyLoss\(outputs, label=3\)"):
        SpikeGradient(example.network, SpikeCountCrossEntropyLoss(example.hidden), [])(STEPS * ms)
    value, _ = SpikeGradient(example.network, example.counting, [])(STEPS * ms)
    assert value > 0
