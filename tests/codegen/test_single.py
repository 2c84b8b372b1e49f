"""Single precision: the numbers of double precision to some 1e-7 times the sensitivity, and what it refuses.

How exact it is, in units of eps kappa, is asked in tests/solvers/test_accuracy.py.
"""

import numpy as np
import pytest
from brian2 import Network, SpikeGeneratorGroup, Synapses, ms

from brian_qif import CrossEntropyLoss, EventSolver, SpikeFunctionLoss, SpikeGradient, check_gradient
from brian_qif.models import LIFGroup, QIFGroup
from brian_qif.solvers.sweeps import Request, find_backend
from tests.codegen.plans import DURATION, everything, loss_and_seeds, mixed_network
from tests.networks import DURATION as LONG
from tests.networks import example, smooth_loss


def slopes_of(plan, dtype):
    prepared = find_backend("cpp").prepare(plan, dtype)
    record = prepared.forward(Request(DURATION, {3: 5.0}, {1: np.array([0.01, 0.03]), 2: np.array([0.02])}))
    _, seeds = loss_and_seeds(record)
    seeds.samples[1] = np.ones((2, 2, 5))
    slopes = prepared.reverse(record, seeds, everything(plan))
    named = {("weight", k): x for k, x in slopes.weights.items()} | {("delay", k): x for k, x in slopes.delays.items()}
    named |= {("time", k): x for k, x in slopes.spike_times.items()}
    named |= {("v", k): v for k, (v, _) in slopes.initial.items()}
    return record, named | {("I", k): current for k, (_, current) in slopes.initial.items()}


@pytest.mark.parametrize("delays", ["none", "one", "each"])
@pytest.mark.parametrize("coincide", [False, True])
def test_all_slopes_of_a_mixed_network(delays, coincide):
    plan = mixed_network(3, delays, coincide)
    (double, expected), (single, found) = slopes_of(plan, "float64"), slopes_of(plan, "float32")
    assert min(len(double.spike_times[k]) for k in (1, 2)) > 10
    for k in (1, 2):
        assert np.array_equal(double.spike_units[k], single.spike_units[k])
        np.testing.assert_allclose(single.spike_times[k], double.spike_times[k], rtol=2e-4)
    np.testing.assert_allclose(single.averages[3], double.averages[3], rtol=1e-3)
    differs = 0
    for key, slopes in expected.items():
        gap, scale = np.max(np.abs(found[key] - slopes), initial=0), np.max(np.abs(slopes), initial=1e-30)
        assert gap <= 2e-3 * scale, key
        differs += gap > 1e-12 * scale
    assert differs > 3  # or it was double precision all the same


@pytest.mark.parametrize("kind", ["lif", "qif"])
def test_slopes_by_parameters_of_each_neuron(kind):
    case = example(kind, recurrent=True, delays=True, readout=True)
    loss = CrossEntropyLoss(case.readout, label=2, weight_time=30 * ms)
    names = ("tau_m", "tau_s", "v_th") if kind == "lif" else ()
    views = [*((case.neurons, name) for name in names), case.synapses.w, case.synapses.delay]
    found = [SpikeGradient(case.network, loss, views, solver=EventSolver("cpp", dtype=d))(LONG) for d in (float, "f4")]
    (value, expected), (other, slopes) = found
    assert other == pytest.approx(value, rel=1e-4)
    for own, of in zip(slopes, expected, strict=True):
        assert np.max(np.abs(np.asarray(own) - np.asarray(of))) <= 1e-3 * np.max(np.abs(np.asarray(of)))


def sparse_loop(dtype):
    """Two thousand neurons with few synapses each, which are swept one by one."""
    generator = np.random.default_rng(1)
    stimulus = SpikeGeneratorGroup(50, np.arange(200) % 50, np.sort(generator.uniform(0, 60, 200)) * ms)
    neurons = QIFGroup(2000, tau_m=20 * ms, tau_s=10 * ms)
    neurons.I = generator.uniform(0, 2.6, 2000)
    forth, loop = (Synapses(source, neurons, "w : 1", on_pre="I_post += w") for source in (stimulus, neurons))
    forth.connect(i=np.repeat(np.arange(50), 10), j=generator.integers(0, 2000, 500))
    loop.connect(i=np.repeat(np.arange(2000), 5), j=generator.integers(0, 2000, 10000))
    forth.w, loop.w = 3.0, generator.normal(0, 0.2, 10000)
    loop.delay = "1*ms"
    loss = SpikeFunctionLoss(neurons, lambda t, i: (np.sum(t), np.ones_like(t)))
    gradient = SpikeGradient(
        Network(stimulus, neurons, forth, loop), loss, [forth.w, loop.w], solver=EventSolver("cpp", dtype=dtype)
    )
    return *gradient(80 * ms), len(gradient.trajectory.spikes[neurons].t)


def test_a_sparse_network():
    value, slopes, count = sparse_loop("float64")
    other, found, other_count = sparse_loop("float32")
    assert count > 300 and other_count == count
    assert other == pytest.approx(value, rel=1e-4)
    # A few neurons come close to their unstable point, where digits are lost; the sum of squares is of all.
    for own, of in zip(found, slopes, strict=True):
        assert np.linalg.norm(np.asarray(own) - np.asarray(of)) <= 0.02 * np.linalg.norm(np.asarray(of))


@pytest.mark.parametrize("group", [LIFGroup, QIFGroup])
def test_a_long_silence_and_small_numbers_elsewhere(group):
    """After hundreds of time constants a current is far below the range of single precision; nobody else notices."""
    stimulus = SpikeGeneratorGroup(1, [0, 0, 0, 0], [1, 2, 9001, 9002] * ms)
    neurons = group(1, tau_m=20 * ms, tau_s=10 * ms)
    synapses = Synapses(stimulus, neurons, "w : 1", on_pre="I_post += w")
    synapses.connect()
    synapses.w = 6
    loss = SpikeFunctionLoss(neurons, lambda t, i: (np.sum(t), np.ones_like(t)))
    found = []
    for dtype in ("float64", "float32"):
        gradient = SpikeGradient(
            Network(stimulus, neurons, synapses), loss, [synapses.w], solver=EventSolver("cpp", dtype=dtype)
        )
        value, slopes = gradient(10000 * ms)
        found.append((value, slopes[0][0], len(gradient.trajectory.spikes[neurons].t)))
        assert np.float64(1e-310) * 0.5 == 5e-311  # the processor rounds small numbers as before
    (value, slope, count), (other, other_slope, other_count) = found
    assert count == other_count >= 2
    assert other == pytest.approx(value, rel=1e-6)
    assert other_slope == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize("wrong", ["float16", "double precision", None, int])
def test_no_other_precision(wrong):
    with pytest.raises(ValueError, match="'float64' or 'float32'"):
        EventSolver(dtype=wrong)


def test_what_single_precision_cannot_do_is_refused():
    with pytest.raises(ValueError, match="double precision alone"):
        EventSolver(numeric=True, dtype="float32")
    case = example("lif")
    loss = smooth_loss(case.neurons)
    with pytest.raises(NotImplementedError, match="take dtype='float64'"):
        SpikeGradient(case.network, loss, [case.synapses.w], solver=EventSolver("reference", dtype="float32"))
    lifted = example("lif", method="rk4")
    lifted.network.add(Synapses(lifted.stimulus, lifted.neurons, on_pre="v_post += 0.1", name="at_once"))
    lifted.network["at_once"].connect()
    automatic = EventSolver("auto", dtype="float32")
    with pytest.raises(NotImplementedError, match="act on the voltage.*dtype='float64'"):
        SpikeGradient(lifted.network, smooth_loss(lifted.neurons), [lifted.synapses.w], solver=automatic)
    single = SpikeGradient(case.network, loss, [case.synapses.w], solver=EventSolver(dtype="float32"))
    with pytest.raises(ValueError, match="mostly rounding"):
        check_gradient(single, LONG)
    assert "single precision" in repr(single.solver)
