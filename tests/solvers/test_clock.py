"""The clock-driven solver's forward pass is Brian2's own simulation, for one sample or many; what it refuses."""

import re

import numpy as np
import pytest
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    defaultclock,
    ms,
    mV,
    prefs,
)

from brian_qif import ClockSolver, CrossEntropyLoss, SpikeGradient
from brian_qif.gradients.batch import BatchGradient
from brian_qif.models import LeakyIntegratorGroup, LIFGroup, QIFGroup
from brian_qif.solvers.sweeps import Request
from brian_qif.training.datasets import SpikeSample
from tests.networks import example
from tests.smooth_neurons import MODELS, build


@pytest.mark.parametrize("kind", ["lif", "qif"])
def test_spikes_and_states_are_those_of_brian2(kind):
    case = example(kind, recurrent=True, delays=True)
    trajectory = ClockSolver().simulate(case.network, 80 * ms)
    spikes = SpikeMonitor(case.neurons)
    states = StateMonitor(case.neurons, ["v", "I"], record=True)
    case.network.add(spikes, states)
    case.network.run(80 * ms)
    found = trajectory.spikes[case.neurons]
    assert len(found.t) > 4
    assert sorted(zip(np.floor(found.t / defaultclock.dt + 1e-9), found.i, strict=True)) == sorted(
        zip(np.round(spikes.t / defaultclock.dt), spikes.i, strict=True)
    )
    times = states.t[::50]
    assert trajectory.state(case.neurons, "v", times) == pytest.approx(states.v[:, ::50].T, rel=1e-12, abs=1e-14)
    assert trajectory.state(case.neurons, "I", times) == pytest.approx(states.I[:, ::50].T, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("name", MODELS)
def test_neurons_with_units_and_constants_step_as_in_brian2(name):
    network, group, _, constants = build(name)
    trajectory = ClockSolver().simulate(network, 20 * ms, namespace=constants)
    network.run(20 * ms, namespace=constants)
    for state in group.equations.diff_eq_names:
        final = np.asarray(getattr(group, state)[:])
        assert np.asarray(trajectory.state(group, state, 20 * ms)) == pytest.approx(final, rel=1e-10)


def test_simulating_leaves_the_network_alone():
    case = example("lif")
    before = np.array(case.neurons.v[:])
    ClockSolver().simulate(case.network, 20 * ms)
    assert case.network.t == 0 * ms
    assert np.all(case.neurons.v[:] == before)


def classifier(step=0.5 * ms):
    generator = np.random.default_rng(0)
    stimulus = SpikeGeneratorGroup(6, [], [] * ms, dt=step)
    hidden = LIFGroup(4, tau_m=20 * ms, tau_s=5 * ms, dt=step)
    readout = LeakyIntegratorGroup(3, tau_m=20 * ms, tau_s=10 * ms, dt=step)
    first = Synapses(stimulus, hidden, "w : 1", on_pre="I_post += w", dt=step)
    second = Synapses(hidden, readout, "w : 1", on_pre="I_post += w", dt=step)
    first.connect()
    second.connect()
    first.w, second.w = generator.uniform(0.5, 3, 24), generator.normal(size=12)
    loss = CrossEntropyLoss(readout, weight_time=30 * ms)
    network = Network(stimulus, hidden, readout, first, second)
    return SpikeGradient(network, loss, [first.w, second.w], solver=ClockSolver()), stimulus


def samples(count):
    generator = np.random.default_rng(1)
    found = []
    for n in range(count):
        times = np.sort(generator.uniform(0, 0.04, 12))
        units = generator.integers(6, size=12)
        # Two and three spikes of a unit within one step of the clock.
        times[3:6], units[3:6], units[7] = times[3], units[3], units[6]
        times[7] = times[6]
        found.append(SpikeSample(times, units, n % 3, 0))
    return found


def test_samples_side_by_side_are_samples_one_by_one():
    gradient, stimulus = classifier()
    batch = BatchGradient(gradient, stimulus)
    values = gradient.values()
    together = batch(samples(5), 60 * ms, values=values)
    single = [batch([sample], 60 * ms, values=values) for sample in samples(5)]
    assert together.losses == pytest.approx([one.losses[0] for one in single], rel=1e-13)
    assert all(np.any(counts) for counts in together.spike_counts.values())
    for place, slopes in enumerate(together.slopes):
        total = sum(one.slopes[place] for one in single)
        assert slopes == pytest.approx(total, rel=1e-11, abs=1e-16)
    before = prefs["brian_qif.samples_at_once"]
    prefs["brian_qif.samples_at_once"] = 2
    try:
        in_parts = batch(samples(5), 60 * ms, values=values)
    finally:
        prefs["brian_qif.samples_at_once"] = before
    for slopes, others in zip(in_parts.slopes, together.slopes, strict=True):
        assert slopes == pytest.approx(others, rel=1e-11, abs=1e-16)


def test_several_spikes_in_one_step_count_each():
    gradient, _ = classifier()
    reading = gradient.read()
    prepared = gradient.solver.prepare(reading.plan)
    source = 0  # sources come first
    once = {source: (np.array([0.0101]), np.array([2]))}
    thrice = {source: (np.array([0.0101, 0.0102, 0.0103]), np.array([2, 2, 2]))}
    target = reading.plan.pathways[0].target
    request = Request(0.06, samples={target: np.array([0.0105])})
    one, three = prepared.forward_many(request, [once, thrice])
    assert three.samples[target][0, 1] == pytest.approx(3 * one.samples[target][0, 1], rel=1e-13)
    assert np.all(one.samples[target][0, 1] > 0)


def test_too_long_a_trial_for_the_memory_is_refused():
    case = example("lif")
    before = prefs["brian_qif.trajectory_memory"]
    prefs["brian_qif.trajectory_memory"] = 1e3
    try:
        with pytest.raises(MemoryError, match="Raise it, or simulate a shorter trial or with a larger dt"):
            ClockSolver().simulate(case.network, 80 * ms)
    finally:
        prefs["brian_qif.trajectory_memory"] = before


def network_of(equations="dv/dt = -v/tau : 1", synapses=None, stimulus_dt=None, **keywords):
    keywords = {"threshold": "v > 1", "reset": "v = 0", "method": "euler", **keywords}
    group = NeuronGroup(2, equations, namespace={"tau": 10 * ms}, **keywords)
    stimulus = SpikeGeneratorGroup(1, [0], [1] * ms)
    connection = Synapses(stimulus, group, **(synapses or {"model": "w : 1", "on_pre": "v_post += w"}))
    connection.connect()
    if "w" in connection.variables:
        connection.w = 0.1
    return Network(stimulus, group, connection)


REFUSED = {
    "noise": (dict(equations="dv/dt = -v/tau + xi*tau**-0.5 : 1"), "The equations contain noise (xi)"),
    "random numbers": (dict(equations="dv/dt = (rand() - v)/tau : 1"), "rand"),
    "time": (
        dict(equations="dv/dt = (sin(t/tau) - v)/tau : 1"),
        "depends on t; a state that runs with the time can take its place: dnow/dt = 1 : second",
    ),
    "a kink": (dict(equations="dv/dt = (abs(v) - v)/tau : 1"), "which is not known to be smooth"),
    "two conditions": (dict(threshold="v > 1 and v < 2"), "is not one comparison"),
    "a held variable and a condition": (
        dict(equations="dv/dt = -v/tau : 1 (unless refractory)", refractory="v > 0.5"),
        "The refractory period 'v > 0.5' is a condition",
    ),
    "a name of the reverse pass": (
        dict(equations="dv/dt = (by_hand - v)/tau : 1\nby_hand : 1"),
        "The reverse pass has a variable 'by_hand' of its own",
    ),
    "a step within the step": (dict(method="gsl"), "takes steps of its own"),
}


def test_a_state_can_run_with_the_time():
    equations = "dv/dt = (sin(now/tau) - v)/tau : 1\ndnow/dt = 1 : second"
    network = network_of(equations, {"model": "w : 1", "on_pre": "v_post += 0*w"}, method="rk4")
    group = next(item for item in network.objects if isinstance(item, NeuronGroup))
    v = np.asarray(ClockSolver().simulate(network, 20 * ms).state(group, "v", 20 * ms))
    # v' = sin(x) - v from zero.
    assert v == pytest.approx((np.sin(2) - np.cos(2) + np.exp(-2)) / 2, rel=1e-9)


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_derivative_is_refused_by_name(case):
    keywords, message = REFUSED[case]
    with pytest.raises(NotImplementedError, match=re.escape(message)):
        ClockSolver().simulate(network_of(**keywords), 10 * ms)


def test_a_neuron_that_a_synapse_lifts_over_its_threshold_is_refused():
    network = network_of()
    for item in network.objects:
        if isinstance(item, Synapses):
            item.w = 1.5
    with pytest.raises(NotImplementedError, match="was at or above its threshold already when its step began"):
        ClockSolver().simulate(network, 10 * ms)


def test_bad_input_is_refused():
    case = example("lif")
    with pytest.raises(ValueError, match="There is no device 'gpu' for the clock-driven solver; there are"):
        ClockSolver(device="gpu")
    with pytest.raises(
        ValueError, match=re.escape("The step dt of a ClockSolver must be positive and finite; it is -0.001 s")
    ):
        ClockSolver(dt=-1 * ms)
    with pytest.raises(ValueError, match="is not a whole number of steps of 0.0001 s"):
        ClockSolver().simulate(case.network, 20.05 * ms)
    slow = NeuronGroup(1, "dv/dt = -v/(10*ms) : 1", dt=0.5 * ms, method="exact")
    case.network.add(slow)
    with pytest.raises(NotImplementedError, match="have different clocks"):
        ClockSolver().simulate(case.network, 20 * ms)


def test_another_step_is_taken_without_touching_the_script():
    group = QIFGroup(1, tau_m=20 * ms, tau_s=10 * ms, v_rest=-65 * mV, v_crit=-50 * mV)
    group.v = -49 * mV
    network = Network(group)
    coarse, fine = (ClockSolver(dt=dt).simulate(network, 200 * ms) for dt in (0.2 * ms, 0.02 * ms))
    assert len(coarse.spikes[group].t) == len(fine.spikes[group].t) == 1
    assert abs(coarse.spikes[group].t[0] - fine.spikes[group].t[0]) < 0.2 * ms
    assert defaultclock.dt == 0.1 * ms
