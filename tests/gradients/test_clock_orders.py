"""The order in dt with which clock-driven slopes approach the event-driven ones, over many networks at once.

Where a spike lies inside its step is as good as random, so the error of a single slope jumps up and down as dt is
halved; and where two events change places within a step, such as an arrival and the end of a refractory period, it
stays until the step is short enough. So sixteen independent networks of two neurons lie side by side in one group, and
the order is that of the median of the relative errors of all slopes of a kind, fitted over dt, dt/2, dt/4 and dt/8.
"""

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, Synapses, defaultclock, ms

from brian_qif import ClockSolver, EventSolver, SpikeGradient
from tests.networks import smooth_loss

PAIRS, INPUTS = 16, 3
DURATION = 30 * ms
STEPS = 0.1 / 2.0 ** np.arange(4)  # ms


@pytest.fixture(autouse=True)
def step():
    """The step of the coarsest simulation, and the default again afterwards."""
    defaultclock.dt = 0.1 * ms
    yield
    defaultclock.dt = 0.1 * ms


def wire(source, target, per_source, on_pre, generator, size, delays=(0, 0), loop=False):
    """Synapses within each of the networks that lie side by side: all to all, or from each neuron to the other."""
    synapses = Synapses(source, target, "w : 1", on_pre=on_pre)
    if loop:
        pre = np.arange(2 * PAIRS)
        synapses.connect(i=pre, j=pre ^ 1)
    else:
        pair, unit, neuron = np.indices((PAIRS, per_source, 2)).reshape(3, -1)
        synapses.connect(i=per_source * pair + unit, j=2 * pair + neuron)
    synapses.w = size * generator.uniform(0.4, 1.6, len(synapses))
    synapses.delay = generator.uniform(*delays, len(synapses)) * ms
    return synapses


def stimulus_of(generator, spikes=4):
    count = PAIRS * INPUTS * spikes
    times = np.sort(generator.uniform(0.5, 25, count))
    return SpikeGeneratorGroup(PAIRS * INPUTS, np.arange(count) % (PAIRS * INPUTS), times * ms)


LIF = """
dv/dt = (-v + I)/tau_m : 1 (unless refractory)
dI/dt = -I/tau_s : 1
tau_m : second (constant)
tau_s : second (constant)
theta : 1 (constant)
low : 1 (constant)
t_ref : second (constant)
"""


def lif(generator, refractory, method):
    neurons = NeuronGroup(
        2 * PAIRS,
        LIF,
        threshold="v > theta",
        reset="v = low",
        refractory="t_ref" if refractory else False,
        method=method,
    )
    neurons.tau_m, neurons.tau_s = generator.uniform(10, 25, (2, 2 * PAIRS)) * ms
    neurons.theta, neurons.I = 1, generator.uniform(0, 1, 2 * PAIRS)
    neurons.t_ref = generator.uniform(1.5, 4, 2 * PAIRS) * ms
    neurons.low = generator.uniform(-0.2, 0.2, 2 * PAIRS)
    own = [neurons.tau_m, neurons.tau_s, neurons.theta, neurons.low, neurons.v, neurons.I]
    return neurons, [*own, neurons.t_ref] if refractory else own


def feed_forward(generator):
    stimulus = stimulus_of(generator)
    neurons, own = lif(generator, False, "exact")
    synapses = wire(stimulus, neurons, INPUTS, "I_post += w", generator, 1.0)
    return Network(stimulus, neurons, synapses), neurons, [synapses.w, synapses.delay, stimulus.spike_time, *own]


def recurrent(generator):
    """Also with a second Synapses between the same groups, through which neurons hear themselves."""
    stimulus = stimulus_of(generator)
    neurons, own = lif(generator, False, "exact")
    synapses = wire(stimulus, neurons, INPUTS, "I_post += w", generator, 1.0, delays=(0, 3))
    loop = wire(neurons, neurons, 2, "I_post += w", generator, 0.4, delays=(1, 15), loop=True)
    again = Synapses(neurons, neurons, "w : 1", on_pre="I_post -= w", delay=2.03 * ms)
    again.connect(j="i")
    again.w = generator.uniform(0.1, 0.3, 2 * PAIRS)
    parameters = [synapses.w, loop.w, again.w, synapses.delay, loop.delay, again.delay, stimulus.spike_time, *own]
    return Network(stimulus, neurons, synapses, loop, again), neurons, parameters


def refractory(generator):
    """Held neurons lose what arrives at their voltage; exponential_euler divides rates that vanish then."""
    stimulus = stimulus_of(generator)
    neurons, own = lif(generator, True, "exponential_euler")
    synapses = wire(stimulus, neurons, INPUTS, "I_post += w", generator, 1.4)
    jumps = wire(stimulus, neurons, INPUTS, "v_post += w", generator, -0.1, delays=(0, 2))
    loop = wire(neurons, neurons, 2, "v_post += w", generator, -0.1, delays=(0.5, 4), loop=True)
    parameters = [synapses.w, jumps.w, loop.w, jumps.delay, loop.delay, *own]
    return Network(stimulus, neurons, synapses, jumps, loop), neurons, parameters


def median_errors(network, neurons, parameters, numeric=False):
    """For each step one row, for each parameter one column; and the spikes of every neuron."""

    def slopes(solver):
        gradient = SpikeGradient(network, smooth_loss(neurons), parameters, solver=solver, namespace={})
        found = [np.ravel(np.asarray(slope, dtype=float)) for slope in gradient(DURATION)[1]]
        return found, np.bincount(gradient.trajectory.spikes[neurons].i, minlength=len(neurons))

    exact, counts = slopes(EventSolver("reference", numeric=numeric))
    rows = []
    for step in STEPS:
        found, _ = slopes(ClockSolver(dt=step * ms))
        rows.append([np.median(np.abs(x - y)[y != 0] / np.abs(y[y != 0])) for x, y in zip(found, exact, strict=True)])
    return np.array(rows), counts


# Equations, threshold, reset, numbers of the parameters, what synapses add, initial states. Voltages without a unit.
SMOOTH = {
    "conductance": (
        "dv/dt = (-v + x*(E - v))/tau_m : 1\ndx/dt = -x/tau_x : 1",
        "v > theta",
        "v = low",
        {"E": 4.0, "theta": 1.0, "low": 0.1, "tau_m": 15 * ms, "tau_x": 4 * ms},
        ("x_post += w", 0.7),
        {},
    ),
    "adaptive exponential": (
        "dv/dt = (-v + D*exp((v - 1)/D) - u + I)/tau_m : 1\ndu/dt = (a*v - u)/tau_u : 1\ndI/dt = -I/tau_x : 1",
        "v > theta",
        "v = low; u += b",
        {"D": 0.2, "theta": 2.0, "low": 0.1, "a": 0.3, "b": 0.2, "tau_m": 15 * ms, "tau_u": 40 * ms, "tau_x": 5 * ms},
        ("I_post += w", 1.6),
        {"u": 0.05},
    ),
    "izhikevich": (
        "dv/dt = (0.04*v**2 + 5*v + 140 - u + I)/tau_m : 1\ndu/dt = a*(b*v - u)/tau_m : 1\ndI/dt = -I/tau_x : 1",
        "v > theta",
        "v = c; u += d",
        {"theta": 0.0, "a": 0.02, "b": 0.2, "c": -65.0, "d": 4.0, "tau_m": 1 * ms, "tau_x": 6 * ms},
        ("I_post += w", 14.0),
        {"v": -65.0, "u": -13.0},
    ),
}


def smooth(name, generator):
    """Without a closed form; each neuron has parameters of its own."""
    equations, threshold, reset, numbers, (on_pre, size), start = SMOOTH[name]
    units = ["second" if name.startswith("tau") else "1" for name in numbers]
    declared = [f"{name} : {unit} (constant)" for name, unit in zip(numbers, units, strict=True)]
    stimulus = stimulus_of(generator)
    text = "\n".join([equations, *declared])
    neurons = NeuronGroup(2 * PAIRS, text, threshold=threshold, reset=reset, method="rk4")
    for label, value in {**numbers, **start}.items():
        setattr(neurons, label, value * generator.uniform(0.97, 1.03, 2 * PAIRS))
    synapses = wire(stimulus, neurons, INPUTS, on_pre, generator, size, delays=(0, 3))
    loop = wire(neurons, neurons, 2, on_pre, generator, 0.3 * size, delays=(1, 5), loop=True)
    parameters = [synapses.w, loop.w, synapses.delay, loop.delay, stimulus.spike_time, neurons.v]
    parameters += [getattr(neurons, name) for name in numbers]
    return Network(stimulus, neurons, synapses, loop), neurons, parameters


NETWORKS = {"feed-forward": feed_forward, "recurrent": recurrent, "refractory": refractory}


def check_orders(errors):
    """A wrong term would leave an error that does not fall: an order near zero, or an error of its size."""
    orders = np.polyfit(np.log(STEPS), np.log(errors), 1)[0]
    # Of a single kind of parameter, the fit over three halvings still scatters by a third or so.
    assert np.all(orders > 0.5), (orders, errors)
    assert 0.7 < np.mean(orders) < 1.7, (orders, errors)


@pytest.mark.parametrize("name", NETWORKS)
def test_lif_slopes_are_of_order_one(name):
    errors, counts = median_errors(*NETWORKS[name](np.random.default_rng(4)))
    assert np.median(counts) >= 4
    check_orders(errors)
    assert np.all(errors[-1] < 2e-2), errors


@pytest.mark.parametrize("name", SMOOTH)
def test_slopes_of_neurons_without_a_closed_form_are_of_order_one(name):
    errors, counts = median_errors(*smooth(name, np.random.default_rng(4)), numeric=True)
    assert np.median(counts) >= 2
    check_orders(errors)
    assert np.median(errors[-1]) < 0.06, errors
