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
    assert (form.kind, form.voltage, form.currents) == ("lif", "v", ("I",))
    assert (form.tau_m, form.tau_s) == (real("tau_m"), (real("tau_s"),))
    assert (form.threshold, form.reset) == (real("v_th"), real("v_reset"))
    assert form.symbols == {"tau_m", "tau_s", "v_th", "v_reset"}


def test_other_names_a_resting_voltage_and_subexpressions_are_recognised():
    equations = Equations(
        """du/dt = (E_L - u + R*i_syn)/tau : volt
           di_syn/dt = -i_syn/5/ms : amp
           unused = u + E_L : volt"""
    )
    form = recognise(equations, "u >= -50*mV", "u = E_L")
    assert (form.kind, form.voltage, form.currents) == ("lif", "u", ("i_syn",))
    assert sympy.simplify(form.v_offset - real("E_L")) == 0
    assert sympy.simplify(form.current_scale[0] - 1 / real("R")) == 0


def test_qif_is_recognised_with_rest_and_critical_voltage():
    equations = Equations("dv/dt = ((v - r)*(v - c)/(c - r) + I)/tau_m : volt\ndI/dt = -I/tau_s : volt")
    form = recognise(equations, "v > v_cut", "v = v_low", spike_at_infinity=True)
    numbers = {real("r"): -0.065, real("c"): -0.05, real("tau_m"): 0.02, real("tau_s"): 0.01}
    found = [float(part.subs(numbers)) for part in (form.v_offset, form.v_scale, form.tau_m, form.current_scale[0])]
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
            "dv/dt = (-v + I)/tau_m + xi*tau_m**-0.5 : 1" + CURRENT,
            "The equations contain noise (xi); the solvers are deterministic. Spikes of a SpikeGeneratorGroup that are "
            "drawn before can take its place.",
        ),
        ("dv/dt = (-v + I + sin(t/tau_m))/tau_m : 1" + CURRENT, "The term sin(t/tau_m)/tau_m of dv/dt depends on t."),
        ("dv/dt = -v/tau_m : 1" + CURRENT, "dv/dt = -v/tau_m has no term proportional to 'I'."),
        (
            "dv/dt = (-v + I)/tau_m : 1\ndI/dt = -I**2/tau_s : 1",
            "The event-driven solver takes neurons with one voltage and with synaptic currents that decay "
            "exponentially, dI/dt = -I/tau_s; these equations are dI/dt = -I**2/tau_s; dv/dt = (I - v)/tau_m.",
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
        ("v > 1", "v *= 0.5", "The reset 'v *= 0.5' is not of the form 'v = v_reset' or 'v -= drop'"),
        ("v > 1", "v -= I", "The reset 'v -= I' is not of the form 'v = v_reset' or 'v -= drop'"),
        ("v > 1", "v = 0\nI = 0", "The reset 'v = 0\nI = 0' is not of the form 'v = v_reset'"),
        ("v > 1", "v = 0; I += 1", "The reset 'v = 0; I += 1' is not of the form 'v = v_reset'"),
        ("v > 1", None, "The reset 'None' is not of the form 'v = v_reset'"),
    ],
)
def test_other_thresholds_and_resets_are_refused(threshold, reset, message):
    with pytest.raises(UnsupportedModelError) as caught:
        recognise(LIF, threshold, reset)
    assert str(caught.value).startswith(message)


def test_a_finite_threshold_of_a_quadratic_neuron_is_taken_literally():
    equations = Equations("dv/dt = (v*(v - 1) + I)/tau_m : 1" + CURRENT)
    form = recognise(equations, "v > 30", "v = -30")
    assert (form.kind, form.threshold, form.reset, form.subtracts) == ("qif", 30, -30, False)


def test_a_reset_that_subtracts_is_recognised():
    form = recognise(LIF, "v > v_th", "v -= drop")
    assert (form.threshold - form.reset, form.subtracts) == (real("drop"), True)
    assert recognise(LIF, "v > v_th", "v = v - drop") == form


def test_several_currents_are_recognised():
    equations = Equations(
        """dv/dt = (E - v + R*(ge + 2*gi))/tau_m : volt
           dge/dt = -ge/tau_e : amp
           dgi/dt = -gi/tau_i : amp"""
    )
    form = recognise(equations, "v > v_th", "v = E")
    scale = dict(zip(form.currents, form.current_scale, strict=True))
    assert dict(zip(form.currents, form.tau_s, strict=True)) == {"ge": real("tau_e"), "gi": real("tau_i")}
    assert sympy.simplify(scale["ge"] / scale["gi"]) == 2


def test_a_voltage_without_currents_is_recognised():
    form = recognise(Equations("dv/dt = (1.5 - v)/tau : 1"), "v > 1", "v = 0")
    assert (form.kind, form.currents, form.v_offset) == ("lif", (), 1.5)


def test_a_quadratic_neuron_above_threshold_has_a_driven_form():
    form = recognise(Equations("dv/dt = (v**2 + 4)/tau_m + I/tau_m : 1" + CURRENT), "v > 9", "v = -9", True)
    values = {real("tau_m"): 0.02, real("tau_s"): 0.01}
    assert form.discriminant.subs(values) < 0
    # du/dt = (u*(u - 1) + drive)/tau_m has its least value, (drive - 1/4)/tau_m, where v = 0: dv/dt is 4/tau_m there.
    driven = form.driven
    least = driven.v_scale * (driven.drive - sympy.Rational(1, 4)) / driven.tau_m
    assert float(least.subs(values)) == pytest.approx(200, rel=1e-14)


@pytest.mark.parametrize(
    "equations, refractory, message",
    [
        (
            "dv/dt = (-v + I)/tau_m : 1" + CURRENT,
            "2*ms",
            "The voltage 'v' goes on changing while the neuron is refractory",
        ),
        (
            "dv/dt = (-v + I)/tau_m : 1 (unless refractory)" + CURRENT + " (unless refractory)",
            "2*ms",
            "The flag (unless refractory) holds I, v; the event-driven solver holds the voltage alone.",
        ),
        (
            "dv/dt = (-v + I)/tau_m : 1 (unless refractory)" + CURRENT,
            "v > 0.5",
            "The refractory period 'v > 0.5' is not a constant or a parameter.",
        ),
    ],
)
def test_other_refractory_periods_are_refused(equations, refractory, message):
    with pytest.raises(UnsupportedModelError) as caught:
        recognise(Equations(equations), "v > 1", "v = 0", refractory=refractory)
    assert str(caught.value).startswith(message)
