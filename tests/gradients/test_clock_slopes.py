"""Slopes of the clock-driven solver: exact between spikes, of order 1 in dt through them."""

import numpy as np
import pytest
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    StateUpdateMethod,
    Synapses,
    defaultclock,
    ms,
    mV,
    nS,
    pF,
    uA,
)
from scipy.integrate import solve_ivp

from brian_qif import ClockSolver, SpikeFunctionLoss, SpikeGradient, StateLoss, check_gradient
from brian_qif.equations import transposed
from brian_qif.gradients.check import GradientCheckError
from brian_qif.models import LIFGroup
from brian_qif.solvers.clock_tasks import find_device
from tests.networks import example, smooth_loss
from tests.smooth_neurons import DURATION, MODELS, build

# Neurons without a threshold; time constants and levels come from the script.
CONSTANTS = {"tau": 10 * ms, "tau_e": 5 * ms, "E": 3.0, "D": 0.2}
SILENT = {
    "conductance": ("dv/dt = (-v + g*(E - v) + b)/tau : 1\ndg/dt = -g/tau_e : 1\nb : 1", {"b": [0.1, 0.2]}),
    "exponential, adaptive": (
        "dv/dt = (-v + D*exp((v - 1)/D) - w + g)/tau : 1\ndw/dt = (a*v - w)/tau_w : 1\ndg/dt = -g/tau_e : 1\n"
        "a : 1 (shared)\ntau_w : second",
        {"a": 0.5, "tau_w": 30 * ms},
    ),
}
LINEAR = ("dv/dt = (-v + g)/tau : 1\ndg/dt = -g/tau_e : 1", {})


@pytest.fixture(autouse=True)
def step():
    """Half a millisecond, and the default again afterwards."""
    defaultclock.dt = 0.5 * ms
    yield
    defaultclock.dt = 0.1 * ms


def silent_gradient(equations, values, method, times=(1, 3.3, 5.1, 9.4), read=(12, 17.3, 20)):
    generator = np.random.default_rng(0)
    stimulus = SpikeGeneratorGroup(3, [0, 1, 2, 0], list(times) * ms)
    neurons = NeuronGroup(2, equations, method=method, namespace={})
    for name, value in values.items():
        setattr(neurons, name, value)
    neurons.v = [0.2, 0.1]
    synapses = Synapses(stimulus, neurons, "strength : 1", on_pre="g_post += strength", delay=1 * ms)
    synapses.connect()
    synapses.strength = generator.uniform(0.1, 0.3, 6)
    loss = StateLoss(neurons, "v", list(read) * ms, function=lambda x: (np.sum(x**3), 3 * x**2))
    used = [name for name in CONSTANTS if name in neurons.user_equations.identifiers]
    parameters = [synapses.strength, neurons.v, *(getattr(neurons, name) for name in values)]
    parameters += [(neurons, name) for name in used]
    network = Network(stimulus, neurons, synapses)
    return SpikeGradient(network, loss, parameters, solver=ClockSolver(), namespace=CONSTANTS)


SILENT_CASES = [(SILENT[name], method) for name in SILENT for method in "euler exponential_euler rk2 rk4 heun".split()]
SILENT_CASES += [(LINEAR, "exact")]


@pytest.mark.parametrize("model, method", SILENT_CASES)
def test_between_spikes_slopes_are_those_of_the_step(model, method):
    gradient = silent_gradient(*model, method)
    function, x = gradient.flat(20 * ms)
    _, slopes = function(x)
    generator = np.random.default_rng(1)
    for _ in range(3):
        # Every parameter moves, by its own size.
        shift = 2e-3 * x * generator.choice([-1, 1], len(x)) * generator.uniform(0.3, 1, len(x))
        values = [function(x + share * shift)[0] for share in (-1, -0.5, 0.5, 1)]
        difference = (8 * (values[2] - values[1]) - (values[3] - values[0])) / 6
        # The difference itself leaves the fourth power of the shift, and rounding.
        assert np.dot(slopes, shift) == pytest.approx(difference, abs=1e-9 * np.sum(np.abs(slopes * shift)))


def value_of_code(code, names, values, times, read):
    """The loss of `silent_gradient` from Brian2's own statements, run as Python, for real or complex numbers."""
    known = {"exp": np.exp, "dt": 5e-4} | dict(zip(names[1:], values[1:], strict=True))
    known |= {name: np.zeros(2) for name in ("g", "w") if name not in known}
    weights, arrivals = (
        values[0].reshape(3, 2),
        {int(t / 0.5) + 2: unit for t, unit in zip(times, (0, 1, 2, 0), strict=True)},
    )
    kept = [known["v"]]
    for step in range(40):
        exec(code, known)
        if step in arrivals:
            known["g"] = known["g"] + weights[arrivals[step]]
        kept.append(known["v"])
    return sum(np.sum(kept[int(t / 0.5)] ** 3) for t in read)


@pytest.mark.parametrize("model, method", SILENT_CASES)
def test_between_spikes_slopes_are_the_exact_derivative_of_brian2s_statements(model, method):
    """A complex step has no rounding error of a difference: Brian2's code is run with imaginary parts of 1e-30."""
    times, read = (1, 3.5, 5, 9.5), (12, 17.5, 20)
    gradient = silent_gradient(*model, method, times, read)
    group = next(item for item in gradient.network.objects if isinstance(item, NeuronGroup))
    names = [name for name in CONSTANTS if name in group.user_equations.identifiers]
    variables = {**group.variables, **group.resolve_all(names, run_namespace=CONSTANTS)}
    code = compile(StateUpdateMethod.apply_stateupdater(group.equations, variables, method), "step", "exec")
    names = ["strength", "v", *model[1], *names]
    values = [np.array(value, dtype=complex) for value in gradient.values()]
    value, slopes = gradient(20 * ms)
    assert value_of_code(code, names, values, times, read) == pytest.approx(float(value), rel=1e-12)
    for place, slope in enumerate(slopes):
        exact = np.empty(values[place].size)
        for k in range(len(exact)):
            moved = [x.copy() for x in values]
            moved[place].reshape(-1)[k] += 1e-30j
            exact[k] = value_of_code(code, names, moved, times, read).imag / 1e-30
        found = np.ravel(np.asarray(slope, dtype=float))
        assert np.any(found != 0)
        assert found == pytest.approx(exact, rel=1e-10, abs=1e-12 * np.max(np.abs(exact)))


def test_lif_slopes_converge():
    """Everything in a recurrent network: unequal delays, some longer than the time between spikes."""
    generator = np.random.default_rng(0)
    defaultclock.dt = 0.1 * ms
    stimulus = SpikeGeneratorGroup(6, np.arange(6), np.sort(generator.uniform(1, 30, 6)) * ms)
    neurons = LIFGroup(3, tau_m=20 * ms, tau_s=5 * ms)
    synapses = Synapses(stimulus, neurons, "w : 1", on_pre="I_post += w")
    synapses.connect()
    synapses.w, synapses.delay = 3 * generator.uniform(0.4, 1.2, 18), generator.uniform(0, 4, 18) * ms
    loop = Synapses(neurons, neurons, "w : 1", on_pre="I_post += w")
    loop.connect(condition="i != j")
    loop.w, loop.delay = 1.5 * generator.normal(size=6), generator.uniform(3, 30, 6) * ms
    parameters = [synapses.w, loop.w, synapses.delay, loop.delay, stimulus.spike_time, neurons.v, neurons.I]
    parameters += [neurons.tau_m, neurons.tau_s, neurons.v_th, neurons.v_reset]
    loss = SpikeFunctionLoss(neurons, lambda t, i: (np.sum(t * (1 + i)), 1.0 + i))
    network = Network(stimulus, neurons, synapses, loop)
    gradient = SpikeGradient(network, loss, parameters, solver=ClockSolver())
    report = check_gradient(gradient, 60 * ms)
    gradient(60 * ms)
    times, units = gradient.trajectory.spikes[neurons].t / ms, gradient.trajectory.spikes[neurons].i
    intervals = [np.diff(times[units == n]) for n in range(3)]
    assert np.min(np.concatenate(intervals)) < np.max(loop.delay / ms)
    assert np.mean(report.orders) > 0.8, str(report)
    # The whole error is of order 1 in dt: what is left at dt/16 is small.
    assert np.all(report.errors[-1] < 5e-3), str(report)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "izhikevich"])
def test_slopes_of_neurons_without_a_closed_form_converge(name):
    defaultclock.dt = 0.05 * ms
    network, group, parameters, constants = build(name)
    everything = [parameter for kind in parameters.values() for parameter in kind]
    gradient = SpikeGradient(network, smooth_loss(group), everything, solver=ClockSolver(), namespace=constants)
    report = check_gradient(gradient, DURATION)
    assert np.median(report.orders) > 0.8, str(report)


def test_refractory_neurons_converge():
    defaultclock.dt = 0.1 * ms
    generator = np.random.default_rng(1)
    stimulus = SpikeGeneratorGroup(4, np.arange(12) % 4, np.sort(generator.uniform(1, 40, 12)) * ms)
    equations = "dv/dt = (-v + I)/tau_m : 1 (unless refractory)\ndI/dt = -I/tau_s : 1\nt_ref : second (constant)"
    constants = {"tau_m": 20 * ms, "tau_s": 5 * ms, "theta": 1.0}
    neurons = NeuronGroup(
        2, equations, threshold="v > theta", reset="v = 0", refractory="t_ref", method="exact", namespace=constants
    )
    neurons.t_ref = [2.05, 3.35] * ms
    synapses = Synapses(stimulus, neurons, "w : 1", on_pre="I_post += w")
    synapses.connect()
    synapses.w = 3 * generator.uniform(0.6, 1.4, 8)
    loss = SpikeFunctionLoss(neurons, lambda t, i: (np.sum(t * (1 + i)), 1.0 + i))
    parameters = [synapses.w, (neurons, "tau_m"), (neurons, "tau_s"), (neurons, "theta"), neurons.t_ref]
    network = Network(stimulus, neurons, synapses)
    gradient = SpikeGradient(network, loss, parameters, solver=ClockSolver(), namespace={})
    report = check_gradient(gradient, 60 * ms)
    gradient(60 * ms)
    assert np.all(np.bincount(gradient.trajectory.spikes[neurons].i) >= 2)
    assert np.mean(report.orders) > 0.7, str(report)


def test_qif_slopes_converge_down_to_the_cut_off():
    defaultclock.dt = 0.1 * ms
    case = example("qif", recurrent=True, delays=True, v_cut=200)
    gradient = SpikeGradient(
        case.network, smooth_loss(case.neurons), [case.synapses.w, case.neurons.tau_m], solver=ClockSolver()
    )
    report = check_gradient(gradient, 50 * ms)
    gradient(50 * ms)
    assert len(gradient.trajectory.spikes[case.neurons].t) >= 4
    # What is left is the error of the cut-off, which no step removes.
    assert report.floor == pytest.approx(5 / 200)
    assert np.all(report.errors[-1] < report.floor)
    assert np.all(report.errors[0] > report.floor)


HODGKIN_HUXLEY = """
dv/dt = (g_L*(E_L - v) + g_Na*m**3*h*(E_Na - v) + g_K*n**4*(E_K - v) + I)/C : volt
dm/dt = 0.1*(v + 40*mV)/mV/(1 - exp(-(v + 40*mV)/(10*mV)))*(1 - m)/ms - 4*exp(-(v + 65*mV)/(18*mV))*m/ms : 1
dh/dt = 0.07*exp(-(v + 65*mV)/(20*mV))*(1 - h)/ms - h/(1 + exp(-(v + 35*mV)/(10*mV)))/ms : 1
dn/dt = 0.01*(v + 55*mV)/mV/(1 - exp(-(v + 55*mV)/(10*mV)))*(1 - n)/ms - 0.125*exp(-(v + 65*mV)/(80*mV))*n/ms : 1
dI/dt = -I/tau_s : amp
g_Na : siemens (constant)
C : farad (constant)
"""
INPUTS = np.array([1.03, 16.07])  # ms


def integrated_spikes(weights, g_na, c):
    """The times (ms) at which v rises through -20 mV, by a method of order 8; units of mV, ms, uA, mS, uF."""

    def rates(_, x):
        v, m, h, n, i = x
        current = 3e-3 * (-54.4 - v) + g_na * m**3 * h * (50 - v) + 0.36 * n**4 * (-77 - v) + i
        return [
            current / c,
            0.1 * (v + 40) / -np.expm1(-(v + 40) / 10) * (1 - m) - 4 * np.exp(-(v + 65) / 18) * m,
            0.07 * np.exp(-(v + 65) / 20) * (1 - h) - h / (1 + np.exp(-(v + 35) / 10)),
            0.01 * (v + 55) / -np.expm1(-(v + 55) / 10) * (1 - n) - 0.125 * np.exp(-(v + 65) / 80) * n,
            -i / 3,
        ]

    def rise(_, x):
        return x[0] + 20

    rise.direction = 1
    state, begin, found = np.array([-65, 0.053, 0.596, 0.318, 0]), 0.0, []
    for end, jump in zip([*INPUTS, 30], [*weights, 0], strict=True):
        run = solve_ivp(rates, (begin, end), state, "DOP853", rtol=1e-12, atol=1e-13, events=rise)
        found, state, begin = [*found, *run.t_events[0]], run.y[:, -1], end
        state[4] += jump
    return np.array(found)


def test_hodgkin_huxley_slopes_converge():
    """Against differences of an integration of order 8; constants are those of a hundredth of a cm**2."""
    point = np.array([0.15, 0.2, 1.2, 0.01])
    exact = np.empty(4)
    for place in range(4):
        h = 1e-4 * point[place] * (np.arange(4) == place)
        high, low = (integrated_spikes(x[:2], x[2], x[3]) for x in (point + h, point - h))
        assert len(high) == len(low) == 2
        exact[place] = np.sum(high**2 - low**2) / (2 * np.sum(h)) * point[place]
    steps, errors = 0.04 / 2.0 ** np.arange(4), []
    for step in steps:
        defaultclock.dt = step * ms
        stimulus = SpikeGeneratorGroup(2, [0, 1], INPUTS * ms)
        constants = {"g_L": 3e3 * nS, "g_K": 3.6e5 * nS, "E_L": -54.4 * mV, "E_Na": 50 * mV, "E_K": -77 * mV}
        neuron = NeuronGroup(
            1,
            HODGKIN_HUXLEY,
            threshold="v > -20*mV",
            refractory="v > -20*mV",
            method="rk4",
            namespace=constants | {"tau_s": 3 * ms},
        )
        neuron.v, neuron.m, neuron.h, neuron.n = -65 * mV, 0.053, 0.596, 0.318
        neuron.g_Na, neuron.C = point[2] * 1e6 * nS, point[3] * 1e6 * pF
        synapses = Synapses(stimulus, neuron, "w : amp", on_pre="I_post += w")
        synapses.connect()
        synapses.w = point[:2] * uA
        loss = SpikeFunctionLoss(neuron, lambda t, i: (np.sum(t**2), 2 * t))
        network = Network(stimulus, neuron, synapses)
        gradient = SpikeGradient(network, loss, [synapses.w, neuron.g_Na, neuron.C], solver=ClockSolver(), namespace={})
        slopes = np.concatenate([np.ravel(np.asarray(slope)) for slope in gradient(30 * ms)[1]])
        values = np.concatenate([np.ravel(np.asarray(x)) for x in (synapses.w, neuron.g_Na, neuron.C)])
        errors.append(np.abs(slopes * values * 1e6 - exact) / np.abs(exact))
    orders = np.polyfit(np.log(steps), np.log(np.array(errors)), 1)[0]
    assert np.all(orders > 0.2) and np.mean(orders) > 0.4, (orders, errors)
    assert np.max(errors[-1]) < 5e-3, errors


@pytest.mark.parametrize("fault", ["no term of the reset", "wrong sign at the threshold"])
def test_a_wrong_jump_is_noticed(fault, monkeypatch):
    defaultclock.dt = 0.1 * ms
    case = example("lif", recurrent=True, delays=True)
    if fault == "no term of the reset":
        right = transposed.reset_taken_back

        def wrong(*given):
            return [part for part in right(*given) if part[0] != "by_own_time"]

        monkeypatch.setattr(transposed, "reset_taken_back", wrong)
    else:
        right = transposed._threshold_taken_back

        def wrong(*given):
            leave, at_event, slopes = right(*given)
            return [(name, -part if name == "by_event" else part) for name, part in leave], at_event, slopes

        monkeypatch.setattr(transposed, "_threshold_taken_back", wrong)
    programs = find_device("runtime")._programs
    known = dict(programs)
    programs.clear()
    try:
        gradient = SpikeGradient(
            case.network, smooth_loss(case.neurons), [case.synapses.w, case.neurons.tau_m], solver=ClockSolver()
        )
        with pytest.raises(GradientCheckError, match="FAILED"):
            check_gradient(gradient, 50 * ms)
    finally:
        programs.clear()
        programs.update(known)
