"""Slopes of neurons without a closed form: Taylor tests for every kind of parameter, and the closed forms' own."""

import numpy as np
import pytest
from brian2 import ms

from brian_qif import EventSolver, SpikeGradient, StateLoss, check_gradient
from brian_qif.gradients.check import GradientCheckError
from brian_qif.solvers.numeric import NumericNeurons
from tests.gradients import test_family
from tests.networks import DURATION as LONG
from tests.networks import smooth_loss
from tests.smooth_neurons import DURATION, MODELS, build

NUMERIC = EventSolver("reference", numeric=True)


@pytest.mark.parametrize("kind", ["equations", "initial states", "synapses"])
@pytest.mark.parametrize("name", MODELS)
def test_parameters_pass_the_taylor_test(name, kind):
    network, group, parameters, constants = build(name)
    gradient = SpikeGradient(network, smooth_loss(group), parameters[kind], solver=NUMERIC, namespace=constants)
    report = check_gradient(gradient, DURATION, directions=1)
    assert [direction.method for direction in report.directions] == ["order"], str(report)
    gradient(DURATION)
    counts = np.bincount(gradient.trajectory.spikes[group].i, minlength=2)
    assert np.all((counts >= 2) & (counts <= 8)), counts


@pytest.mark.parametrize("name", MODELS)
def test_every_slope_is_the_central_difference(name):
    network, group, parameters, constants = build(name)
    everything = [parameter for kind in parameters.values() for parameter in kind]
    gradient = SpikeGradient(network, smooth_loss(group), everything, solver=NUMERIC, namespace=constants)
    function, x = gradient.flat(18 * ms)
    _, slopes = function(x)
    sizes = [np.prod(parameter.shape, dtype=int) for parameter in gradient.parameters]
    first = np.cumsum([0, *sizes[:-1]])
    for position, parameter in zip(first, gradient.parameters, strict=True):
        # The difference leaves 1e-7 or so of the slope; of a parameter that hardly matters, its rounding.
        h = 1e-5 * abs(x[position])
        values = [function(x + k * h * (np.arange(len(x)) == position))[0] for k in (-1, 1)]
        difference = (values[1] - values[0]) / (2 * h)
        floor = 1e-12 * abs(values[0]) / h
        assert slopes[position] == pytest.approx(difference, rel=1e-6, abs=floor), parameter.label


def test_states_pass_the_taylor_test():
    network, group, parameters, constants = build("adaptive exponential")
    loss = StateLoss(group, "u", [11, 27] * ms)
    everything = [parameter for kind in parameters.values() for parameter in kind]
    gradient = SpikeGradient(network, loss, everything, solver=NUMERIC, namespace=constants)
    check_gradient(gradient, DURATION, directions=1)


def test_a_dropped_jump_fails(monkeypatch):
    network, group, parameters, constants = build("exponential")
    gradient = SpikeGradient(network, smooth_loss(group), parameters["synapses"], solver=NUMERIC, namespace=constants)

    def without_jump(self, x, rates, neuron, adjoint, slopes):
        adjoint[:, neuron] = adjoint[:, neuron] @ self.matrix("jump_by_state", x, neuron)
        return 0.0

    monkeypatch.setattr(NumericNeurons, "_through_jump", without_jump)
    with pytest.raises(GradientCheckError):
        check_gradient(gradient, DURATION, directions=1)


@pytest.mark.parametrize(
    "name",
    [
        "lif, subtracting",
        "lif, two currents",
        "lif in volts and amperes",
        "lif, different neurons",
        "lif, spikes at once",
        "lif, spikes at once, subtracting",
        "qif, finite",
        "qif, finite, delta synapses",
    ],
)
def test_slopes_are_those_of_the_closed_forms(name):
    network, group, parameters, constants = test_family.build(name)
    found = []
    for numeric in (False, "always"):
        solver = EventSolver("reference", numeric=numeric)
        gradient = SpikeGradient(network, smooth_loss(group), parameters, solver=solver, namespace=constants)
        _, slopes = gradient(LONG)
        found.append((np.asarray(gradient.trajectory.spikes[group].t), slopes))
    (closed_times, closed), (times, numeric) = found
    np.testing.assert_allclose(times, closed_times, rtol=1e-11, atol=0)
    for parameter, expected, slope in zip(gradient.parameters, closed, numeric, strict=True):
        size = np.max(np.abs(np.asarray(expected)))
        np.testing.assert_allclose(
            np.asarray(slope), np.asarray(expected), rtol=0, atol=1e-9 * size, err_msg=parameter.label
        )
