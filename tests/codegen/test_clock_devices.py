"""The clock-driven gradient on Brian2's devices: the same numbers everywhere, and programs that are built once."""

import numpy as np
import pytest
from brian2 import Network, SpikeGeneratorGroup, Synapses, ms
from brian2.devices.device import get_device

from brian_qif import ClockSolver, CrossEntropyLoss, SpikeGradient
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
    first = LIFGroup(3, tau_m=20 * ms, tau_s=5 * ms)
    second = QIFGroup(3, tau_m=20 * ms, tau_s=10 * ms)
    readout = LeakyIntegratorGroup(2, tau_m=20 * ms, tau_s=10 * ms)
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


def test_cpp_standalone_gives_the_numbers_of_runtime_and_is_built_once():
    needs_compiler()
    found = {}
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
    # The script's own device is what it was.
    assert type(get_device()).__name__ == "RuntimeDevice"
