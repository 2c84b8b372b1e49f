"""The numeric kernel by itself: known solutions, crossings, and what it refuses."""

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, Synapses, ms, second

from brian_qif import CrossEntropyLoss, EventSolver, SpikeFunctionLoss, SpikeGradient
from brian_qif.models import LIFGroup, QIFGroup
from brian_qif.solvers.sweeps import GrazingSpikeError

NUMERIC = EventSolver("reference", numeric=True)


def group(equations, threshold="v > 1", reset="v = 0", **values):
    neurons = NeuronGroup(1, equations, threshold=threshold, reset=reset, method="euler", name="own")
    for name, value in values.items():
        setattr(neurons, name, value)
    return neurons


def test_spikes_of_a_cubic_neuron_are_those_of_its_integral():
    # dv/dt = v**3/tau: from v to 1 in tau/2 (1/v**2 - 1).
    neurons = group("dv/dt = v**3/(10*ms) : 1", reset="v = 0.6", v=0.5)
    trajectory = NUMERIC.simulate(Network(neurons), 40 * ms)
    wait = 5e-3 * (1 / 0.6**2 - 1)
    expected = 5e-3 * (1 / 0.5**2 - 1) + wait * np.arange(3)
    np.testing.assert_allclose(trajectory.spikes[neurons].t / second, expected, rtol=1e-13, atol=0)


def test_a_pendulum_keeps_its_state_to_rounding_over_a_long_silence():
    neurons = NeuronGroup(1, "dv/dt = y/ms : 1\ndy/dt = -sin(v)/ms : 1", method="euler", name="own")
    neurons.v = 0.3
    network = Network(neurons)
    trajectory = NUMERIC.simulate(network, 200 * ms)
    v, y = (np.asarray(trajectory.state(neurons, name, 200 * ms)) for name in ("v", "y"))
    np.testing.assert_allclose(y**2 / 2 - np.cos(v), -np.cos(0.3), rtol=1e-13, atol=0)


def test_a_state_that_others_set_moving_may_start_at_zero():
    neurons = NeuronGroup(1, "dv/dt = 1/ms : 1\ndu/dt = v/ms : 1", method="euler", name="own")
    trajectory = NUMERIC.simulate(Network(neurons), 3 * ms)
    np.testing.assert_allclose(trajectory.state(neurons, "u", 3 * ms), 4.5, rtol=1e-14, atol=0)


def test_a_crossing_between_two_events_is_not_missed():
    # v = 1.001 sin(t/ms) is above 1 for 0.09 ms only, within one step of 3 ms.
    neurons = group("dv/dt = y/ms : 1\ndy/dt = -v/ms : 1", reset="v = 0; y = 0", v=0, y=1.001)
    trajectory = NUMERIC.simulate(Network(neurons), 3 * ms)
    np.testing.assert_allclose(trajectory.spikes[neurons].t / ms, [np.arcsin(1 / 1.001)], rtol=1e-12, atol=0)


def test_a_reset_above_the_threshold_is_reported():
    neurons = group("dv/dt = v**3/(10*ms) : 1", reset="v += 1", v=0.5)
    with pytest.raises(ValueError) as caught:
        NUMERIC.simulate(Network(neurons), 40 * ms)
    assert str(caught.value) == (
        "'own': the reset leaves neuron 0 at or above its threshold, so a spike would never end."
    )


def test_a_solution_that_grows_to_infinity_is_reported():
    neurons = NeuronGroup(1, "dv/dt = v**3/(10*ms) : 1", method="euler", name="own")
    neurons.v = 0.5
    with pytest.raises(ArithmeticError, match="The equations of 'own' have no smooth solution beyond v = "):
        NUMERIC.simulate(Network(neurons), 40 * ms)


def test_a_grazing_spike_is_reported():
    neurons = group("dv/dt = y/ms : 1\ndy/dt = -v/ms : 1", "v > level", "v = 0", v=0, y=1)
    loss = SpikeFunctionLoss(neurons, lambda t, i: (np.sum(t), np.ones_like(t)))
    level = {"level": 1 - 1e-15}
    gradient = SpikeGradient(Network(neurons), loss, [neurons.v], solver=NUMERIC, namespace=level)
    with pytest.raises(GrazingSpikeError) as caught:
        gradient(2 * ms)
    assert str(caught.value) == "Neuron 0 of 'own' only grazes its threshold; its spike time has no bounded derivative."


def test_without_numeric_the_refusal_says_what_there_is():
    neurons = group("dv/dt = v**3/(10*ms) : 1", v=0.5)
    with pytest.raises(NotImplementedError) as caught:
        EventSolver("reference").simulate(Network(neurons), 1 * ms)
    assert str(caught.value) == (
        "'own': The term v**3/(10*ms) of dv/dt stands in the way: the event-driven solver takes terms in v, v**2, "
        "a constant alone. EventSolver(numeric=True) solves them by numerical integration."
    )


def test_what_is_not_smooth_stays_refused():
    neurons = group("dv/dt = abs(v)**3/(10*ms) : 1", v=0.5)
    with pytest.raises(NotImplementedError, match="^'own': .* which is not known to be smooth"):
        NUMERIC.simulate(Network(neurons), 1 * ms)
    with pytest.raises(NotImplementedError, match="spikes at infinity, which no numerical integration reaches"):
        EventSolver("reference", numeric="always").simulate(Network(QIFGroup(1, tau_m=20 * ms, tau_s=10 * ms)), 1 * ms)


def test_closed_forms_are_preferred():
    lif = LIFGroup(1, tau_m=20 * ms, tau_s=5 * ms)
    assert NUMERIC.read(Network(lif), {}).plan.nodes[0].kind == "lif"


def test_generated_code_refuses():
    neurons = group("dv/dt = v**3/(10*ms) : 1", v=0.5)
    with pytest.raises(NotImplementedError) as caught:
        EventSolver("cpp", numeric=True).simulate(Network(neurons), 1 * ms)
    assert str(caught.value) == (
        "The backend 'cpp' cannot run this network: 'own' is integrated numerically, which generated code does not do."
    )


def test_a_wrong_choice_is_refused():
    with pytest.raises(ValueError) as caught:
        EventSolver(numeric="sometimes")
    assert str(caught.value) == "numeric is True, False or 'always'; it is 'sometimes'."


def test_an_averaged_voltage_needs_a_closed_form():
    neurons = NeuronGroup(2, "dv/dt = -v**3/(10*ms) : 1", method="euler", name="own")
    stimulus = SpikeGeneratorGroup(1, [0], [1] * ms)
    synapses = Synapses(stimulus, neurons, "w : 1", on_pre="v_post += w")
    synapses.connect()
    with pytest.raises(NotImplementedError, match="^CrossEntropyLoss averages a voltage in closed form, which 'own'"):
        SpikeGradient(Network(stimulus, neurons, synapses), CrossEntropyLoss(neurons, 0), [synapses.w], solver=NUMERIC)
