"""What every device of the clock-driven solver can do: each feature, on each device, against NumPy in this process.

`python -m tests.device_table` runs all of this and writes the table of the documentation from what it found.
"""

from functools import cache

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, Synapses, defaultclock, ms, prefs

from brian_qif import ClockSolver, CrossEntropyLoss, SpikeFunctionLoss, SpikeGradient
from brian_qif.codegen.compiler import CompilerError, find_compiler
from brian_qif.gradients.batch import BatchGradient
from brian_qif.models import LeakyIntegratorGroup, LIFGroup, QIFGroup
from brian_qif.solvers.clock_tasks import find_device
from brian_qif.training.datasets import SpikeSample

DURATION = 40 * ms
LEAKY = "dv/dt = (I - v)/tau : 1\ndI/dt = -I/(5*ms) : 1\ntau : second (constant)"
# Name of the device, and preferences of Brian2.
DEVICES = {
    "runtime, numpy": ("runtime", {"codegen.target": "numpy"}),
    "cpp_standalone": ("cpp_standalone", {"devices.cpp_standalone.openmp_threads": 0}),
    "cpp_standalone, OpenMP": ("cpp_standalone", {"devices.cpp_standalone.openmp_threads": 2}),
    "genn": ("genn", {}),
}
REFERENCE = "runtime, numpy"


def inputs():
    generator = np.random.default_rng(0)
    return SpikeGeneratorGroup(4, np.arange(24) % 4, np.sort(generator.uniform(0, 30, 24)) * ms)


def leaky(size=3, **keywords):
    options = {"threshold": "v > 1", "reset": "v = 0", "method": "exact", **keywords}
    neurons = NeuronGroup(size, options.pop("equations", LEAKY), **options)
    neurons.tau = np.linspace(10, 14, size) * ms
    return neurons


def connect(source, target, low, high, model="w : 1", on_pre="I_post += w", **keywords):
    synapses = Synapses(source, target, model, on_pre=on_pre, **keywords)
    synapses.connect()
    synapses.w = np.random.default_rng(len(synapses)).uniform(low, high, len(synapses))
    return synapses


def squares(neurons):
    return SpikeFunctionLoss(neurons, lambda t, i: (np.sum((1 + i) * t**2), 2 * (1 + i) * t))


def gradient_of(device, neurons, parts, parameters):
    network = Network(inputs_of(parts), neurons, *parts)
    return SpikeGradient(network, squares(neurons), parameters, ClockSolver(device), namespace={})


def inputs_of(parts):
    return next(part.source for part in parts if isinstance(part.source, SpikeGeneratorGroup))


def simple(device, neurons=None, more=lambda synapses, neurons: [], **keywords):
    """Inputs onto a group; slopes by weights and what ``more`` gives."""
    neurons = neurons or leaky()
    synapses = connect(inputs(), neurons, 1.5, 3.5, **keywords)
    return gradient_of(device, neurons, [synapses], [synapses.w, *more(synapses, neurons)])


def updaters(device):
    """A group for every state updater, in one network."""
    stimulus, groups, parts = inputs(), [], []
    for method in ("exact", "euler", "exponential_euler", "rk2", "rk4", "heun"):
        groups.append(leaky(method=method))
        parts.append(connect(stimulus, groups[-1], 1.5, 3.5))
    last = leaky()
    parts += [connect(group, last, 0.2, 0.9) for group in groups]
    loss, parameters = squares(last), [*(part.w for part in parts), *(group.tau for group in groups)]
    return SpikeGradient(Network(stimulus, *groups, last, *parts), loss, parameters, ClockSolver(device), namespace={})


def two_groups(device, make, drive):
    stimulus, first, second = inputs(), make(3), make(2)
    parts = [connect(stimulus, first, *drive), connect(first, second, *drive)]
    parameters = [*(part.w for part in parts), first.tau_m, second.tau_s, first.v]
    loss = squares(second)
    return SpikeGradient(Network(stimulus, first, second, *parts), loss, parameters, ClockSolver(device), namespace={})


def loop(device, delays):
    neurons = leaky()
    parts = [connect(inputs(), neurons, 1.5, 3.5), connect(neurons, neurons, 0.1, 0.4)]
    parts[1].delay = delays
    return gradient_of(device, neurons, parts, [part.w for part in parts])


def by_arrivals(device):
    neurons = leaky()
    parts = [connect(inputs(), neurons, 1.5, 3.5), connect(neurons, neurons, 0.1, 0.4, delay=2 * ms)]
    return gradient_of(device, neurons, parts, [inputs_of(parts).spike_time, parts[0].delay, parts[1].delay])


def side_by_side(device, **options):
    """A classifier of samples; the number of its classes comes with it."""
    stimulus, hidden, readout = inputs(), leaky(), LeakyIntegratorGroup(2, tau_m=20 * ms, tau_s=10 * ms)
    parts = [connect(stimulus, hidden, 1.5, 3.5), connect(hidden, readout, -1, 1)]
    loss = CrossEntropyLoss(readout, weight_time=30 * ms)
    network = Network(stimulus, hidden, readout, *parts)
    solver = ClockSolver(device, **options)
    return BatchGradient(SpikeGradient(network, loss, [part.w for part in parts], solver, namespace={}), stimulus)


def on_the_voltage(device):
    """Small enough not to lift a neuron over its threshold at once, which is refused."""
    neurons = leaky()
    stimulus = inputs()
    parts = [connect(stimulus, neurons, 1.5, 3.5), connect(stimulus, neurons, 0.1, 0.4, on_pre="v_post += 0.01*w")]
    return gradient_of(device, neurons, parts, [part.w for part in parts])


def plastic(device, **keywords):
    model = "dx/dt = (1 - x)/(30*ms) : 1 (event-driven)\nw : 1"
    return simple(device, more=lambda s, n: [s.x], model=model, on_pre="I_post += 4*w*x; x *= 0.6", **keywords)


def in_segments(device):
    neurons = leaky()
    neurons.v = 0.1
    prefs["brian_qif.trajectory_memory"] = 30_000
    return simple(device, neurons, more=lambda s, n: [n.v, n.tau])


FEATURES = {
    "state updaters exact, euler, exponential_euler, rk2, rk4, heun": updaters,
    "LIF groups": lambda device: two_groups(device, lambda n: LIFGroup(n, tau_m=20 * ms, tau_s=5 * ms), (3, 7)),
    "QIF groups": lambda device: two_groups(device, lambda n: QIFGroup(n, tau_m=20 * ms, tau_s=10 * ms), (3, 9)),
    "refractory periods": lambda device: simple(
        device, leaky(refractory=2 * ms, equations=LEAKY.replace(": 1\ndI", ": 1 (unless refractory)\ndI"))
    ),
    "loops with one delay per Synapses": lambda device: loop(device, 1.5 * ms),
    "a delay per synapse": lambda device: loop(device, np.linspace(0.5, 3, 9) * ms),
    "synapses on the variable of the threshold": on_the_voltage,
    "slopes by spike times and delays": by_arrivals,
    "samples side by side": side_by_side,
    "surrogate gradients": lambda device: side_by_side(device, surrogate="superspike"),
    "short-term plasticity (on_pre)": plastic,
    "plasticity by pairs (on_post)": lambda device: plastic(device, on_post="w += 0.1*x"),
    "trials in segments": in_segments,
}
# What a device cannot do, and what it says.
REFUSED = {
    ("a delay per synapse", "genn"): "on GeNN a Synapses has one delay",
    ("synapses on the variable of the threshold", "genn"): "on GeNN synapses act after the reset",
    ("short-term plasticity (on_pre)", "genn"): "have a state, which the passes on GeNN do not carry",
    ("plasticity by pairs (on_post)", "genn"): "have a state, which the passes on GeNN do not carry",
    ("trials in segments", "genn"): "into segments",
}


def samples():
    generator = np.random.default_rng(1)
    times = [np.sort(generator.choice(np.arange(1, 60), 30, replace=False)) * 0.5e-3 for _ in range(3)]
    return [SpikeSample(own, generator.integers(4, size=30), 0, 0) for own in times]


def outcome(feature, device):
    """Value and slopes of one trial, or of three samples side by side."""
    name, preferences = DEVICES[device]
    before = {key: prefs[key] for key in (*preferences, "brian_qif.trajectory_memory")}
    step = defaultclock.dt
    try:
        prefs.update(preferences)
        defaultclock.dt = 0.1 * ms
        gradient = FEATURES[feature](name)
        if isinstance(gradient, BatchGradient):
            found = gradient(samples(), DURATION)
            return found.losses, [np.asarray(slope) for slope in found.slopes]
        value, slopes = gradient(DURATION)
        return np.array([value]), [np.asarray(slope) for slope in slopes]
    finally:
        prefs.update(before)
        defaultclock.dt = step


reference = cache(lambda feature: outcome(feature, REFERENCE))


def unavailable(device):
    """What this machine lacks for a device."""
    name, _ = DEVICES[device]
    missing = find_device(name).missing()
    if missing is None and name == "cpp_standalone":
        try:
            find_compiler()
        except CompilerError as error:
            missing = str(error)
    return missing


@pytest.mark.long
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("feature", FEATURES)
def test_a_device_has_a_feature_or_refuses_it_by_name(feature, device, record_property):
    missing = unavailable(device)
    if missing is not None:
        pytest.skip(missing)
    record_property("feature", feature)
    record_property("device", device)
    if (feature, device) in REFUSED:
        with pytest.raises((NotImplementedError, MemoryError)) as error:
            outcome(feature, device)
        assert REFUSED[feature, device] in str(error.value)
        record_property("outcome", "refused")
        return
    values, slopes = outcome(feature, device)
    expected, others = reference(feature)
    assert values == pytest.approx(expected, rel=1e-11)
    for slope, other in zip(slopes, others, strict=True):
        assert np.any(other != 0)
        assert slope == pytest.approx(other, rel=1e-9, abs=1e-11 * np.max(np.abs(other)))
    record_property("outcome", "yes")
