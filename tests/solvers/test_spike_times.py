"""Spike times of the event-driven solver against an independent integrator."""

import numpy as np
import pytest

from brian_qif import EventSolver
from brian_qif.plan.reader import read_network
from tests.networks import DURATION, example
from tests.oracles import IntegratedNetwork

CASES = {
    "lif": ("lif", {}),
    "lif, equal time constants": ("lif", {"tau_s": "equal"}),
    "lif, slow current": ("lif", {"tau_s": "slow"}),
    "lif, recurrent": ("lif", {"recurrent": True, "delays": True}),
    "qif": ("qif", {}),
    "qif, recurrent": ("qif", {"recurrent": True}),
    "qif, recurrent with delays": ("qif", {"recurrent": True, "delays": True}),
}


@pytest.mark.parametrize("case", CASES)
def test_spike_times_agree_with_an_integrator(case, backend):
    from brian2 import ms

    kind, keywords = CASES[case]
    named = {"equal": 20 * ms, "slow": 35 * ms}
    keywords = {key: named.get(value, value) if isinstance(value, str) else value for key, value in keywords.items()}
    network = example(kind, **keywords)
    reading = read_network(network.network)
    node = reading.node(network.neurons)
    expected = IntegratedNetwork(reading.plan, float(DURATION)).run().spikes[node]
    spikes = EventSolver(backend).simulate(network.network, DURATION).spikes[network.neurons]
    assert len(expected) >= 8
    assert list(spikes.i) == [neuron for _, neuron in expected]
    np.testing.assert_allclose(np.asarray(spikes.t), [time for time, _ in expected], rtol=1e-11, atol=0)
