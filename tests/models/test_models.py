"""The models as Brian2 groups: equations, parameters, refusals, and clock-driven runs against exact spike times."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from brian2 import BrianObjectException, Network, SpikeGeneratorGroup, SpikeMonitor, StateMonitor, Synapses, mA, ms, mV
from brian2.units import DimensionMismatchError

from brian_qif import EventSolver
from brian_qif.models import LeakyIntegratorGroup, LIFGroup, QIFGroup

SCRIPT = Path(__file__).parent / "device_script.py"


def qif(size=1, **keywords):
    return QIFGroup(size, **{"tau_m": 20 * ms, "tau_s": 10 * ms, **keywords})


def lif(size=1, **keywords):
    return LIFGroup(size, **{"tau_m": 20 * ms, "tau_s": 5 * ms, **keywords})


def leaky(size=1, **keywords):
    return LeakyIntegratorGroup(size, **{"tau_m": 20 * ms, "tau_s": 5 * ms, **keywords})


class TestEquations:
    def test_lif_hides_nothing(self):
        text = str(lif().user_equations)
        assert "dv/dt = (-v + I)/tau_m" in text
        assert "dI/dt = -I/tau_s" in text
        assert lif().events["spike"] == "v > v_th"

    @pytest.mark.parametrize("make", [LIFGroup, QIFGroup])
    def test_without_a_synaptic_time_constant_it_is_half_of_the_membranes(self, make):
        group = make(2, tau_m=20 * ms)
        assert "tau_s = tau_m/2" in str(group.user_equations)
        group.tau_m = 6 * ms
        assert float(group.tau_s[:]) == 0.003

    def test_qif_shows_both_forms(self):
        assert "dv/dt = (v*(v - 1) + I)/tau_m" in str(qif().user_equations)
        physical = qif(v_rest=-65 * mV, v_crit=-50 * mV)
        assert "((v - v_rest)*(v - v_crit)/(v_crit - v_rest) + I)/tau_m : V" in str(physical.user_equations)
        assert float(physical.v[0]) == -0.065
        assert float(physical.v_cut[:]) == pytest.approx(-0.065 + 1.5)

    def test_a_readout_has_no_threshold(self):
        assert leaky().events == {}

    def test_parameters_are_variables(self):
        group = lif(3, v_th=15 * mV, v_reset=-5 * mV)
        group.tau_m = 30 * ms
        assert float(group.tau_m[:]) == 0.03
        assert group.v.dim == mV.dim == group.I.dim

    def test_a_reset_of_zero_needs_no_unit(self):
        assert float(lif(v_th=15 * mV, v_reset=0).v_reset[:]) == 0


class TestRefusals:
    @pytest.mark.parametrize("make", [lif, qif, leaky])
    @pytest.mark.parametrize("size", [0, -1, 2.5, "3", None])
    def test_number_of_neurons(self, make, size):
        with pytest.raises(ValueError) as caught:
            make(size)
        assert str(caught.value) == f"The number of neurons must be a positive integer; {size!r} was given."

    @pytest.mark.parametrize("make", [lif, qif, leaky])
    @pytest.mark.parametrize("name", ["tau_m", "tau_s"])
    def test_time_constants(self, make, name):
        with pytest.raises(DimensionMismatchError, match=f"{name} is a time, for instance 20\\*ms"):
            make(1, **{name: 20 * mV})
        for value in (0 * ms, -1 * ms, np.inf * ms, np.nan * ms, [1, 2] * ms):
            with pytest.raises(ValueError) as caught:
                make(1, **{name: value})
            assert str(caught.value) == f"{name} must be one positive, finite time; {value} was given."

    def test_lif_voltages(self):
        with pytest.raises(DimensionMismatchError, match="v_reset has the unit of v_th"):
            lif(v_th=15 * mV, v_reset=1 * mA)
        with pytest.raises(ValueError) as caught:
            lif(v_th=1.0, v_reset=1.0)
        assert str(caught.value) == "v_reset must lie below v_th; v_reset = 1.0 and v_th = 1.0 were given."

    def test_qif_voltages(self):
        with pytest.raises(ValueError, match="v_rest and v_crit are given together"):
            qif(v_rest=-65 * mV)
        with pytest.raises(DimensionMismatchError, match="v_crit has the unit of v_rest"):
            qif(v_rest=-65 * mV, v_crit=1 * mA)
        with pytest.raises(ValueError, match="v_crit must lie above v_rest; v_rest = -50. mV and v_crit = -65. mV"):
            qif(v_rest=-50 * mV, v_crit=-65 * mV)
        with pytest.raises(ValueError) as caught:
            qif(v_cut=5)
        assert str(caught.value) == "v_cut stands in for infinity and must be at least 10.0; 5 was given."


def network(group, step, size):
    generator = np.random.default_rng(2)
    # The generator acts at the end of a step: its spikes are shifted by half a step to lie inside one.
    times = np.sort(generator.uniform(0, 80, 10)).round(1) * ms
    stimulus = SpikeGeneratorGroup(10, np.arange(10), times + step / 2, dt=step)
    synapses = Synapses(stimulus, group, "w : 1", on_pre="I_post += w", delay=1 * ms, dt=step)
    synapses.connect()
    synapses.w = generator.uniform(0.5, 3.0, 10 * size)
    monitor = SpikeMonitor(group)
    return Network(stimulus, group, synapses, monitor), monitor


@pytest.mark.parametrize("make", [lif, qif])
def test_clock_driven_spike_times_converge_with_order_one(make):
    """Without the early report of the QIF cut-off, which is known."""
    lead = 20 * np.log(100 / 99) if make is qif else 0.0
    errors = []
    for step in (0.1, 0.05, 0.025):
        group = make(5, dt=step * ms)
        net, monitor = network(group, step * ms, 5)
        exact = EventSolver("reference").simulate(net, 120 * ms).spikes[group]
        net.run(120 * ms)
        order = np.lexsort((np.asarray(monitor.t), np.asarray(monitor.i)))
        true = np.lexsort((np.asarray(exact.t), exact.i))
        assert len(order) == len(true) >= 5
        errors.append(np.mean(np.abs((np.asarray(monitor.t)[order] - np.asarray(exact.t)[true]) * 1e3 + lead)))
        assert errors[-1] <= (step if make is qif else 5 * step)
    slope = np.polyfit(np.log([0.1, 0.05, 0.025]), np.log(errors), 1)[0]
    assert 0.6 < slope < 1.6


def test_a_qif_neuron_keeps_its_time_over_many_spikes():
    """The way to infinity and back is accounted for: the tenth spike is as exact as the first."""
    group = qif(1, dt=0.02 * ms)
    stimulus = SpikeGeneratorGroup(30, np.arange(30), np.arange(30) * 10 * ms + 0.01 * ms, dt=0.02 * ms)
    synapses = Synapses(stimulus, group, "w : 1", on_pre="I_post += w", dt=0.02 * ms)
    synapses.connect()
    synapses.w = 6
    monitor = SpikeMonitor(group)
    net = Network(stimulus, group, synapses, monitor)
    exact = EventSolver("reference").simulate(net, 300 * ms).spikes[group]
    net.run(300 * ms)
    assert len(monitor.t) == len(exact.t) >= 10
    shift = (np.asarray(monitor.t) - np.asarray(exact.t)) * 1e3
    assert np.all(np.abs(shift + 20 * np.log(100 / 99)) < 0.05)


def test_physical_and_normal_form_are_the_same_neuron():
    exact = []
    for keywords, unit in (({}, 1.0), ({"v_rest": -65 * mV, "v_crit": -50 * mV}, 15 * mV)):
        group = qif(2, **keywords)
        group.v = unit * 0.3 + keywords.get("v_rest", 0)
        group.I = np.array([6, 9]) * unit
        exact.append(EventSolver("reference").simulate(Network(group), 60 * ms).spikes[group])
    assert len(exact[0].t) >= 2
    assert np.array_equal(exact[0].i, exact[1].i)
    np.testing.assert_allclose(np.asarray(exact[1].t), np.asarray(exact[0].t), rtol=1e-12)


def test_equal_time_constants_run():
    group = lif(1, tau_m=10 * ms, tau_s=10 * ms, method=None)
    group.I = 2
    monitor = StateMonitor(group, "v", record=True)
    Network(group, monitor).run(5 * ms)
    t = np.asarray(monitor.t)
    np.testing.assert_allclose(monitor.v[0], 2 * t / 0.01 * np.exp(-t / 0.01), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("make", [lif, leaky])
def test_time_constants_made_equal_later_are_refused_by_the_exact_method(make):
    group = make(2, method="exact")
    group.tau_s = group.tau_m[:]
    with pytest.raises(BrianObjectException) as caught:
        Network(group).run(1 * ms)
    reason = str(caught.value.__cause__)
    assert reason.startswith(f"'{group.name}': tau_m and tau_s are both 20. ms")
    assert reason.endswith("Make the group with method='rk4'.")


def test_spike_trains_are_the_same_on_every_target(quick_folder):
    """numpy, cython and cpp_standalone: the same spikes, bit for bit."""
    trains = {}
    for target in ("numpy", "cython", "cpp_standalone"):
        command = [sys.executable, str(SCRIPT), target]
        finished = subprocess.run(command, capture_output=True, text=True, cwd=quick_folder)
        assert finished.returncode == 0, finished.stderr[-2000:]
        trains[target] = finished.stdout
    assert trains["numpy"].count("\n") >= 12
    assert trains["cython"] == trains["numpy"]
    assert trains["cpp_standalone"] == trains["numpy"]
