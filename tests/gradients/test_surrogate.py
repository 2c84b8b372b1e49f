"""Surrogate gradients against a forward-mode tangent of the same map, written out for one network."""

import numpy as np
import pytest
from brian2 import Network, SpikeGeneratorGroup, Synapses, ms, prefs

from brian_qif import ClockSolver, CrossEntropyLoss, SpikeFunctionLoss, SpikeGradient
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

    def gradient(self, solver, loss=None):
        parameters = [*(synapses.w for synapses in self.synapses), self.hidden.v_th]
        return SpikeGradient(self.network, self.loss if loss is None else loss, parameters, solver=solver)

    def tangent(self, shape, by_weights, by_threshold):
        """The derivative of the loss in one direction, with s = H(g) differentiated as the shape says."""
        shapes = ((4, 3), (3, 2), (3, 3))
        w, r, q = (np.reshape(synapses.w[:], size) for synapses, size in zip(self.synapses, shapes, strict=True))
        dw, dr, dq = (np.reshape(x, size) for x, size in zip(by_weights, shapes, strict=True))
        given = np.zeros((STEPS, 4))
        given[STEPS_OF_SPIKES, UNITS] = 1
        v, i, u, j = np.zeros(3), np.zeros(3), np.zeros(2), np.zeros(2)
        dv, di, du, dj = v, i, u, j
        outputs, changes = [u], [du]
        for k in range(STEPS):
            v, dv = v + DT * (i - v) / 20, dv + DT * (di - dv) / 20
            u, du = u + DT * (j - u) / 20, du + DT * (dj - du) / 20
            i, di, j, dj = i - DT * i / 5, di - DT * di / 5, j - DT * j / 10, dj - DT * dj / 10
            spiked = (v > 1).astype(float)
            by_spike = SHAPES[shape](v - 1) * (dv - by_threshold)
            i, di = i + given[k] @ w + spiked @ q, di + given[k] @ dw + by_spike @ q + spiked @ dq
            j, dj = j + spiked @ r, dj + by_spike @ r + spiked @ dr
            v, dv = v * (1 - spiked), dv * (1 - spiked)
            outputs.append(u)
            changes.append(du)
        weights = DT * np.exp(-DT * np.arange(STEPS + 1) / 30)
        weights[[0, -1]] /= 2
        mass = 30 * -np.expm1(-STEPS * DT / 30)
        output, change = weights @ np.array(outputs) / mass, weights @ np.array(changes) / mass
        likely = np.exp(output - np.max(output))
        likely /= np.sum(likely)
        likely[0] -= 1
        return float(likely @ change)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_surrogate_gradient_is_that_of_the_smoothed_step(shape):
    example = Example()
    _, slopes = example.gradient(ClockSolver(surrogate=shape, surrogate_slope=SLOPE))(STEPS * ms)
    sizes = [12, 6, 9]
    for place, size in enumerate(sizes):
        for n in range(size):
            direction = [np.zeros(other) for other in sizes]
            direction[place][n] = 1
            assert slopes[place][n] == pytest.approx(example.tangent(shape, direction, 0.0), rel=1e-11, abs=1e-15)
    still = [np.zeros(size) for size in sizes]
    assert float(slopes[3]) == pytest.approx(example.tangent(shape, still, 1.0), rel=1e-11)
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
