"""The simulation in 50 digits, against closed forms in 50 digits."""

import numpy as np
import pytest

from brian_qif.plan.network_plan import VOLTAGE, NetworkPlan, NeuronNode, Pathway, SourceNode
from tests.multiprecision import MultiprecisionNetwork, mp

TAU = mp.mpf(0.02)
# Fifty digits, of which a chain of some ten steps loses a few.
DIGITS = mp.mpf(10) ** -46


def alone(kind, duration=0.3, **keywords):
    """Spike times of one neuron without input, and its network."""
    node = NeuronNode("neuron", 1, kind, **{"tau_m": 0.02, "tau_s": 0.01, "v": [0.0], "currents": [[0.0]]} | keywords)
    network = MultiprecisionNetwork(NetworkPlan((node,), ()), duration)
    return list(network.spikes().values()), network


def assert_equal(found, expected):
    assert abs(found - expected) <= DIGITS * abs(expected)


def test_a_qif_neuron_without_current_runs_to_infinity():
    (time,), _ = alone("qif", v=[1.5])
    assert_equal(time, TAU * mp.log(mp.mpf(3)))


def test_a_driven_qif_neuron_is_a_tangent():
    times, _ = alone("qif", v=[0.5], drive=2.0)
    rate = mp.sqrt(mp.mpf(7) / 4) / TAU
    assert len(times) > 5
    for n, time in enumerate(times):
        assert_equal(time, (n + mp.mpf(1) / 2) * mp.pi / rate)


@pytest.mark.parametrize("tau_s", [0.004, 0.01, 0.03])
def test_a_qif_neuron_with_a_decaying_current_is_a_bessel_function(tau_s):
    # q'' = -q'/tau_m - I exp(-t/tau_s) q/tau_m**2 has q = exp(-t/(2 tau_m)) Z_n(x), n = tau_s/tau_m and
    # x = 2 tau_s/tau_m sqrt(I) exp(-t/(2 tau_s)); q(0) = 1 and q'(0) = -p(0)/tau_m = 0 give the two constants.
    (time, *_), _ = alone("qif", currents=[[30.0]], tau_s=tau_s)
    tau_s, strength = mp.mpf(tau_s), mp.sqrt(mp.mpf(30))
    order, start = tau_s / TAU, 2 * tau_s / TAU * strength

    def slope_at_start(bessel):
        # d/dt at t = 0 of exp(-t/(2 tau_m)) Z(x(t)), with dx/dt = -x/(2 tau_s).
        return -bessel(order, start) / (2 * TAU) - start / (2 * tau_s) * bessel(order, start, 1)

    def second_kind(n, x, derivative=0):
        return mp.bessely(n, x, derivative)

    a, b = slope_at_start(second_kind), -slope_at_start(mp.besselj)
    x = start * mp.exp(-time / (2 * tau_s))
    values = a * mp.besselj(order, x), b * mp.bessely(order, x)
    assert abs(sum(values)) < mp.mpf(10) ** -44 * abs(values[0])


def test_a_lif_neuron_with_half_the_time_constant():
    # v = I (x - x**2) with x = exp(-t/tau_m).
    (time, *_), network = alone("lif", currents=[[6.0]], threshold=1.0, reset=-50.0)
    root = mp.sqrt(1 - mp.mpf(4) / 6)
    assert_equal(time, -TAU * mp.log((1 + root) / 2))
    (slope,) = network.slopes(("I", 0, 0), network.spikes())[0, 0, 0]
    # I (x - x**2) = 1 gives dx/dI = -(x - x**2)/(I (1 - 2 x)) and dt/dx = -tau_m/x.
    x = (1 + root) / 2
    assert abs(slope / (TAU / x * (x - x**2) / (6 * (1 - 2 * x))) - 1) < mp.mpf(10) ** -19


def test_a_lif_neuron_with_equal_time_constants():
    # v = I t/tau exp(-t/tau).
    (time, *_), _ = alone("lif", currents=[[6.0]], tau_s=0.02, threshold=1.0, reset=-50.0)
    assert_equal(time, -TAU * mp.lambertw(mp.mpf(-1) / 6))


def test_a_refractory_neuron_waits():
    # Driven above threshold: from the reset, -2, to the threshold, -1, in tau log 2.
    times, _ = alone("lif", v=[-2.0], threshold=-1.0, reset=-2.0, refractory=0.005)
    assert len(times) > 5
    for n, time in enumerate(times):
        assert_equal(time, (n + 1) * TAU * mp.log(2) + n * mp.mpf(0.005))


def test_a_jump_of_the_voltage():
    # From -2 the voltage decays for 10 ms, jumps by 1/2, and decays to the threshold.
    stimulus = SourceNode("stimulus", 1, np.array([0.01]), np.array([0]))
    node = NeuronNode("neuron", 1, "lif", 0.02, 0.01, [-2.0], [[0.0]], threshold=-0.5, reset=-2.0)
    one = np.array([0])
    link = Pathway("link", 0, 1, 1, one, one, np.array([0.5]), np.array([0.0]), VOLTAGE)
    times = MultiprecisionNetwork(NetworkPlan((stimulus, node), (link,)), 0.03).spikes()
    after = mp.mpf(1) / 2 - 2 * mp.exp(-mp.mpf(0.01) / TAU)
    assert_equal(times[1, 0, 0], mp.mpf(0.01) + TAU * mp.log(after / mp.mpf(-0.5)))


def test_an_extremum_at_the_threshold_is_not_decided():
    # The peak of v is I/4.
    with pytest.raises(ArithmeticError, match="touches the threshold"):
        alone("lif", currents=[[4.0]], threshold=1.0, reset=0.0)
