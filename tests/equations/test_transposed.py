"""The transposed step of every state updater against differences of the step that Brian2 wrote."""

import numpy as np
import pytest
from brian2 import NeuronGroup, ms, mV, nS, pF

from brian_qif.equations.clocked import FREE
from brian_qif.equations.text import as_symbol
from brian_qif.equations.transposed import arrival_share, renamed, reverse_statements
from brian_qif.plan.clocked import read_clocked
from brian_qif.plan.values import evaluate

METHODS = ("euler", "exponential_euler", "rk2", "rk4", "heun")
# Equations, constants, and numbers near which derivatives are taken, in SI units.
MODELS = {
    "linear": (
        "dv/dt = (E - v + I)/tau : 1 (unless refractory)\ndI/dt = -I/tau_s : 1",
        {"tau": 10 * ms, "tau_s": 5 * ms, "E": 0.3},
        {"v": 0.4, "I": 0.7},
    ),
    "adaptive exponential": (
        "dv/dt = (g_L*(E_L - v) + g_L*D*exp((v - V_T)/D) - u)/C : volt\ndu/dt = (a*(v - E_L) - u)/tau_u : amp",
        dict(E_L=-70 * mV, D=2 * mV, V_T=-50 * mV, g_L=10 * nS, C=150 * pF, tau_u=60 * ms, a=2 * nS),
        {"v": -0.051, "u": 3e-11},
    ),
    "izhikevich": (
        "dv/dt = (0.04*v**2 + 5*v + 140 - u)/tau : 1\ndu/dt = a*(b*v - u) : 1",
        {"tau": 1 * ms, "a": 20 / (1000 * ms), "b": 0.2},
        {"v": -61.0, "u": -12.0},
    ),
    "conductance": (
        "dv/dt = (E_L - v + x*(E_e - v))/tau : volt\ndx/dt = -x/tau_e : 1",
        {"tau": 20 * ms, "tau_e": 5 * ms, "E_L": -60 * mV, "E_e": 0 * mV},
        {"v": -0.055, "x": 0.3},
    ),
    "gates": (
        "dv/dt = (E - v)*(1 + m**3*h)/tau : volt\n"
        "dm/dt = (1 - m)*0.32/ms*exprel((v - V)/(4*mV)) - m*exp((v - V)/(9*mV))/ms : 1\n"
        "dh/dt = (1 - h)*0.128*exp(-(v - V)/(18*mV))/ms - h*tanh((v - V)/(5*mV))**2/ms : 1",
        {"tau": 20 * ms, "E": -40 * mV, "V": -50 * mV},
        {"v": -0.047, "m": 0.2, "h": 0.6},
    ),
}
CASES = [
    (name, method) for name in MODELS for method in METHODS if (name, method) != ("izhikevich", "exponential_euler")
]
CASES += [("linear", "exact")]


# Free to move, or held by a spike where the equations say so.
CASES = [(*case, 1.0) for case in CASES] + [("linear", method, 0.0) for method in (*METHODS, "exact")]


@pytest.mark.parametrize("name, method, free", CASES)
def test_the_transposed_step_is_the_derivative_of_the_step(name, method, free):
    equations, constants, state = MODELS[name]
    group = NeuronGroup(1, equations, threshold=f"{next(iter(state))} > 1", refractory=1 * ms, method=method)
    node = read_clocked(group, constants).node()
    system = node.system
    step, after = renamed(system.step, system.states)
    names = (*system.states, *system.parameters)
    point = {**node.values(), **{key: np.array([x]) for key, x in state.items()}, FREE.name: np.array([free])}

    def run(values):
        known = dict(values)
        for label, expression in step:
            known[label] = evaluate(expression, known)
        return known

    seeds = dict(zip(system.states, np.random.default_rng(0).uniform(-1, 1, len(system.states)), strict=True))
    # States differ by many orders of size: each seed is per unit of its own.
    seeds = {key: seed / abs(state[key]) for key, seed in seeds.items()}
    code, slopes = reverse_statements(step, {after[key]: as_symbol(f"seed_{key}") for key in seeds}, names)
    known = {**run(point), **{f"seed_{key}": np.array([seed]) for key, seed in seeds.items()}}
    for label, expression in code:
        known[label] = evaluate(expression, known)
    found = np.array([evaluate(slopes[key], known)[0] * point[key][0] for key in names])

    def value(key, share):
        moved = run({**point, key: point[key] * (1 + share)})
        return sum(seed * moved[after[x]][0] for x, seed in seeds.items())

    h = 3e-4
    near, far = ([value(key, share) - value(key, -share) for key in names] for share in (h / 2, h))
    expected = (8 * np.array(near) - np.array(far)) / (6 * h)
    # Left are the fourth power of h times high derivatives of exponentials, and rounding over h.
    assert found == pytest.approx(expected, rel=1e-8, abs=1e-11 * np.max(np.abs(found)))
    assert np.any(found != 0)


def test_a_held_state_hears_no_arrivals():
    equations, constants, _ = MODELS["linear"]
    group = NeuronGroup(1, equations, threshold="v > 1", reset="v = 0", refractory=1 * ms, method="euler")
    system = read_clocked(group, constants).system
    assert str(arrival_share(system, 0)) == "is_free*(1 - spiked)"
    assert arrival_share(system, 1) == 1


@pytest.mark.parametrize(
    "function",
    "exp log log10 log1p expm1 sqrt sin cos tan sinh cosh tanh arcsin arccos arctan exprel".split(),
)
def test_smooth_functions_have_derivatives(function):
    group = NeuronGroup(1, f"dv/dt = {function}(v)/tau : 1", method="euler")
    system = read_clocked(group, {"tau": 10 * ms}).system
    statements, after = renamed(system.step, ("v",))
    code, slopes = reverse_statements(statements, {after["v"]: as_symbol("seed")}, ("v",))

    def run(v):
        known = {"v": np.array([v]), "tau": np.array([1e-2]), "dt": np.array([1e-4]), "seed": np.ones(1)}
        for name, expression in statements:
            known[name] = evaluate(expression, known)
        return known

    known = run(0.3)
    for name, expression in code:
        known[name] = evaluate(expression, known)
    h = 1e-4
    near, far = (run(0.3 + x)[after["v"]][0] - run(0.3 - x)[after["v"]][0] for x in (h / 2, h))
    assert evaluate(slopes["v"], known)[0] == pytest.approx((8 * near - far) / (6 * h), rel=1e-11)
