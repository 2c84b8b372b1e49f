"""Synapses that spikes change: short-term plasticity after Tsodyks and Markram, and statements of other kinds."""

import re

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, StateMonitor, Synapses, defaultclock, ms, prefs

from brian_qif import ClockSolver, EventSolver, SpikeFunctionLoss, SpikeGradient, StateLoss, check_gradient
from brian_qif.codegen.compiler import CompilerError, find_compiler
from brian_qif.gradients.batch import BatchGradient
from brian_qif.training.datasets import SpikeSample
from tests.plasticity import TwoNeurons, difference_slopes

NEURON = "dv/dt = (-v + I)/tau_m : 1\ndI/dt = -I/tau_s : 1"
CONSTANTS = {"tau_m": 20 * ms, "tau_s": 5 * ms, "tau_d": 60 * ms}
# Parameters per synapse, shared ones and constants of the script; statements that name an intermediate result.
DYNAMICS = """
dx/dt = (1 - x)/tau_d : 1 (event-driven)
du/dt = -u/tau_f : 1 (event-driven)
w : 1
tau_f : second
U : 1 (shared)
"""
ON_PRE = "u += U*(1 - u); I_post += w*u*x\nr = u*x; x -= r"


@pytest.fixture(autouse=True)
def step():
    """Half a millisecond, and the default again afterwards."""
    defaultclock.dt = 0.5 * ms
    yield
    defaultclock.dt = 0.1 * ms


def set_values(synapses, generator, size=1.0):
    synapses.w = size * generator.uniform(0.5, 1.5, len(synapses))
    if "tau_f" in synapses.variables:
        synapses.tau_f, synapses.U = generator.uniform(20, 80, len(synapses)) * ms, 0.3
        synapses.x, synapses.u = generator.uniform(0.6, 1, len(synapses)), generator.uniform(0, 0.3, len(synapses))


STATES = {
    "short-term plasticity": (DYNAMICS, ON_PRE, ["w", "tau_f", "U", "x", "u"], ["tau_d"]),
    "fatigue without recovery": ("w : 1\nx : 1\nk : 1 (shared)", "I_post += w*x; x *= k", ["w", "x", "k"], []),
    "weights that grow": ("w : 1\nx : 1\nk : 1 (shared)", "I_post += w; w += k*sin(w)*x", ["w", "x", "k"], []),
    "two that decay together": (
        "da/dt = (b - a)/tau_d : 1 (event-driven)\ndb/dt = -b/(2*tau_d) : 1 (event-driven)\nw : 1",
        "I_post += w*(1 + a); b += w",
        ["w", "a", "b"],
        ["tau_d"],
    ),
    "stepped": (DYNAMICS.replace("event-driven", "clock-driven"), ON_PRE, ["w", "tau_f", "U", "x", "u"], ["tau_d"]),
    "no state, but a name for what is added": ("w : 1\nk : 1 (shared)", "r = w*exp(k)\nI_post -= r*k", ["w", "k"], []),
}


def silent_gradient(name, delays=True):
    """Neurons without a threshold, so that the loss is a smooth function of everything but the spike times."""
    model, on_pre, names, constants = STATES[name]
    generator = np.random.default_rng(0)
    stimulus = SpikeGeneratorGroup(3, [0, 1, 2, 0, 1, 0, 2], [1, 2, 3.2, 6.1, 9, 14, 15] * ms)
    neurons = NeuronGroup(2, NEURON, method="exact", namespace=CONSTANTS)
    synapses = Synapses(stimulus, neurons, model, on_pre=on_pre, namespace=CONSTANTS)
    synapses.connect()
    set_values(synapses, generator)
    for variable in ("x", "k", "a", "b"):
        if variable in synapses.variables and "tau_f" not in synapses.variables:
            setattr(synapses, variable, 0.7 if synapses.variables[variable].scalar else generator.uniform(0.3, 0.9, 6))
    if delays:
        synapses.delay = generator.uniform(0, 4, 6) * ms
    loss = StateLoss(neurons, "v", [12, 17.3, 20] * ms, function=lambda x: (np.sum(x**3), 3 * x**2))
    parameters = [getattr(synapses, variable) for variable in names] + [(synapses, c) for c in constants]
    network = Network(stimulus, neurons, synapses)
    return SpikeGradient(network, loss, parameters, solver=ClockSolver(), namespace={}), synapses, stimulus


@pytest.mark.parametrize("name", STATES)
def test_between_spikes_slopes_are_those_of_the_step(name):
    gradient, _, _ = silent_gradient(name)
    function, x = gradient.flat(20 * ms)
    _, slopes = function(x)
    assert np.all(slopes != 0)
    reading = gradient.read()

    def value(x):
        moved = gradient.with_values(reading, gradient.unflatten(x))
        record = gradient.solver.prepare(moved.plan).forward(gradient.loss.request(moved, 0.02))
        return gradient.loss.evaluate(moved, record, 0.02)[0]

    generator = np.random.default_rng(1)
    for _ in range(2):
        h = 2e-3 * x * generator.uniform(0.3, 1, len(x)) * generator.choice([-1, 1], len(x))
        values = [value(x + share * h) for share in (-1, -0.5, 0.5, 1)]
        difference = (8 * (values[2] - values[1]) - (values[3] - values[0])) / 6
        # The difference leaves the fourth power of the shift, and rounding of the loss.
        assert slopes @ h == pytest.approx(difference, rel=1e-8, abs=1e-14 * abs(values[0]))


def test_states_are_those_of_brian2():
    for name in STATES:
        gradient, synapses, _ = silent_gradient(name)
        network = gradient.network
        (neurons,) = (item for item in network.objects if isinstance(item, NeuronGroup))
        trajectory = ClockSolver().simulate(network, 20 * ms, namespace={})
        states = StateMonitor(neurons, "v", record=True)
        network.add(states)
        before = np.array(synapses.w)
        network.run(20 * ms, namespace={})
        found = trajectory.state(neurons, "v", states.t)
        assert found == pytest.approx(states.v.T, rel=1e-12, abs=1e-15)
        assert name != "weights that grow" or np.all(synapses.w != before)


def test_a_network_that_has_run_goes_on():
    gradient, _, _ = silent_gradient("short-term plasticity", delays=False)
    network = gradient.network
    (neurons,) = (item for item in network.objects if isinstance(item, NeuronGroup))
    network.run(7 * ms, namespace={})
    trajectory = ClockSolver().simulate(network, 13 * ms, namespace={})
    network.run(13 * ms, namespace={})
    assert trajectory.state(neurons, "v", 20 * ms) == pytest.approx(np.array(neurons.v), rel=1e-12)


# -- through spikes ------------------------------------------------------------------------------------------------

INPUTS = np.arange(10) % 2, np.array([1.03, 2.51, 6.07, 8.83, 12.41, 14.2, 18.9, 20.33, 26.1, 31.7])


class Oracle(TwoNeurons):
    """Short-term plasticity at all synapses, from event to event (ms)."""

    def __init__(self, w, tau_f, use, loop_w, late):
        super().__init__(INPUTS, late)
        self.w, self.tau_f, self.use = np.append(w, loop_w), tau_f, use
        self.x, self.u = np.ones(6), np.full(6, 0.1)

    def arrive(self, s, age):
        self.x[s] = 1 + (self.x[s] - 1) * np.exp(-age / 60.0)
        self.u[s] *= np.exp(-age / self.tau_f)
        self.u[s] += self.use * (1 - self.u[s])
        used = self.u[s] * self.x[s]
        self.x[s] -= used
        return self.w[s] * used


POINT = {"w": [10.5, 9.1, 7.8, 11.9], "tau_f": [40.0], "use": [0.35], "loop_w": [3.4, 2.6]}


def oracle_slopes(duration, delay):
    """Of the sum of the squares of spike times, by central differences that agree for two shifts."""

    def value(x):
        w, tau_f, use, loop_w, late = np.split(x, [4, 5, 6, 8])
        spikes = Oracle(w, tau_f[0], use[0], loop_w, late[0]).spikes(duration)
        return np.sum(spikes[:, 0] ** 2), len(spikes)

    x = np.append(np.concatenate(list(POINT.values())), delay)
    count = value(x)[1]
    return difference_slopes(value, x, count), count


def spiking_gradient(solver, delay=2.2, both=False):
    stimulus = SpikeGeneratorGroup(2, INPUTS[0], INPUTS[1] * ms)
    neurons = NeuronGroup(2, NEURON, threshold="v > 1", reset="v = 0", method="exact", namespace=CONSTANTS)
    model = DYNAMICS.replace("tau_f : second", "tau_f : second (shared)")
    synapses = Synapses(stimulus, neurons, model, on_pre=ON_PRE, namespace=CONSTANTS)
    synapses.connect()
    loop = Synapses(neurons, neurons, model, on_pre=ON_PRE, delay=delay * ms, namespace=CONSTANTS)
    loop.connect(condition="i != j")
    for one, w in ((synapses, POINT["w"]), (loop, POINT["loop_w"])):
        one.w, one.tau_f, one.U, one.x, one.u = w, POINT["tau_f"][0] * ms, POINT["use"][0], 1, 0.1
    loss = SpikeFunctionLoss(neurons, lambda t, i: (np.sum(t**2), 2 * t))
    parameters = [synapses.w, synapses.tau_f, loop.tau_f, synapses.U, loop.U, loop.w, loop.delay]
    parameters += [stimulus.spike_time, synapses.delay, synapses.x, loop.u, neurons.v] if both else []
    network = Network(stimulus, neurons, synapses, loop)
    return SpikeGradient(network, loss, parameters, solver=solver, namespace={}), neurons


@pytest.mark.parametrize("delay", [2.2, 12.0])
def test_slopes_through_spikes_converge_to_those_of_an_event_driven_oracle(delay):
    """With 12 ms several spikes of a neuron are on their way at a time."""
    exact, count = oracle_slopes(24.0, delay)
    assert count >= 8
    steps, errors = 0.1 / 2.0 ** np.arange(5), []
    for dt in steps:
        defaultclock.dt = dt * ms
        gradient, neurons = spiking_gradient(ClockSolver(), delay)
        _, slopes = gradient(24 * ms)
        w, tau_f, loop_tau_f, use, loop_use, loop_w, late = (np.asarray(slope) for slope in slopes)
        assert len(gradient.trajectory.spikes[neurons].t) == count
        # Squares of seconds are 1e6 squares of milliseconds.
        found = 1e6 * np.concatenate(
            [w, [1e-3 * (tau_f + loop_tau_f)], [use + loop_use], loop_w, [1e-3 * np.sum(late)]]
        )
        errors.append(np.abs(found - exact) / np.abs(exact))
    orders = np.polyfit(np.log(steps), np.log(np.array(errors)), 1)[0]
    assert np.median(orders) > 0.8, (orders, errors)
    assert np.max(errors[-1]) < 2e-2, errors


def test_source_spikes_and_delays_have_the_same_slope_where_they_move_alike():
    """All spikes of the inputs later, or all their synapses slower: the same slope, taken by two ways."""
    gradient, _ = spiking_gradient(ClockSolver(dt=0.1 * ms), both=True)
    slopes = gradient(24 * ms)[1]
    by_spike, by_delay = np.asarray(slopes[7]), np.asarray(slopes[8])
    assert np.sum(by_spike) == pytest.approx(np.sum(by_delay), rel=1e-12)
    # Scaling all of u and x in time: the slope of the state's own part is that by the spikes of the loop's neurons,
    # which the network takes back and the oracle above confirms; here they must not vanish.
    assert np.all(by_spike[:6] != 0)


def test_slopes_by_input_spikes_converge_to_the_oracle():
    w, tau_f, use, loop_w = (np.array(values) for values in POINT.values())
    exact, times = np.zeros(5), INPUTS[1].copy()
    try:
        for place in range(5):
            values = []
            for share in (-1, -0.5, 0.5, 1):
                INPUTS[1][:] = times + 1e-3 * share * (np.arange(10) == place)
                values.append(np.sum(Oracle(w, tau_f[0], use[0], loop_w, 2.2).spikes(24.0)[:, 0] ** 2))
            exact[place] = (8 * (values[2] - values[1]) - (values[3] - values[0])) / 6e-3
    finally:
        INPUTS[1][:] = times
    errors = []
    for dt in 0.1 / 2.0 ** np.arange(5):
        defaultclock.dt = dt * ms
        gradient, _ = spiking_gradient(ClockSolver(), both=True)
        found = 1e3 * np.asarray(gradient(24 * ms)[1][7])[:5]
        errors.append(np.linalg.norm(found - exact) / np.linalg.norm(exact))
    order = np.polyfit(-np.arange(5), np.log2(errors), 1)[0]
    assert order > 0.7 and errors[-1] < 1e-2, (order, errors)


@pytest.mark.parametrize("delay", [2.2, pytest.param(12.0, marks=pytest.mark.long)])
def test_segments_and_devices_give_the_same(delay):
    """With 12 ms several spikes of a neuron are on their way at a time, and cross the borders of segments."""
    found = []
    before = prefs["brian_qif.trajectory_memory"]
    for device, bound in (("runtime", before), ("runtime", 9e3), ("cpp_standalone", before)):
        if device != "runtime":
            try:
                find_compiler()
            except CompilerError:
                continue
        prefs["brian_qif.trajectory_memory"] = bound
        try:
            gradient, _ = spiking_gradient(ClockSolver(device, dt=0.2 * ms), delay, both=True)
            value, slopes = gradient(60 * ms)
        finally:
            prefs["brian_qif.trajectory_memory"] = before
        segments = gradient.trajectory._record.history.stops.segments
        assert segments.whole == (bound == before)
        found.append((value, [np.asarray(slope) for slope in slopes]))
    for value, slopes in found[1:]:
        assert value == pytest.approx(found[0][0], rel=1e-12)
        for slope, other in zip(slopes, found[0][1], strict=True):
            assert np.any(slope != 0)
            # What an arrival found is computed anew from where a segment begins, by NumPy instead of Brian2.
            assert slope == pytest.approx(other, rel=1e-9, abs=1e-12 * np.max(np.abs(other)))


def test_samples_side_by_side_are_samples_one_by_one():
    gradient, _, stimulus = silent_gradient("short-term plasticity")
    generator = np.random.default_rng(2)
    samples = [
        SpikeSample(
            np.sort(generator.choice(np.arange(1, 18), 6, replace=False)) * 1e-3, generator.integers(3, size=6), 0, 0
        )
        for _ in range(3)
    ]
    batch = BatchGradient(gradient, stimulus)
    together = batch(samples, 20 * ms)
    single = [batch([sample], 20 * ms) for sample in samples]
    for place, slopes in enumerate(together.slopes):
        assert slopes == pytest.approx(sum(one.slopes[place] for one in single), rel=1e-12)


REFUSED = {
    "stepped by halves": (
        dict(model="dx/dt = -x/tau_d : 1 (clock-driven)\ndy/dt = -y/tau_d : 1 (event-driven)", on_pre="I_post += x*y"),
        "Some equations are (event-driven) and some are not",
    ),
    "euler": (
        dict(model="dx/dt = -x/tau_d : 1 (clock-driven)", on_pre="I_post += x", method="euler"),
        "are stepped by 'euler'; mark them (event-driven)",
    ),
    "not linear": (dict(model="dx/dt = -x**2/tau_d : 1 (event-driven)", on_pre="I_post += x"), "are not linear"),
    "two targets": (dict(model="w : 1", on_pre="I_post += w; v_post += w"), "Two statements of on_pre"),
    "a state of a neuron": (dict(model="w : 1", on_pre="I_post += w*v_post; w *= 2"), "reads 'v_post'"),
    "no target": (dict(model="w : 1", on_pre="w *= 2"), "No statement of on_pre adds"),
    "a kink": (dict(model="w : 1", on_pre="I_post += w; w = clip(w, 0, 1)"), "not known to be smooth"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_transposed_is_refused_by_name(name):
    keywords, message = REFUSED[name]
    stimulus = SpikeGeneratorGroup(1, [0], [1] * ms)
    neurons = NeuronGroup(1, NEURON, threshold="v > 1", reset="v = 0", method="exact", namespace=CONSTANTS)
    synapses = Synapses(stimulus, neurons, namespace=CONSTANTS, **keywords)
    synapses.connect()
    with pytest.raises(NotImplementedError, match=re.escape(message)):
        ClockSolver().simulate(Network(stimulus, neurons, synapses), 10 * ms, namespace={})


def test_other_solvers_and_surrogates_refuse_a_state():
    gradient, _, _ = silent_gradient("short-term plasticity")
    with pytest.raises(NotImplementedError, match=re.escape("ClockSolver() takes them")):
        EventSolver(numeric=True).simulate(gradient.network, 10 * ms, namespace={})
    with pytest.raises(NotImplementedError, match="not carried back through synapses with a state"):
        SpikeGradient(gradient.network, gradient.loss, gradient.views, ClockSolver(surrogate="sigmoid"), namespace={})


def test_there_is_nothing_to_check_a_state_by():
    gradient, _, _ = silent_gradient("short-term plasticity")
    with pytest.raises(NotImplementedError, match="so there is nothing to converge to"):
        check_gradient(gradient, 20 * ms)


def test_two_spikes_in_a_step_are_refused():
    gradient, _, stimulus = silent_gradient("short-term plasticity")
    stimulus.set_spikes([0, 0], [1.1, 1.3] * ms)
    with pytest.raises(ValueError, match="spikes more than once in a step"):
        gradient(20 * ms)
