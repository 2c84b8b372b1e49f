"""The clock-driven gradient on GeNN: runtime's numbers, programs that are built once, and refusals by name.

The networks that GeNN gets are ordinary Brian2 networks, so their arithmetic is tested in runtime mode, on any machine;
the tests of GeNN itself run where it is installed.
"""

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, Synapses, defaultclock, ms, prefs
from brian2.devices.device import get_device

from brian_qif import ClockSolver, CrossEntropyLoss, SpikeFunctionLoss, SpikeGradient
from brian_qif.codegen import clock_genn, genn_installation
from brian_qif.codegen.clock_devices import Runtime
from brian_qif.codegen.clock_genn import GennShaped
from brian_qif.gradients.batch import BatchGradient
from brian_qif.models import LeakyIntegratorGroup, LIFGroup, QIFGroup
from brian_qif.solvers.clock_tasks import find_device, register_device
from brian_qif.training.datasets import SpikeSample


class ShapesInRuntime(GennShaped, Runtime):
    """GeNN's networks on NumPy."""

    name = "genn shapes in runtime"


register_device(ShapesInRuntime())


@pytest.fixture
def genn():
    missing = find_device("genn").missing()
    if missing is not None:
        pytest.skip(missing)
    return "genn"


def a_network(late: bool):
    """LIF neurons that drive QIF neurons, which hear each other, and a readout; several spikes are on their way."""
    generator = np.random.default_rng(0)
    times = np.sort(generator.uniform(0, 25, 30)) * ms
    stimulus = SpikeGeneratorGroup(5, np.arange(30) % 5, times, name="a_stimulus*")
    first = LIFGroup(3, tau_m=20 * ms, tau_s=5 * ms, name="b_lif*")
    second = QIFGroup(3, tau_m=20 * ms, tau_s=10 * ms, name="c_qif*")
    readout = LeakyIntegratorGroup(2, tau_m=20 * ms, tau_s=10 * ms, name="d_readout*")
    delays = {(stimulus, first): 0.4, (first, second): 3.0 * late, (second, second): 1.5 * late, (second, readout): 0}
    parts = []
    for (source, target), delay in delays.items():
        synapses = Synapses(source, target, "w : 1", on_pre="I_post += w", delay=delay * ms)
        synapses.connect()
        synapses.w = generator.uniform(1, 5, len(synapses)) * (2 if target is first else 1)
        parts.append(synapses)
    parts[2].w = generator.normal(size=9)
    # Synapses need not be in the order of their neurons.
    back = Synapses(second, first, "w : 1", on_pre="I_post += w", delay=0.7 * late * ms)
    back.connect(i=[2, 0, 1, 0], j=[0, 1, 2, 0])
    back.w = [0.5, -0.4, 0.3, 0.2]
    parts.append(back)
    return Network(stimulus, first, second, readout, *parts), stimulus, first, second, readout, parts


def spike_gradient(device, **options):
    network, stimulus, first, neurons, _, parts = a_network(late=True)
    loss = SpikeFunctionLoss(neurons, lambda t, i: (np.sum(t**2 * (1 + i)), 2 * t * (1 + i)))
    parameters = [*(synapses.w for synapses in (*parts[:3], parts[4])), first.tau_m, neurons.tau_s, first.v]
    parameters += [stimulus.spike_time, parts[1].delay, parts[4].delay]
    return SpikeGradient(network, loss, parameters, ClockSolver(device, **options)), neurons


def batch_gradient(device, **options):
    network, stimulus, first, neurons, readout, parts = a_network(late=not options)
    loss = CrossEntropyLoss(readout, weight_time=30 * ms)
    parameters = [*(synapses.w for synapses in parts), first.tau_m, neurons.tau_s, neurons.I]
    gradient = SpikeGradient(network, loss, parameters, ClockSolver(device, **options))
    return BatchGradient(gradient, stimulus), gradient.values()


def samples(seed):
    generator = np.random.default_rng(seed)
    return [
        SpikeSample(np.sort(generator.uniform(0, 0.03, 40 + n)), generator.integers(5, size=40 + n), n % 2, 0)
        for n in range(3)
    ]


def check_slopes(slopes, others):
    for slope, other in zip(map(np.asarray, slopes), map(np.asarray, others), strict=True):
        assert np.any(slope != 0)
        assert slope == pytest.approx(other, rel=1e-9, abs=1e-12 * np.max(np.abs(other)))


def check_spike_gradient(device):
    """Spikes, and slopes by all that there is, delays and spike times of sources among it, are those of runtime."""
    (gradient, group), (reference, same) = spike_gradient(device), spike_gradient("runtime")
    (value, slopes), (known, others) = gradient(50 * ms), reference(50 * ms)
    spikes, expected = gradient.trajectory.spikes[group], reference.trajectory.spikes[same]
    assert len(spikes.t) > 10
    assert np.array_equal(spikes.i, expected.i)
    assert np.asarray(spikes.t) == pytest.approx(np.asarray(expected.t), rel=1e-12)
    assert value == pytest.approx(known, rel=1e-12)
    check_slopes(slopes, others)


def check_batch(device, **options):
    """Two batches; between them spikes, weights and parameters change. The number of programs that were made."""
    (batch, values), (reference, _) = batch_gradient(device, **options), batch_gradient("runtime", **options)
    programs = find_device(device)._programs
    before = len(programs)
    for seed, factor in ((0, 1), (1, 1.02)):
        moved = [value * factor for value in values]
        found, expected = (one(samples(seed), 50 * ms, values=moved) for one in (batch, reference))
        assert found.losses == pytest.approx(expected.losses, rel=1e-12)
        for counts, others in zip(found.spike_counts.values(), expected.spike_counts.values(), strict=True):
            assert np.array_equal(counts, others)
        assert sum(np.sum(counts) for counts in found.spike_counts.values()) > 20
        check_slopes(found.slopes, expected.slopes)
    return len(programs) - before


def test_the_shapes_for_genn_give_the_numbers_of_runtime():
    check_spike_gradient("genn shapes in runtime")


@pytest.mark.parametrize("options", [{}, {"surrogate": "superspike", "surrogate_slope": 1.0}], ids=str)
def test_many_samples_in_the_shapes_for_genn(options):
    assert check_batch("genn shapes in runtime", **options) == 2


def test_genn_gives_the_spikes_and_slopes_of_runtime(genn, capfd):
    defaultclock.dt = 0.05 * ms
    before = (defaultclock.dt, dict(prefs))
    try:
        check_spike_gradient(genn)
        assert (defaultclock.dt, dict(prefs)) == before
    finally:
        defaultclock.dt = 0.1 * ms
    assert type(get_device()).__name__ == "RuntimeDevice"
    assert capfd.readouterr() == ("", "")


def test_many_samples_on_genn_by_programs_that_are_built_once(genn):
    assert check_batch(genn) == 2


def refused(equations, variable="I", pairs=((0,), (0,)), delay=0, reset="v = 0", **options):
    """What the device says of a pathway between neurons."""
    neurons = NeuronGroup(2, equations, threshold="v > 1", reset=reset, name="qq_cells*", **options)
    synapses = Synapses(neurons, neurons, "w : 1", on_pre=f"{variable}_post += w", name="qq_links*")
    synapses.connect(i=pairs[0], j=pairs[1])
    synapses.delay = delay * ms
    loss = SpikeFunctionLoss(neurons, lambda t, i: (np.sum(t), np.ones_like(t)))
    solver = ClockSolver("genn shapes in runtime")
    with pytest.raises(NotImplementedError) as error:
        SpikeGradient(Network(neurons, synapses), loss, [synapses.w], solver)
    return str(error.value).replace(synapses.name, "S").replace(neurons.name, "N")


LEAKY = "dv/dt = (I - v)/(10*ms) : 1\ndI/dt = -I/(5*ms) : 1"
BEFORE = "The device 'genn shapes in runtime' cannot run this network: "
AFTER = " ClockSolver(device='cpp_standalone') takes it as it is."


@pytest.mark.parametrize(
    "network, reason",
    [
        (
            {"pairs": ([0, 1], [1, 0]), "delay": np.array([1, 2])},
            "the delays of 'S_pre' differ, and on GeNN a Synapses has one delay; make a Synapses for each delay.",
        ),
        (
            {"pairs": ([0, 0], [1, 1])},
            "'S_pre' has several synapses for a pair of neurons, and on GeNN a Synapses has one; make several.",
        ),
        (
            {"variable": "v"},
            "'S_pre' acts on v, which the reset or the refractory period uses, and on GeNN synapses act after the "
            "reset; let it act on a synaptic current.",
        ),
        (
            {"reset": "v = 0; I = 0.5*I"},
            "'S_pre' acts on I, which the reset or the refractory period uses, and on GeNN synapses act after the "
            "reset; let it act on a synaptic current.",
        ),
        (
            {"equations": LEAKY.replace("I - v", "I**2 - v"), "method": "rk4"},
            "'S_pre' acts on I, in which the equations are not linear, as the reverse pass on GeNN needs; let it "
            "act on a synaptic current.",
        ),
        (
            {"equations": LEAKY.replace("I - v", "I - exprel(v)"), "method": "rk4"},
            "'N' uses the function exprel, which GeNN does not have; write it out.",
        ),
    ],
    ids=["delays", "pairs", "on v", "reset of I", "not linear", "function"],
)
def test_what_genn_cannot_do_is_refused_by_name(network, reason):
    assert refused(**{"equations": LEAKY, "method": "exact", **network}) == BEFORE + reason + AFTER


def test_missing_parts_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(genn_installation, "installed_version", lambda package: None)
    with pytest.raises(ImportError) as error:
        ClockSolver("genn")
    assert str(error.value) == f"The device 'genn' needs the package brian2genn. {genn_installation.HOW_TO}"

    monkeypatch.setattr(genn_installation, "installed_version", lambda package: "1.7.0")
    monkeypatch.setattr(genn_installation.importlib, "import_module", lambda name: None)
    monkeypatch.setattr(genn_installation.brian2, "__version__", "2.9.0")
    assert find_device("genn").missing().startswith("brian2genn goes with Brian2 2.5.4, and this is version 2.9.0. ")

    monkeypatch.setattr(genn_installation.brian2, "__version__", "2.5.4")
    monkeypatch.delenv("GENN_PATH", raising=False)
    assert "the environment variable GENN_PATH is not set. To get it: pip install" in find_device("genn").missing()
    monkeypatch.setenv("GENN_PATH", str(tmp_path))
    assert find_device("genn").missing().startswith(f"GENN_PATH is '{tmp_path}', but there is no GeNN ")
    (tmp_path / "version.txt").write_text("5.1.0\n")
    assert find_device("genn").missing().startswith(f"brian2genn speaks to GeNN 4, and in '{tmp_path}' is version 5.1")
    (tmp_path / "version.txt").write_text("4.9.0\n")
    assert find_device("genn").missing() is None or "compiler" in find_device("genn").missing()


@pytest.mark.parametrize(
    ("compiler", "cards", "lacking"),
    [(None, [], "no compiler nvcc"), ("nvcc", [], "no graphics card (nvidia-smi)"), ("nvcc", ["a card"], None)],
)
def test_programs_for_a_graphics_card_need_one(monkeypatch, compiler, cards, lacking):
    monkeypatch.setattr(clock_genn, "what_is_missing", lambda: None)
    monkeypatch.setattr(clock_genn, "nvcc_path", lambda: compiler)
    monkeypatch.setattr(clock_genn, "graphics_cards", lambda: cards)
    assert find_device("genn").missing() is None
    prefs["brian_qif.genn_gpu"] = True
    try:
        said = f"There is {lacking} for GeNN; with prefs['brian_qif.genn_gpu'] = False it runs on the processor."
        assert find_device("genn").missing() == (None if lacking is None else said)
    finally:
        prefs["brian_qif.genn_gpu"] = False
