"""The clock-driven gradient on Brian2's devices: the same numbers everywhere, and programs that are built once."""

import gc
import time

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, Synapses, defaultclock, ms, mV, prefs
from brian2.devices.device import get_device

from brian_qif import ClockSolver, CrossEntropyLoss, SpikeFunctionLoss, SpikeGradient
from brian_qif.codegen import clock_devices
from brian_qif.codegen.compiler import CompilerError, find_compiler
from brian_qif.gradients.batch import BatchGradient
from brian_qif.models import LeakyIntegratorGroup, LIFGroup, QIFGroup
from brian_qif.solvers.clock_tasks import find_device
from brian_qif.training.datasets import SpikeSample


def needs_compiler():
    try:
        find_compiler()
    except CompilerError as error:
        pytest.skip(str(error))


def gradient_on(device: str):
    """LIF neurons that drive QIF neurons, which hear each other late, and a readout; refractory by the cut-off."""
    generator = np.random.default_rng(0)
    stimulus = SpikeGeneratorGroup(5, [], [] * ms)
    # Names decide the order of the groups, and those that Brian2 makes up sort 10 before 9.
    first = LIFGroup(3, tau_m=20 * ms, tau_s=5 * ms, name="first*")
    second = QIFGroup(3, tau_m=20 * ms, tau_s=10 * ms, name="second*")
    readout = LeakyIntegratorGroup(2, tau_m=20 * ms, tau_s=10 * ms, name="third*")
    delays = {(stimulus, first): 0 * ms, (first, second): generator.uniform(0, 8, 9) * ms, (second, second): 1.5 * ms}
    parts = []
    for (source, target), delay in {**delays, (second, readout): 0 * ms}.items():
        synapses = Synapses(source, target, "w : 1", on_pre="I_post += w")
        synapses.connect()
        synapses.w = generator.uniform(1, 5, len(synapses))
        synapses.delay = delay
        parts.append(synapses)
    parts[2].w = generator.normal(size=9)
    loss = CrossEntropyLoss(readout, weight_time=30 * ms)
    parameters = [*(synapses.w for synapses in parts), first.tau_m, second.tau_s, first.v]
    network = Network(stimulus, first, second, readout, *parts)
    return SpikeGradient(network, loss, parameters, solver=ClockSolver(device)), stimulus


def samples(seed):
    generator = np.random.default_rng(seed)
    return [
        SpikeSample(np.sort(generator.uniform(0, 0.03, 20 + n)), generator.integers(5, size=20 + n), n % 2, 0)
        for n in range(3)
    ]


def test_a_collection_of_garbage_spares_what_was_there_except_now_and_then(monkeypatch):
    def frozen():
        """Whether objects are, beside the few that Python 3.12 freezes by itself."""
        return gc.get_freeze_count() > clock_devices._FROZEN_BY_PYTHON

    gc.collect()
    monkeypatch.setattr(clock_devices, "_last_collection", time.monotonic())
    with clock_devices.without_old_objects():
        assert frozen()
    assert not frozen()
    gc.freeze()  # the user's own
    try:
        with clock_devices.without_old_objects():
            pass
        assert frozen()
    finally:
        gc.unfreeze()
    monkeypatch.setattr(clock_devices, "_last_collection", time.monotonic() - 60)
    with clock_devices.without_old_objects():
        assert not frozen()


def test_cpp_standalone_gives_the_numbers_of_runtime_and_is_built_once():
    needs_compiler()
    found, step = {}, defaultclock.dt
    defaultclock.dt = 0.05 * ms
    programs = find_device("cpp_standalone")._programs
    for device in ("runtime", "cpp_standalone"):
        gradient, stimulus = gradient_on(device)
        batch = BatchGradient(gradient, stimulus)
        values = gradient.values()
        before = len(programs)
        first = batch(samples(0), 50 * ms, values=values)
        built = len(programs) - before
        assert built == (2 if device == "cpp_standalone" else 0)
        # Other spikes, weights and time constants, the same programs.
        moved = [value * 1.02 for value in values]
        second = batch(samples(1), 50 * ms, values=moved)
        assert len(programs) - before == built
        assert sum(np.sum(counts) for counts in first.spike_counts.values()) > 20
        found[device] = (first, second)
    for here, there in zip(*found.values(), strict=True):
        assert here.losses == pytest.approx(there.losses, rel=1e-12)
        # The groups have other names, as they were made twice.
        for counts, others in zip(here.spike_counts.values(), there.spike_counts.values(), strict=True):
            assert np.array_equal(counts, others)
        for slope, other in zip(here.slopes, there.slopes, strict=True):
            assert np.any(slope != 0)
            assert slope == pytest.approx(other, rel=1e-9, abs=1e-12 * np.max(np.abs(other)))
    # The script's own device and its clock are what they were.
    assert type(get_device()).__name__ == "RuntimeDevice"
    assert defaultclock.dt == 0.05 * ms
    defaultclock.dt = step


GATED = """
dv/dt = (E_L - v + 40*mV*m**2*h*x + I)/tau_m : volt (unless refractory)
dm/dt = 0.4/ms*exprel((v - V)/(4*mV))*(1 - m) - m*exp(-(v - V)/(18*mV))/ms : 1
dh/dt = 0.1*exp(-(v - V)/(18*mV))*(1 - h)/ms - 0.3*h/ms : 1
dx/dt = (sqrt(m**2 + 0.01) - x)/tau_x : 1
dI/dt = -I/tau_x : volt
tau_m : second (constant)
V : volt (shared, constant)
"""


def gated_gradient(device: str):
    """Two groups that hear each other, with gates, held voltages, an event of two variables and a reset of three."""
    generator = np.random.default_rng(0)
    namespace = {"E_L": -65 * mV, "tau_x": 5 * ms, "V_T": -52 * mV, "pause": 2.3 * ms}
    stimulus = SpikeGeneratorGroup(5, np.arange(25) % 5, np.sort(generator.uniform(0, 25, 25)) * ms)
    groups = []
    for size in (4, 3):
        neurons = NeuronGroup(
            size,
            GATED,
            threshold="v - 1*mV*x > V_T",
            reset="v = E_L; m *= 0.5; x += 0.1",
            refractory="pause",
            method="exponential_euler" if size == 3 else "rk4",
            namespace=namespace,
        )
        neurons.v, neurons.V, neurons.x, neurons.h = -65 * mV, -58 * mV, 0.2, 0.4
        neurons.tau_m = generator.uniform(8, 14, size) * ms
        groups.append(neurons)
    one, other = groups
    parts = []
    for source, target in ((stimulus, one), (stimulus, other), (one, other), (other, one)):
        synapses = Synapses(source, target, "w : volt", on_pre="I_post += w")
        synapses.connect()
        synapses.w = generator.uniform(5, 13, len(synapses)) * mV
        synapses.delay = generator.uniform(0.2, 4, len(synapses)) * ms
        parts.append(synapses)
    held = Synapses(one, other, "w : volt", on_pre="v_post -= w", delay=0.7 * ms)
    held.connect()
    held.w = 0.5 * mV
    loss = SpikeFunctionLoss(other, lambda t, i: (np.sum(t**2 * (1 + i)), 2 * t * (1 + i)))
    parameters = [synapses.w for synapses in (*parts, held)] + [synapses.delay for synapses in parts]
    parameters += [stimulus.spike_time, one.v, one.tau_m, other.V, (other, "V_T"), (one, "E_L"), (one, "pause")]
    network = Network(stimulus, one, other, held, *parts)
    return SpikeGradient(network, loss, parameters, solver=ClockSolver(device), namespace={}), other


def check_same(device: str, target: str) -> None:
    """The spikes and the slopes of runtime mode with NumPy."""
    found = []
    before = prefs.codegen.target
    for name, code in (("runtime", "numpy"), (device, target)):
        prefs.codegen.target = code
        try:
            gradient, group = gated_gradient(name)
            value, slopes = gradient(30 * ms)
            found.append((value, slopes, gradient.trajectory.spikes[group]))
        finally:
            prefs.codegen.target = before
    (value, slopes, spikes), (other_value, other_slopes, other_spikes) = found
    assert len(spikes.t) > 6
    assert np.array_equal(spikes.i, other_spikes.i)
    assert np.asarray(spikes.t) == pytest.approx(np.asarray(other_spikes.t), rel=1e-12)
    assert value == pytest.approx(other_value, rel=1e-12)
    for slope, other in zip(slopes, other_slopes, strict=True):
        slope, other = np.asarray(slope), np.asarray(other)
        assert np.any(slope != 0)
        assert slope == pytest.approx(other, rel=1e-9, abs=1e-12 * np.max(np.abs(other)))


def test_neurons_with_gates_are_the_same_as_a_program():
    needs_compiler()
    check_same("cpp_standalone", "numpy")


@pytest.mark.long
def test_neurons_with_gates_are_the_same_in_cython():
    """Long since Cython compiles every object by itself, the first time for minutes."""
    needs_compiler()
    pytest.importorskip("Cython", reason="Brian2's target cython needs Cython")
    check_same("runtime", "cython")
