"""Wrong types, units, shapes, NaN, empty and huge values: an error that says what was given and what would work."""

import re

import numpy as np
import pytest
from brian2 import Network, SpikeGeneratorGroup, Synapses, mA, ms, mV, second
from brian2.units import DimensionMismatchError

from brian_qif import (
    Adam,
    ClockSolver,
    CrossEntropyLoss,
    EventSolver,
    FirstSpikeCrossEntropyLoss,
    SpikeFunctionLoss,
    SpikeGradient,
    SpikeTimeLoss,
    StateLoss,
    Trainer,
    check_gradient,
)
from brian_qif.gradients.batch import BatchGradient
from brian_qif.models import LeakyIntegratorGroup, LIFGroup, QIFGroup

SOLVER = EventSolver(backend="reference")
WRONG = [None, "x", np.nan, [], np.zeros((2, 2)), np.nan * ms, [] * ms, 3 * mA, object()]
ANY_ERROR = (TypeError, ValueError, NotImplementedError, DimensionMismatchError)
# What Python, NumPy and Brian2 say where nobody looked at an argument before.
UNHELPFUL = re.compile(
    r"has no attribute|truth value|does not have dimensions|unsupported operand|not supported between|unhashable|"
    r"object is not|cannot unpack|to unpack|could not broadcast|cannot be broadcast|length-1|only 0-dimensional|"
    r"argument must be|invalid literal|cannot convert|len\(\) of|SeedSequence"
)


class Parts:
    """A small network with a readout, its gradient and a trial."""

    def __init__(self):
        self.stimulus = SpikeGeneratorGroup(1, [0], [2] * ms, name="stimulus")
        self.neurons = QIFGroup(2, tau_m=20 * ms, tau_s=10 * ms, name="neurons")
        self.readout = LeakyIntegratorGroup(2, tau_m=20 * ms, tau_s=10 * ms, name="readout")
        self.synapses = Synapses(self.stimulus, self.neurons, "w : 1", on_pre="I_post += w", name="synapses")
        self.synapses.connect()
        self.synapses.w = [12, 8]
        self.out = Synapses(self.neurons, self.readout, "w : 1", on_pre="I_post += w", name="out")
        self.out.connect()
        self.network = Network(self.stimulus, self.neurons, self.readout, self.synapses, self.out)
        self.loss = SpikeTimeLoss(self.neurons, target=12 * ms)
        self.gradient = SpikeGradient(self.network, self.loss, [self.synapses.w], solver=SOLVER)
        self.trajectory = SOLVER.simulate(self.network, 40 * ms)

    def trainer(self, **settings):
        loss = CrossEntropyLoss(self.readout)
        return Trainer(self.network, loss, [self.out.w], self.stimulus, 40 * ms, solver=SOLVER, **settings)


@pytest.fixture(scope="module")
def parts():
    return Parts()


def returning(value):
    """A loss whose function returns something."""
    return lambda p: SpikeGradient(
        p.network, SpikeFunctionLoss(p.neurons, lambda t, i: value), [p.synapses.w], solver=SOLVER
    )(40 * ms)


# For each public argument: how to give it, and the wrong values that are right here.
ARGUMENTS = {
    "LIFGroup N": (lambda p, x: LIFGroup(x, tau_m=20 * ms, tau_s=5 * ms), ()),
    "LIFGroup tau_m": (lambda p, x: LIFGroup(1, tau_m=x, tau_s=5 * ms), ()),
    "LIFGroup v_th": (lambda p, x: LIFGroup(1, tau_m=20 * ms, tau_s=5 * ms, v_th=x), (3 * mA,)),
    "LIFGroup v_reset": (lambda p, x: LIFGroup(1, tau_m=20 * ms, tau_s=5 * ms, v_reset=x), (None,)),
    "QIFGroup v_rest": (lambda p, x: QIFGroup(1, tau_m=20 * ms, tau_s=10 * ms, v_rest=x, v_crit=1), ()),
    "QIFGroup v_crit": (lambda p, x: QIFGroup(1, tau_m=20 * ms, tau_s=10 * ms, v_rest=0, v_crit=x), ()),
    "QIFGroup v_cut": (lambda p, x: QIFGroup(1, tau_m=20 * ms, tau_s=10 * ms, v_cut=x), (None,)),
    "EventSolver backend": (lambda p, x: EventSolver(backend=x), (None,)),
    "EventSolver numeric": (lambda p, x: EventSolver(numeric=x), ()),
    "EventSolver threads": (lambda p, x: EventSolver(threads=x), ()),
    "EventSolver dtype": (lambda p, x: EventSolver(dtype=x), ()),
    "ClockSolver device": (lambda p, x: ClockSolver(x), ()),
    "ClockSolver dt": (lambda p, x: ClockSolver(dt=x), (None,)),
    "ClockSolver surrogate": (lambda p, x: ClockSolver(surrogate=x), (None,)),
    "ClockSolver surrogate_slope": (lambda p, x: ClockSolver(surrogate="sigmoid", surrogate_slope=x), (3 * mA,)),
    "simulate network": (lambda p, x: SOLVER.simulate(x, 40 * ms), ()),
    "simulate duration": (lambda p, x: SOLVER.simulate(p.network, x), ()),
    "explain network": (lambda p, x: EventSolver.explain(x), ()),
    "state group": (lambda p, x: p.trajectory.state(x, "v", 1 * ms), ()),
    "state name": (lambda p, x: p.trajectory.state(p.neurons, x, 1 * ms), ()),
    "spikes group": (lambda p, x: p.trajectory.spikes[x], ()),
    "SpikeTimeLoss group": (lambda p, x: SpikeTimeLoss(x, target=1 * ms), ()),
    "SpikeTimeLoss target": (lambda p, x: SpikeTimeLoss(p.neurons, target=x), ()),
    "SpikeFunctionLoss function": (lambda p, x: SpikeFunctionLoss(p.neurons, x), ()),
    "SpikeFunctionLoss returned": (lambda p, x: returning(x)(p), ()),
    "SpikeFunctionLoss unit": (lambda p, x: SpikeFunctionLoss(p.neurons, len, unit=x), (None, np.nan * ms, 3 * mA)),
    "SpikeFunctionLoss pseudospikes": (lambda p, x: SpikeFunctionLoss(p.neurons, len, pseudospikes=x), ()),
    "StateLoss name": (lambda p, x: StateLoss(p.neurons, x, 1 * ms), ()),
    "StateLoss times": (
        lambda p, x: SpikeGradient(p.network, StateLoss(p.neurons, "v", x), [p.synapses.w], solver=SOLVER)(40 * ms), ()
    ),
    "StateLoss target": (lambda p, x: StateLoss(p.readout, "v", [1, 2, 3] * ms, target=x), (None,)),
    "CrossEntropyLoss group": (lambda p, x: CrossEntropyLoss(x), ()),
    "CrossEntropyLoss label": (lambda p, x: CrossEntropyLoss(p.readout, label=x), (None,)),
    "CrossEntropyLoss weight_time": (lambda p, x: CrossEntropyLoss(p.readout, weight_time=x), (None,)),
    "CrossEntropyLoss gain": (lambda p, x: CrossEntropyLoss(p.readout, gain=x), ()),
    "CrossEntropyLoss output": (lambda p, x: CrossEntropyLoss(p.readout, output=x), ()),
    "FirstSpikeCrossEntropyLoss scale": (lambda p, x: FirstSpikeCrossEntropyLoss(p.neurons, time_scale=x), (None,)),
    "FirstSpikeCrossEntropyLoss early": (lambda p, x: FirstSpikeCrossEntropyLoss(p.neurons, early=x), ()),
    "SpikeGradient network": (lambda p, x: SpikeGradient(x, p.loss, [p.synapses.w]), ()),
    "SpikeGradient loss": (lambda p, x: SpikeGradient(p.network, x, [p.synapses.w]), ()),
    "SpikeGradient parameter": (lambda p, x: SpikeGradient(p.network, p.loss, [x]), ()),
    "SpikeGradient solver": (lambda p, x: SpikeGradient(p.network, p.loss, [p.synapses.w], solver=x), (None,)),
    "SpikeGradient duration": (lambda p, x: p.gradient(x), ()),
    "SpikeGradient write": (lambda p, x: p.gradient.write([x]), ()),
    "check_gradient gradient": (lambda p, x: check_gradient(x, 40 * ms), ()),
    "check_gradient duration": (lambda p, x: check_gradient(p.gradient, x), ()),
    "check_gradient directions": (lambda p, x: check_gradient(p.gradient, 40 * ms, directions=x), ()),
    "BatchGradient stimulus": (lambda p, x: BatchGradient(p.gradient, x), ()),
    "BatchGradient threads": (lambda p, x: BatchGradient(p.gradient, p.stimulus, threads=x), (None,)),
    "Adam beta_1": (lambda p, x: Adam(beta_1=x), ()),
    "Adam epsilon": (lambda p, x: Adam(epsilon=x), ()),
    "Adam weight_decay": (lambda p, x: Adam(weight_decay=x), ()),
    "Trainer batch_size": (lambda p, x: p.trainer(batch_size=x), ()),
    "Trainer seed": (lambda p, x: p.trainer(seed=x), (None,)),
    "Trainer threads": (lambda p, x: p.trainer(threads=x), (None,)),
    "Trainer optimiser": (lambda p, x: p.trainer(optimiser=x), (None,)),
}  # fmt: skip


def _is_right(value, right):
    return any(value is one or (one is not None and repr(value) == repr(one)) for one in right)


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_wrong_values_are_refused_in_words(parts, argument):
    give, right = ARGUMENTS[argument]
    for value in WRONG:
        if _is_right(value, right):
            continue
        with pytest.raises(ANY_ERROR) as refusal:
            give(parts, value)
        assert not UNHELPFUL.search(str(refusal.value)), f"{argument} = {value!r}: {refusal.value}"


@pytest.mark.parametrize(
    "argument, value, error, message",
    [
        ("LIFGroup tau_m", None, TypeError, "tau_m is a time, for instance 20*ms; None was given."),
        ("LIFGroup v_th", "x", TypeError, "v_th is a number or a voltage; 'x' was given."),
        ("LIFGroup v_reset", np.inf, ValueError, "v_reset must be one finite number; inf was given."),
        ("QIFGroup v_crit", 3 * mV, DimensionMismatchError, "v_crit has the unit of v_rest"),
        ("EventSolver backend", 3, TypeError, "backend is a name such as 'cpp' or 'reference', or None; 3 was given."),
        ("EventSolver backend", "fpga", ValueError, "There is no backend 'fpga'"),
        ("simulate duration", "40 ms", TypeError, "The duration of a trial is a time, for instance 40*ms; '40 ms' was"),
        ("simulate duration", 1e300 * 0 * ms, ValueError, "must be positive and finite; it is 0.0 s."),
        ("simulate duration", [3, 4] * ms, TypeError, "for instance 40*ms; an array of shape (2,) was given."),
        ("SpikeFunctionLoss returned", 3.0, TypeError, "returns a pair: the value, a number, and its derivatives"),
        ("SpikeFunctionLoss unit", 3, TypeError, "unit of a SpikeFunctionLoss is a unit such as ms**2; 3 was given."),
        ("StateLoss times", [] * ms, ValueError, "needs one time or a row of them; an array of shape (0,) was given."),
        ("StateLoss target", np.nan, ValueError, "The target of a StateLoss contains a value that is not finite."),
        ("StateLoss target", np.zeros(5), ValueError, "has shape (5,); for its times and neurons it is (3, 2), or one"),
        ("CrossEntropyLoss label", 0.5, ValueError, "The label 0.5 is not one of the 2 classes 0 to 1 of 'readout'."),
        ("CrossEntropyLoss gain", np.inf, ValueError, "and be one finite number; inf was given."),
        ("SpikeGradient solver", "cpp", TypeError, "The solver is an EventSolver or a ClockSolver; 'cpp' was given."),
        ("SpikeGradient write", [1, np.nan], ValueError, "synapses.w was given values that are not finite."),
        ("SpikeGradient write", 3.0, ValueError, "synapses.w has shape (2,); values of shape () were given."),
        ("check_gradient gradient", 3, TypeError, "A SpikeGradient is checked; 3 was given."),
        ("check_gradient directions", 0, ValueError, "The number of directions is a whole number, 1 or more; 0 was"),
        ("Adam epsilon", np.inf, ValueError, "'epsilon' has to be positive, not inf."),
        ("Adam epsilon", 3 * ms, TypeError, "'epsilon' is a number without a unit; 3. * msecond was given."),
        ("Trainer seed", -1, ValueError, "The seed is a whole number, 0 or more; -1 was given."),
        ("Trainer threads", 0, ValueError, "threads is a whole number, 1 or more; 0 was given."),
        ("Trainer optimiser", "adam", TypeError, "The optimiser is one such as Adam(learning_rate=1e-3); 'adam' was"),
    ],
)
def test_the_words(parts, argument, value, error, message):
    with pytest.raises(error, match=re.escape(message)):
        ARGUMENTS[argument][0](parts, value)


def test_refused_values_leave_the_network_alone(parts):
    before = np.array(parts.synapses.w[:])
    for value in ([1, np.inf], [1, 2, 3], "x"):
        with pytest.raises(ValueError):
            parts.gradient.write([value])
    np.testing.assert_array_equal(parts.synapses.w[:], before)


@pytest.mark.parametrize("group", [LIFGroup, QIFGroup])
def test_currents_without_bound_end_a_trial(group, backend):
    """The next spike, or the next part of a step, is nearer than time can be told."""
    stimulus = SpikeGeneratorGroup(1, [0], [2] * ms)
    neurons = group(2, tau_m=20 * ms, tau_s=10 * ms)
    synapses = Synapses(stimulus, neurons, "w : 1", on_pre="I_post += w")
    synapses.connect()
    synapses.w = 1e300
    with pytest.raises((RuntimeError, FloatingPointError), match="too many events to be kept at 0.002 s|is not finite"):
        EventSolver(backend=backend).simulate(Network(stimulus, neurons, synapses), 40 * ms)


@pytest.mark.parametrize(
    "group, tau_m, tau_s, words",
    [
        (LIFGroup, -20, 10, "tau_m = -0.02 s; a time constant is positive and finite"),
        (LIFGroup, 20, -10, "tau_s = -0.01 s; a time constant is positive and finite"),
        (QIFGroup, -20, 10, "it runs to minus infinity and never spikes; a time constant is positive"),
        (QIFGroup, 20, -10, "tau_s = -0.01 s; a time constant is positive and finite"),
    ],
)
def test_time_constants_that_an_optimiser_made_negative_are_refused(group, tau_m, tau_s, words):
    stimulus = SpikeGeneratorGroup(1, [0], [2] * ms)
    neurons = group(1, tau_m=20 * ms, tau_s=10 * ms)
    synapses = Synapses(stimulus, neurons, "w : 1", on_pre="I_post += w")
    synapses.connect()
    synapses.w = 6
    network = Network(stimulus, neurons, synapses)
    gradient = SpikeGradient(network, SpikeTimeLoss(neurons, 9 * ms), [neurons.tau_m, neurons.tau_s])
    function, _ = gradient.flat(40 * ms)
    with pytest.raises(ValueError, match=words):
        function(np.array([tau_m, tau_s]) * 1e-3)


@pytest.mark.parametrize("weight", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_named(weight, backend):
    built = Parts()
    built.synapses.w[1] = weight
    with pytest.raises(ValueError, match=re.escape(f"'synapses': w[1] is {weight}; weights must be finite.")):
        EventSolver(backend=backend).simulate(built.network, 40 * ms)


def test_tiny_durations_are_simulated(backend):
    built = Parts()
    short = EventSolver(backend=backend).simulate(built.network, 1e-300 * second)
    assert len(short.spikes[built.neurons].t) == 0
