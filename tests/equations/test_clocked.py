"""What is read of a group that Brian2 steps, and the transposed step as it is printed."""

import numpy as np
import pytest
import sympy
from brian2 import NeuronGroup, ms

from brian_qif.equations.clocked import DT
from brian_qif.equations.transposed import renamed, reverse_program, reverse_statements
from brian_qif.models import QIFGroup
from brian_qif.plan.clocked import read_clocked

EQUATIONS = """
dv/dt = (-v + I + b)/tau : 1 (unless refractory)
dI/dt = -I/tau_s : 1
b = 0.5*level : 1
level : 1
tau_s : second (shared, constant)
"""


def read(method="exact", **keywords):
    group = NeuronGroup(
        2, EQUATIONS, **{"threshold": "v > 1", "reset": "v = 0", "refractory": 2 * ms, "method": method, **keywords}
    )
    group.tau_s, group.level = 5 * ms, 0.4
    return read_clocked(group, {"tau": 10 * ms})


def test_a_group_is_read_as_brian2_steps_it():
    reading = read("rk2")
    system = reading.system
    assert system.states == ("v", "I")
    assert system.parameters == ("level", "tau", "tau_s")
    assert system.held == (True, False)
    assert [name for name, _ in system.step][-2:] == ["I", "v"]
    assert reading.model.method == "rk2"
    # Constants of the script become parameters, so that they can change without a new program.
    assert reading.model.equations["tau"].flags == ["shared", "constant"]
    assert np.all(reading.node().held_steps == 20)


def test_the_method_is_the_one_that_brian2_would_choose():
    group = NeuronGroup(1, "dv/dt = -v/tau : 1")
    assert read_clocked(group, {"tau": 10 * ms}).model.method == "exact"
    group = NeuronGroup(1, "dv/dt = -v**2/tau : 1")
    assert read_clocked(group, {"tau": 10 * ms}).model.method == "euler"


def test_rounding_to_the_clock_is_left_out_of_derivatives():
    node = read_clocked(QIFGroup(1, tau_m=20 * ms, tau_s=10 * ms), {}).node()
    tau_m, v_cut = sympy.symbols("tau_m v_cut", real=True)
    expected = DT + 2 * tau_m * sympy.log(v_cut / (v_cut - 1))
    assert sympy.simplify(node.system.refractory - expected) == 0
    assert node.held_steps[0] == 6  # one step, and 0.402 ms rounded up
    assert node.cut_off == pytest.approx(100)


def test_a_program_is_differentiated_backwards():
    x, y, a, b = sympy.symbols("x y a b", real=True)
    statements = (("a", x * y + 1), ("b", sympy.exp(a) * x), ("a", a + b))
    once, last = renamed(statements, ("x", "y"))
    assert [name for name, _ in once] == ["step_0_a", "step_1_b", "step_2_a"]
    assert last == {"x": "x", "y": "y"}
    code, slopes = reverse_statements(once, {"step_2_a": sympy.Integer(1)}, ("x", "y"))
    values = {x: 0.3, y: -0.7}
    for name, expression in (*once, *code):
        values[sympy.Symbol(name, real=True)] = float(expression.subs(values))
    whole = (x * y + 1) + sympy.exp(x * y + 1) * x
    for name, symbol in (("x", x), ("y", y)):
        expected = float(sympy.diff(whole, symbol).subs({x: 0.3, y: -0.7}))
        assert float(slopes[name].subs(values)) == pytest.approx(expected, rel=1e-14)


def test_the_reverse_program_can_be_read():
    text = str(reverse_program(read("euler").system, ("level",)))
    assert "step k, computed again:\n    step_0_I = " in text
    assert "by_own_time = " in text
    assert "slope_level = " in text
    assert "adjoint_v = new_adjoint_v" in text
