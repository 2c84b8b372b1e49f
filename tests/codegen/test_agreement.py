"""Generated C++ gives the numbers of the NumPy reference, to 1e-12."""

import numpy as np
import pytest
from brian2 import ms

from brian_qif import CrossEntropyLoss, EventSolver, SpikeGradient
from tests.networks import DURATION, example, smooth_loss


def both(case, loss, views):
    for backend in ("reference", "cpp"):
        gradient = SpikeGradient(case.network, loss, views, solver=EventSolver(backend))
        value, slopes = gradient(DURATION)
        yield value, slopes, gradient.trajectory.spikes[case.neurons]


def assert_close(found, expected, scale=None):
    scale = np.max(np.abs(np.asarray(expected)), initial=1e-30) if scale is None else scale
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-12, atol=1e-12 * scale)


@pytest.mark.parametrize("kind", ["lif", "qif"])
@pytest.mark.parametrize("wiring", [{}, {"recurrent": True}, {"recurrent": True, "delays": True}])
def test_spikes_and_slopes_agree(kind, wiring):
    case = example(kind, **wiring)
    reference, generated = both(case, smooth_loss(case.neurons), list(case.parameters.values()))
    assert len(reference[2].t) >= 8
    assert np.array_equal(reference[2].i, generated[2].i)
    assert_close(generated[2].t, reference[2].t)
    assert_close(generated[0], reference[0])
    for found, expected in zip(generated[1], reference[1], strict=True):
        assert_close(found, expected)


@pytest.mark.parametrize("kind", ["lif", "qif"])
@pytest.mark.parametrize("weight_time", [None, 30 * ms])
def test_a_weighted_average_and_its_slopes_agree(kind, weight_time):
    case = example(kind, recurrent=True, delays=True, readout=True)
    loss = CrossEntropyLoss(case.readout, label=2, weight_time=weight_time)
    reference, generated = both(case, loss, list(case.parameters.values()))
    assert_close(generated[0], reference[0])
    for found, expected in zip(generated[1], reference[1], strict=True):
        assert_close(found, expected)


@pytest.mark.parametrize("tau_s", [5.0, 20.0, 20.000001, 80.0])
def test_average_of_a_readout_for_any_time_constants(tau_s):
    from brian2 import Network, SpikeGeneratorGroup, Synapses

    from brian_qif.models import LeakyIntegratorGroup

    stimulus = SpikeGeneratorGroup(1, [0, 0, 0], [1, 1.001, 90] * ms)
    readout = LeakyIntegratorGroup(2, tau_m=20 * ms, tau_s=tau_s * ms)
    synapses = Synapses(stimulus, readout, "w : 1", on_pre="I_post += w")
    synapses.connect()
    synapses.w = [1, 2]
    network = Network(stimulus, readout, synapses)
    loss = CrossEntropyLoss(readout, label=0, weight_time=200 * ms)
    values = [
        SpikeGradient(network, loss, [synapses.w, stimulus.spike_time], solver=EventSolver(backend))(1000 * ms)
        for backend in ("reference", "cpp")
    ]
    assert_close(values[1][0], values[0][0])
    for found, expected in zip(values[1][1], values[0][1], strict=True):
        assert_close(found, expected)
