"""Slopes by what a neuron has long forgotten have their own relative accuracy, not that of what it remembers."""

import numpy as np
import pytest

from brian_qif.codegen import backend as cpp
from brian_qif.plan.network_plan import NetworkPlan, NeuronNode, Pathway, SourceNode
from brian_qif.solvers.sweeps import Request, Seeds, Wanted, find_backend
from tests.multiprecision import MultiprecisionNetwork

PAUSE = 0.5  # 25 time constants of 20 ms
CASES = {
    "closed form": (10e-3, "reference"),
    "series": (7e-3, "reference"),
    "generated code": (10e-3, "cpp"),
    "generated code, sparse sweep": (10e-3, "cpp"),
}


def plan_with_a_pause(tau_s, size=1):
    """One input after a long pause makes the neurons spike; the slope by the input before it is about exp(-25)."""
    group = NeuronNode("neurons", size, "qif", 20e-3, tau_s, np.zeros(size), np.zeros((1, size)))
    times = np.array([2e-3, *(PAUSE + np.linspace(0, 3e-3, 40))])
    stimulus = SourceNode("stimulus", len(times), times, np.arange(len(times)))
    pre, post = np.divmod(np.arange(len(times) * size), size)
    weights = np.where(pre == 0, 0.7, 0.4)
    return NetworkPlan((stimulus, group), (Pathway("input", 0, 1, len(times), pre, post, weights, np.zeros(len(pre))),))


@pytest.mark.parametrize("case", CASES)
def test_slopes_by_forgotten_input_are_exact_up_to_rounding(case, monkeypatch):
    if "sparse" in case:
        monkeypatch.setattr(cpp, "SPARSE_FACTOR", 0.0)
    tau_s, backend = CASES[case]
    plan = plan_with_a_pause(tau_s)
    duration = PAUSE + 0.06
    prepared = find_backend(backend).prepare(plan)
    record = prepared.forward(Request(duration))
    exact = MultiprecisionNetwork(plan, duration)
    spikes = exact.spikes()
    name = max(spikes)
    assert len(record.spike_times[1]) == len(spikes)
    seed = np.zeros(len(spikes))
    seed[-1] = 1.0
    slopes = prepared.reverse(record, Seeds({1: seed}), Wanted(frozenset({0})))
    expected = exact.slopes(("weights", 0), spikes)[name]
    assert 0 < abs(float(expected[0])) < 1e-8 * abs(float(expected[-1]))
    assert float(abs(slopes.weights[0][0] / expected[0] - 1)) < 1e-12
