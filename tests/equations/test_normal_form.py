"""What is recognised, and the words with which everything else is refused."""

import pytest
import sympy
from brian2 import Equations

from brian_qif.equations.normal_form import UnsupportedModelError, recognise

CURRENT = "\ndI/dt = -I/tau_s : 1"
LIF = Equations("dv/dt = (-v + I)/tau_m : 1" + CURRENT)


def real(name):
    return sympy.Symbol(name, real=True)


def test_lif_is_recognised():
    form = recognise(LIF, "v > v_th", "v = v_reset")
    assert (form.kind, form.voltage, form.current) == ("lif", "v", "I")
    assert (form.tau_m, form.tau_s) == (real("tau_m"), real("tau_s"))
    assert (form.threshold, form.reset) == (real("v_th"), real("v_reset"))
    assert form.symbols == {"tau_m", "tau_s", "v_th", "v_reset"}


def test_other_names_a_resting_voltage_and_subexpressions_are_recognised():
    equations = Equations(
        """du/dt = (E_L - u + R*i_syn)/tau : volt
           di_syn/dt = -i_syn/5/ms : amp
           unused = u + E_L : volt"""
    )
    form = recognise(equations, "u >= -50*mV", "u = E_L")
    assert (form.kind, form.voltage, form.current) == ("lif", "u", "i_syn")
    assert sympy.simplify(form.v_offset - real("E_L")) == 0
    assert sympy.simplify(form.current_scale - 1 / real("R")) == 0


def test_qif_is_recognised_with_rest_and_critical_voltage():
    equations = Equations("dv/dt = ((v - r)*(v - c)/(c - r) + I)/tau_m : volt\ndI/dt = -I/tau_s : volt")
    form = recognise(equations, "v > v_cut", "v = v_low", spike_at_infinity=True)
    numbers = {real("r"): -0.065, real("c"): -0.05, real("tau_m"): 0.02, real("tau_s"): 0.01}
    found = [float(part.subs(numbers)) for part in (form.v_offset, form.v_scale, form.tau_m, form.current_scale)]
    assert form.kind == "qif"
    assert found == pytest.approx([-0.065, 0.015, 0.02, 0.015], rel=1e-13)


def test_without_threshold_it_is_leaky():
    assert recognise(LIF).kind == "leaky"


@pytest.mark.parametrize(
    "equations, message",
    [
        (
            "dv/dt = (-v**3 + I)/tau_m : 1" + CURRENT,
            "The term -v**3/tau_m of dv/dt stands in the way: the event-driven solver takes terms in v, v**2, a "
            "constant, and I alone.",
        ),
        (
            "dv/dt = (-v + I*v)/tau_m : 1" + CURRENT,
            "The term I*v/tau_m of dv/dt stands in the way: the event-driven solver takes terms in v, v**2, a "
            "constant, and I alone.",
        ),
        (
            "dv/dt = (-v + exp(v) + I)/tau_m : 1" + CURRENT,
            "dv/dt = (I - v + exp(v))/tau_m is not a polynomial in 'v' and 'I'.",
        ),
        (
            "dv/dt = -v/tau_m : 1",
            "The event-driven solver takes neurons with two differential equations, a voltage and an exponentially "
            "decaying synaptic current; these equations have 1: v.",
        ),
        (
            "dv/dt = (-v + I)/tau_m + xi*tau_m**-0.5 : 1" + CURRENT,
            "The equations contain noise (xi); the event-driven solver is deterministic.",
        ),
        ("dv/dt = (-v + I + sin(t/tau_m))/tau_m : 1" + CURRENT, "The term sin(t/tau_m)/tau_m of dv/dt depends on t."),
        ("dv/dt = -v/tau_m : 1" + CURRENT, "dv/dt = -v/tau_m has no term proportional to 'I'."),
        (
            "dv/dt = (-v + I)/tau_m : 1\ndI/dt = -I**2/tau_s : 1",
            "None of the equations is that of an exponentially decaying synaptic current, dI/dt = -I/tau_s: "
            "dI/dt = -I**2/tau_s; dv/dt = (I - v)/tau_m.",
        ),
    ],
)
def test_other_equations_are_refused_by_the_term_in_the_way(equations, message):
    with pytest.raises(UnsupportedModelError) as caught:
        recognise(Equations(equations), "v > 1", "v = 0")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "threshold, reset, message",
    [
        ("v > I", "v = 0", "The threshold 'v > I' is not of the form 'v > v_th' with a constant or a parameter v_th."),
        ("v > 1 and I > 0", "v = 0", "The threshold 'v > 1 and I > 0' is not of the form 'v > v_th'"),
        ("v < 1", "v = 0", "The threshold 'v < 1' is not of the form 'v > v_th'"),
        (
            "v > 1",
            "v -= 1",
            "The reset 'v -= 1' is not of the form 'v = v_reset' with a constant or a parameter v_reset.",
        ),
        ("v > 1", "v = 0\nI = 0", "The reset 'v = 0\nI = 0' is not of the form 'v = v_reset'"),
        ("v > 1", "v = 0; I += 1", "The reset 'v = 0; I += 1' is not of the form 'v = v_reset'"),
        ("v > 1", None, "The reset 'None' is not of the form 'v = v_reset'"),
    ],
)
def test_other_thresholds_and_resets_are_refused(threshold, reset, message):
    with pytest.raises(UnsupportedModelError) as caught:
        recognise(LIF, threshold, reset)
    assert str(caught.value).startswith(message)


def test_a_finite_threshold_of_a_quadratic_neuron_is_refused():
    equations = Equations("dv/dt = (v*(v - 1) + I)/tau_m : 1" + CURRENT)
    with pytest.raises(UnsupportedModelError) as caught:
        recognise(equations, "v > 30", "v = -30")
    assert str(caught.value) == (
        "The equation of 'v' is quadratic and its threshold 'v > 30' is finite; the event-driven solver knows the "
        "quadratic neuron with its spike at infinity: use brian_qif.models.QIFGroup."
    )
