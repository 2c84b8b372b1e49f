"""Equations of any smooth neuron as a hybrid system, and its derivatives."""

import pytest
import sympy
from brian2 import Equations

from brian_qif.equations.adjoint import jacobians
from brian_qif.equations.hybrid import read_hybrid_system
from brian_qif.equations.text import UnsupportedModelError, as_symbol

ADAPTIVE = Equations(
    """
    du/dt = (a*(v - E) - u)/tau_u : 1
    dv/dt = (E - v + spike - u)/tau : 1
    spike = D*exp((v - V_T)/D) : 1
    """
)
ONE = Equations("dv/dt = -v**3/tau : 1")


def test_states_rates_event_and_jump_are_read():
    system = read_hybrid_system(ADAPTIVE, "v_cut < v", "v = v_r; u += b\nu *= v  # sees the new v")
    v, u, v_r, b = (as_symbol(name) for name in ("v", "u", "v_r", "b"))
    assert system.states == ("v", "u")
    assert system.event == v - as_symbol("v_cut")
    assert system.jump == (v_r, (u + b) * v_r)
    assert system.parameters == ("D", "E", "V_T", "a", "b", "tau", "tau_u", "v_cut", "v_r")


def test_derivatives_are_those_of_sympy():
    system = read_hybrid_system(ADAPTIVE, "v > v_cut + 0.1*u", "v = v_r\nu += b*v")
    found = jacobians(system)
    D, tau, v, V_T = (as_symbol(name) for name in ("D", "tau", "v", "V_T"))
    assert sympy.simplify(found.rates_by_state[0][0] - (sympy.exp((v - V_T) / D) - 1) / tau) == 0
    assert found.event_by_state == ((1, -0.1),)
    assert found.event_by_parameter[0][system.parameters.index("v_cut")] == -1
    assert found.jump_by_state == ((0, 0), (0, 1))
    assert found.jump_by_parameter[1][system.parameters.index("b")] == as_symbol("v_r")


def test_without_a_threshold_there_is_no_event():
    system = read_hybrid_system(ONE)
    assert system.event is None
    assert jacobians(system).event_by_state == ()


SMOOTH = "exp, expm1, log, log1p, log10, sqrt, sin, cos, tan, sinh, cosh, tanh, asin, acos, atan."
REFUSALS = {
    "noise": (
        ("dv/dt = -v/tau + xi*tau**-0.5 : 1", "v > 1", "v = 0"),
        "The equations contain noise (xi); the solvers are deterministic. Spikes of a SpikeGeneratorGroup that are "
        "drawn before can take its place.",
    ),
    "time": (
        ("dv/dt = sin(t/tau)/tau : 1", "v > 1", "v = 0"),
        "dv/dt = sin(t/tau)/tau depends on t; a state that runs with the time can take its place: dnow/dt = 1 : "
        "second.",
    ),
    "kink": (
        ("dv/dt = abs(v)/tau : 1", "v > 1", "v = 0"),
        f"dv/dt = Abs(v)/tau contains Abs(v), which is not known to be smooth; the functions that are: {SMOOTH}",
    ),
    "jump": (
        ("dv/dt = int(v > 0)/tau : 1", "v > 1", "v = 0"),
        f"dv/dt = int_(v > 0)/tau contains int_(v > 0), which is not known to be smooth; the functions that are: "
        f"{SMOOTH}",
    ),
    "two comparisons": (
        ("dv/dt = -v/tau : 1", "v > 1 and v < 2", "v = 0"),
        "The threshold 'v > 1 and v < 2' is not one comparison, such as 'v > v_th'.",
    ),
    "threshold without a state": (
        ("dv/dt = -v/tau : 1", "a > b", "v = 0"),
        "The threshold 'a > b' looks at no state variable.",
    ),
    "parameter in the reset": (
        ("dv/dt = -v/tau : 1\nv_th : 1", "v > v_th", "v = 0; v_th += 1"),
        "The statement 'v_th += 1' of the reset is not of the form 'x = value', 'x += value', 'x -= value', "
        "'x *= value' or 'x /= value' with a state variable x (v); a parameter that spikes change needs an equation, "
        "such as 'dx/dt = 0/second : 1'.",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_not_smooth_is_refused_by_name(name):
    (equations, threshold, reset), message = REFUSALS[name]
    with pytest.raises(UnsupportedModelError) as caught:
        read_hybrid_system(Equations(equations), threshold, reset)
    assert str(caught.value) == message


def test_spikes_at_infinity_and_refractory_periods_are_refused():
    with pytest.raises(UnsupportedModelError) as caught:
        read_hybrid_system(ONE, "v > 1", "v = 0", spike_at_infinity=True)
    assert str(caught.value) == (
        "The neuron spikes at infinity, which no numerical integration reaches; leave it to the closed form, or give "
        "the group a finite threshold."
    )
    with pytest.raises(UnsupportedModelError) as caught:
        read_hybrid_system(ONE, "v > 1", "v = 0", refractory="3*ms")
    assert str(caught.value) == (
        "The neuron has a refractory period (3*ms), which is solved for neurons with a closed form alone."
    )
