"""Synapses that spikes of the neurons behind change: plasticity by the timing of pairs of spikes."""

import re

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, StateMonitor, Synapses, defaultclock, ms, prefs

from brian_qif import ClockSolver, SpikeFunctionLoss, SpikeGradient
from brian_qif.codegen.compiler import CompilerError, find_compiler
from brian_qif.gradients.batch import BatchGradient
from brian_qif.training.datasets import SpikeSample
from tests.plasticity import TAU_M, TAU_S, TwoNeurons, difference_slopes

NEURON = "dv/dt = (-v + I)/tau_m : 1\ndI/dt = -I/tau_s : 1"
CONSTANTS = {"tau_m": TAU_M * ms, "tau_s": TAU_S * ms}
# Traces of both neurons; weights grow towards a bound, and fall in proportion to themselves.
MODEL = """
da/dt = -a/tau_a : 1 (event-driven)
db/dt = -b/tau_b : 1 (event-driven)
w : 1
tau_a : second
tau_b : second (shared)
up : 1
down : 1
"""
ON_PRE = "I_post += w; a += 1; w -= down*b*w"
ON_POST = "b += 1; gain = up*a; w += gain*(7 - w)"
INPUTS = np.arange(10) % 2, np.array([1.03, 2.51, 6.07, 8.83, 12.41, 14.2, 18.9, 20.33, 26.1, 31.7])
POINT = {
    "w": [4.5, 3.6, 3.3, 4.9],
    "loop_w": [1.4, 1.1],
    "tau_a": [17.0],
    "tau_b": [24.0],
    "up": [0.05],
    "down": [0.12],
}
COUNTS = [4, 2, 1, 1, 1, 1]


@pytest.fixture(autouse=True)
def step():
    """The default step again afterwards."""
    yield
    defaultclock.dt = 0.1 * ms


class Oracle(TwoNeurons):
    """The same from event to event (ms)."""

    def __init__(self, w, loop_w, tau_a, tau_b, up, down, late):
        super().__init__(INPUTS, late[0])
        self.w, self.a, self.b = np.append(w, loop_w), np.zeros(6), np.zeros(6)
        self.tau_a, self.tau_b, self.up, self.down = tau_a[0], tau_b[0], up[0], down[0]

    def decay(self, s, age):
        self.a[s] *= np.exp(-age / self.tau_a)
        self.b[s] *= np.exp(-age / self.tau_b)

    def arrive(self, s, age):
        self.decay(s, age)
        amount = self.w[s]
        self.a[s] += 1
        self.w[s] -= self.down * self.b[s] * self.w[s]
        return amount

    def fired(self, s, age):
        self.decay(s, age)
        self.b[s] += 1
        self.w[s] += self.up * self.a[s] * (7 - self.w[s])
        return True


def oracle_slopes(duration, delay):
    """Of the sum of the squares of spike times."""

    def value(x):
        parts = np.split(x, np.cumsum(COUNTS))
        spikes = Oracle(*parts).spikes(duration)
        return np.sum(spikes[:, 0] ** 2), len(spikes)

    x = np.append(np.concatenate(list(POINT.values())), delay)
    count = value(x)[1]
    return difference_slopes(value, x, count), count


def plastic_gradient(solver, delay=1.7, others=False):
    """The network of the oracle; ``others`` adds slopes by what the oracle does not move."""
    stimulus = SpikeGeneratorGroup(2, INPUTS[0], INPUTS[1] * ms)
    neurons = NeuronGroup(2, NEURON, threshold="v > 1", reset="v = 0", method="exact", namespace=CONSTANTS)
    synapses = Synapses(stimulus, neurons, MODEL, on_pre=ON_PRE, on_post=ON_POST)
    synapses.connect()
    loop = Synapses(neurons, neurons, MODEL, on_pre=ON_PRE, on_post=ON_POST, delay=delay * ms)
    loop.connect(condition="i != j")
    for one, w in ((synapses, POINT["w"]), (loop, POINT["loop_w"])):
        one.w, one.up, one.down = w, POINT["up"][0], POINT["down"][0]
        one.tau_a, one.tau_b = POINT["tau_a"][0] * ms, POINT["tau_b"][0] * ms
    loss = SpikeFunctionLoss(neurons, lambda t, i: (np.sum(t**2), 2 * t))
    names = ("tau_a", "tau_b", "up", "down")
    parameters = [synapses.w, loop.w, *(getattr(one, name) for name in names for one in (synapses, loop)), loop.delay]
    parameters += [stimulus.spike_time, synapses.delay, synapses.a, loop.b, neurons.v] if others else []
    network = Network(stimulus, neurons, synapses, loop)
    return SpikeGradient(network, loss, parameters, solver=solver, namespace={}), neurons, synapses, stimulus


@pytest.mark.parametrize("delay", [1.7, 12.0])
def test_slopes_converge_to_those_of_an_event_driven_oracle(delay):
    """With 12 ms several spikes of a neuron are on their way at a time."""
    exact, count = oracle_slopes(24.0, delay)
    assert count >= 8
    steps, errors = 0.1 / 2.0 ** np.arange(5), []
    for dt in steps:
        defaultclock.dt = dt * ms
        gradient, neurons, *_ = plastic_gradient(ClockSolver(), delay)
        _, slopes = gradient(24 * ms)
        slopes = [np.asarray(slope) for slope in slopes]
        assert len(gradient.trajectory.spikes[neurons].t) == count
        both = [np.sum(one) + np.sum(other) for one, other in zip(slopes[2:10:2], slopes[3:10:2], strict=True)]
        seconds = np.array([1e-3, 1e-3, 1, 1, 1e-3])
        # Squares of seconds are 1e6 squares of milliseconds.
        found = 1e6 * np.concatenate([slopes[0], slopes[1], seconds * [*both, np.sum(slopes[10])]])
        errors.append(np.abs(found - exact) / np.abs(exact))
    # Single slopes scatter by where spikes lie inside their steps; all of them together fall with order 1.
    order = np.polyfit(np.log(steps), np.log(np.linalg.norm(errors, axis=1)), 1)[0]
    assert order > 0.8, (order, errors)
    assert np.max(errors[-1]) < 2e-2, errors


def test_slopes_by_input_spikes_converge_to_the_oracle():
    exact, times = np.zeros(5), INPUTS[1].copy()
    values = [np.array(x) for x in POINT.values()]
    try:
        for place in range(5):
            found = []
            for share in (-1, -0.5, 0.5, 1):
                INPUTS[1][:] = times + 1e-3 * share * (np.arange(10) == place)
                found.append(np.sum(Oracle(*values, [1.7]).spikes(24.0)[:, 0] ** 2))
            exact[place] = (8 * (found[2] - found[1]) - (found[3] - found[0])) / 6e-3
    finally:
        INPUTS[1][:] = times
    errors = []
    for dt in 0.1 / 2.0 ** np.arange(5):
        defaultclock.dt = dt * ms
        gradient, *_ = plastic_gradient(ClockSolver(), others=True)
        found = 1e3 * np.asarray(gradient(24 * ms)[1][11])[:5]
        errors.append(np.linalg.norm(found - exact) / np.linalg.norm(exact))
    order = np.polyfit(-np.arange(5), np.log2(errors), 1)[0]
    assert order > 0.7 and errors[-1] < 1e-2, (order, errors)


def test_states_are_those_of_brian2():
    """Spikes of the neurons behind leave their weights as Brian2 does, which shows in the spikes that follow."""
    gradient, neurons, synapses, _ = plastic_gradient(ClockSolver())
    found = ClockSolver().simulate(gradient.network, 40 * ms, namespace={})
    states = StateMonitor(neurons, "v", record=True)
    gradient.network.add(states)
    before = np.array(synapses.w)
    gradient.network.run(40 * ms, namespace={})
    assert found.state(neurons, "v", states.t) == pytest.approx(states.v.T, rel=1e-12, abs=1e-15)
    assert np.all(np.abs(synapses.w - before) > 0.1)


@pytest.mark.parametrize("delay", [1.7, pytest.param(12.0, marks=pytest.mark.long)])
def test_segments_and_devices_give_the_same(delay):
    found, before = [], prefs["brian_qif.trajectory_memory"]
    for device, bound in (("runtime", before), ("runtime", 12e3), ("cpp_standalone", before)):
        if device != "runtime":
            try:
                find_compiler()
            except CompilerError:
                continue
        prefs["brian_qif.trajectory_memory"] = bound
        try:
            gradient, *_ = plastic_gradient(ClockSolver(device, dt=0.2 * ms), delay, others=True)
            value, slopes = gradient(60 * ms)
        finally:
            prefs["brian_qif.trajectory_memory"] = before
        assert gradient.trajectory._record.history.stops.segments.whole == (bound == before)
        found.append((value, [np.asarray(slope) for slope in slopes]))
    for value, slopes in found[1:]:
        assert value == pytest.approx(found[0][0], rel=1e-12)
        for slope, other in zip(slopes, found[0][1], strict=True):
            assert np.any(slope != 0)
            # What an event found is computed anew from where a segment begins, by NumPy instead of Brian2.
            assert slope == pytest.approx(other, rel=1e-9, abs=1e-12 * np.max(np.abs(other)))


def test_samples_side_by_side_are_samples_one_by_one():
    gradient, _, _, stimulus = plastic_gradient(ClockSolver(dt=0.2 * ms))
    generator = np.random.default_rng(2)
    samples = [
        SpikeSample(
            np.sort(generator.choice(np.arange(1, 28), 9, replace=False)) * 1e-3, generator.integers(2, size=9), 0, 0
        )
        for _ in range(3)
    ]
    batch = BatchGradient(gradient, stimulus)
    together = batch(samples, 30 * ms)
    single = [batch([sample], 30 * ms) for sample in samples]
    for place, slopes in enumerate(together.slopes):
        assert np.any(slopes != 0)
        assert slopes == pytest.approx(sum(one.slopes[place] for one in single), rel=1e-12)


REFUSED = {
    "a neuron behind": (dict(on_post="v_post += 0.1"), "'v_post += 0.1' of on_post changes the neurons"),
    "a neuron before": (dict(on_post="v_pre += 0.1"), "'v_pre += 0.1' of on_post changes no variable of the synapses."),
    "a state that is read": (dict(on_post="w += v_post"), "'w += v_post' reads 'v_post'"),
    "a kink": (dict(on_post="w = clip(w, 0, 1)"), "on_post, 'w = clip(w, 0, 1)', contains"),
    "two of them": (dict(on_post={"post": "w += 0.1", "later": "w *= 0.9"}), "at most one on_post"),
    "no on_pre": (dict(on_pre="", on_post="w += 0.1"), "on_pre"),
    "a delay": (dict(on_post="w += 0.1", delay={"post": 1 * ms}), "set synapses.post.delay to zero"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_transposed_is_refused_by_name(name):
    keywords, message = REFUSED[name]
    stimulus = SpikeGeneratorGroup(1, [0], [1] * ms)
    neurons = NeuronGroup(1, NEURON, threshold="v > 1", reset="v = 0", method="exact", namespace=CONSTANTS)
    synapses = Synapses(stimulus, neurons, "w : 1", **{"on_pre": "I_post += w", **keywords})
    synapses.connect()
    with pytest.raises(NotImplementedError, match=re.escape(message)):
        ClockSolver().simulate(Network(stimulus, neurons, synapses), 10 * ms, namespace={})
