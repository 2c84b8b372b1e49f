"""Networks that are read for the clock: names, refractory periods, and groups that are easily taken for one another."""

import math

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, SpikeMonitor, Synapses, defaultclock, ms

from brian_qif import ClockSolver, EventSolver, SpikeFunctionLoss, SpikeGradient
from brian_qif.equations.clocked import exprel
from brian_qif.equations.text import as_symbol
from brian_qif.plan.values import evaluate

CONSTANTS = {"tau": 10 * ms}


def own(equations, size=1, threshold="v > 1", reset="v = 0", **keywords):
    return NeuronGroup(size, equations, threshold=threshold, reset=reset, method="euler", name="own", **keywords)


def refused(equations, **keywords):
    with pytest.raises(NotImplementedError) as caught:
        ClockSolver().simulate(Network(own(equations, **keywords)), 1 * ms, namespace=CONSTANTS)
    return str(caught.value)


@pytest.mark.parametrize(
    "name",
    "adjoint_v new_adjoint_v before_v event_v safe_v end_v seed_v slope_tau step_0_v of_step_0_v by_event by_own_time "
    "by_spike_time by_arrivals_0 spiked slot is_free before_is_free holds synaptic_weight v_0_over_time".split(),
)
def test_names_of_the_reverse_pass_are_refused(name):
    message = f"'own': The reverse pass has a variable '{name}' of its own; give yours another name."
    assert refused(f"dv/dt = ({name} - v)/tau : 1\n{name} : 1") == message
    # Also where no derivative depends on it.
    assert refused("dv/dt = -v/tau : 1\n" + f"{name} : second", refractory=name) == message


def test_what_is_no_derivative_of_the_equations_is_refused():
    assert refused("dv/dt = (rand() - v)/tau : 1").startswith("'own': dv/dt = (-v + rand())/tau contains rand(), which")
    assert refused("dv/dt = (y - v)/tau : 1\ny = 2*v : 1 (constant over dt)") == (
        "'own': 'y' is constant over dt, so the step is not that of the equations; leave that flag away."
    )
    assert refused("dv/dt = (2/N - v)/tau : 1") == (
        "'own': The equations use the number of neurons, N, which is another one where samples are simulated side by "
        "side; put a constant in its place."
    )


def lifted():
    """A synapse lifts the neuron over its threshold at once."""
    stimulus, group = SpikeGeneratorGroup(1, [0], [1] * ms), own("dv/dt = -v/tau : 1")
    synapses = Synapses(stimulus, group, on_pre="v_post += 2")
    synapses.connect()
    return Network(stimulus, group, synapses)


def left_there():
    """The reset leaves the neuron above its threshold."""
    return Network(own("dv/dt = 2/tau : 1", reset="v -= 0.01"))


def waiting():
    """The neuron rises over its threshold while it is refractory."""
    return Network(own("dv/dt = 2/tau : 1", refractory=8 * ms))


@pytest.mark.parametrize("build, step", [(lifted, 11), (left_there, 51), (waiting, 129)])
def test_a_spike_whose_step_begins_above_the_threshold_is_refused(build, step):
    with pytest.raises(NotImplementedError) as caught:
        ClockSolver().simulate(build(), 20 * ms, namespace=CONSTANTS)
    assert str(caught.value).startswith(
        f"Neuron 0 of 'own' was at or above its threshold already when its step began, at {step * 1e-4} s, so its "
    )


OSCILLATOR = "dv/dt = y/tau : 1\ndy/dt = -v/tau : 1\nwait : second (constant)"


@pytest.mark.parametrize("refractory", ["wait", "pause", 30 * ms, "v > 0.5"])
def test_a_refractory_period_that_holds_no_variable_is_that_of_brian2(refractory):
    """Of a neuron that swings through its threshold, some spikes are left out; nothing else changes."""
    namespace = {"tau": 2 * ms, "pause": 30 * ms}
    group = NeuronGroup(2, OSCILLATOR, threshold="v > 0.5", refractory=refractory, method="rk4", name="own")
    group.y, group.wait = 1, [7, 18] * ms
    network = Network(group)
    loss = SpikeFunctionLoss(group, lambda t, i: (np.sum(t), np.ones_like(t)))
    gradient = (
        SpikeGradient(network, loss, [group.y, group.wait], ClockSolver(), namespace) if refractory == "wait" else None
    )
    trajectory = ClockSolver().simulate(network, 60 * ms, namespace=namespace)
    if gradient is not None:
        _, (by_y, by_wait) = gradient(60 * ms)
        assert np.all(np.asarray(by_wait) == 0) and np.all(np.asarray(by_y) < 0)
    monitor = SpikeMonitor(group)
    network.add(monitor)
    network.run(60 * ms, namespace=namespace)
    found = trajectory.spikes[group]
    expected = np.sort(np.round(monitor.t / defaultclock.dt))
    assert np.array_equal(np.sort(np.floor(found.t / defaultclock.dt + 1e-9)), expected)
    assert len(expected) == {"wait": 8, "v > 0.5": 10}.get(refractory if isinstance(refractory, str) else None, 4)


def test_a_parameter_that_cancels_is_declared_all_the_same():
    group = own("dv/dt = (2 - v + 0*extra)/tau : 1", reset="v = 0*landing")
    trajectory = ClockSolver().simulate(Network(group), 20 * ms, namespace={**CONSTANTS, "extra": 3, "landing": 5})
    assert len(trajectory.spikes[group].t) == 2


def test_groups_of_one_name_are_told_apart_by_their_equations():
    """As scripts make them one after the other; programs are kept by what they compute."""
    found, expected = [], []
    for equations in (
        "dv/dt = (2 - v)/tau : 1",
        "dv/dt = (4 - v)/tau : 1",
        "dv/dt = (2 - v)/tau : 1 (unless refractory)",
    ):
        group = own(equations, refractory=2 * ms)
        network = Network(group)
        found.append(len(ClockSolver().simulate(network, 60 * ms, namespace=CONSTANTS).spikes[group].t))
        monitor = SpikeMonitor(group)
        network.add(monitor)
        network.run(60 * ms, namespace=CONSTANTS)
        expected.append(monitor.num_spikes)
    assert found == expected
    assert len(set(found)) == 3


def test_exprel_has_a_derivative_everywhere():
    """Also at zero, where its usual form is 0/0, and next to it, where that form cancels."""
    x = np.array([-2.0, -0.011, -0.009, -1e-5, 0.0, 1e-7, 0.002, 0.0099, 0.0101, 1.5])
    derivative = exprel(as_symbol("x")).diff(as_symbol("x"))
    terms = [x**n / (math.factorial(n) * (n + 2)) for n in range(40)]
    assert evaluate(derivative, {"x": x}) == pytest.approx(np.sum(terms, axis=0), rel=1e-11)


def test_slopes_through_exprel():
    group = own("dv/dt = (2 - v)*exprel(-v)/tau : 1", reset="v = -0.2")
    group.v = 0.1
    exact = own("dv/dt = (2 - v)*(1 - exp(-v))/v/tau : 1", reset="v = -0.2")
    exact.v = 0.1
    found = []
    for neurons, solver in ((group, ClockSolver(dt=0.005 * ms)), (exact, EventSolver("reference", numeric=True))):
        loss = SpikeFunctionLoss(neurons, lambda t, i: (t[1], np.eye(len(t))[1]))
        found.append(SpikeGradient(Network(neurons), loss, [neurons.v], solver, CONSTANTS)(25 * ms))
    assert float(found[0][0]) == pytest.approx(float(found[1][0]), rel=1e-3)
    assert np.asarray(found[0][1]) == pytest.approx(np.asarray(found[1][1]), rel=1e-2)


def test_what_is_no_number_is_not_handed_out():
    group = own("dv/dt = (2 + sqrt(u) - v)/tau : 1\ndu/dt = -u/tau : 1")
    loss = SpikeFunctionLoss(group, lambda t, i: (np.sum(t), np.ones_like(t)))
    gradient = SpikeGradient(Network(group), loss, [group.u], ClockSolver(), CONSTANTS)
    with pytest.raises(
        FloatingPointError, match="^A slope by what belongs to 'own' is not finite: a step, threshold or"
    ):
        gradient(20 * ms)


def test_a_network_that_has_run_goes_on_from_there():
    stimulus = SpikeGeneratorGroup(2, [0, 1, 0, 1, 0], [3, 12, 21.3, 24, 36] * ms)
    group = own("dv/dt = (I - v)/tau : 1\ndI/dt = -I/tau : 1", size=2)
    synapses = Synapses(stimulus, group, on_pre="I_post += 3")
    synapses.connect()
    monitor = SpikeMonitor(group)
    network = Network(stimulus, group, synapses, monitor)
    network.run(20 * ms, namespace=CONSTANTS)
    trajectory = ClockSolver().simulate(network, 30 * ms, namespace=CONSTANTS)
    before = monitor.num_spikes
    network.run(30 * ms, namespace=CONSTANTS)
    found = trajectory.spikes[group].t / defaultclock.dt
    assert len(found) > 4
    assert np.array_equal(np.floor(found + 1e-9), np.round(monitor.t[before:] / defaultclock.dt))
