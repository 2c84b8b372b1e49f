"""Large sparse networks: neurons with local times and a queue give what the sweep over all neurons gives."""

import numpy as np
import pytest

from brian_qif.codegen import backend as cpp
from brian_qif.plan.network_plan import NetworkPlan, Pathway, SourceNode
from brian_qif.solvers.sweeps import Request, Wanted, find_backend
from tests.codegen.plans import (
    DURATION,
    assert_same,
    assert_same_slopes,
    everything,
    loss_and_seeds,
    mixed_network,
    neurons,
)


def gradient(backend, plan):
    prepared = find_backend(backend).prepare(plan)
    record = prepared.forward(Request(DURATION))
    value, seeds = loss_and_seeds(record)
    wanted = everything(plan)
    spiking = frozenset(k for k in wanted.initial if plan.nodes[k].spikes)
    wanted = Wanted(wanted.weights, wanted.delays, wanted.spike_times, wanted.initial, spiking)
    return value, prepared.reverse(record, seeds, wanted), record


@pytest.fixture
def always_sparse(monkeypatch):
    monkeypatch.setattr(cpp, "SPARSE_FACTOR", 0.0)


@pytest.mark.parametrize("delays", ["none", "one", "each"])
@pytest.mark.parametrize("coincide", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_local_times_agree_with_the_reference(seed, coincide, delays, always_sparse):
    plan = mixed_network(seed, delays, coincide)
    (value, slopes, record), (expected_value, expected_slopes, expected) = (
        gradient(backend, plan) for backend in ("cpp", "reference")
    )
    assert len(expected.spike_times[1]) >= 3 and len(expected.spike_times[2]) >= 9
    assert_same(value, expected_value)
    for k in range(len(plan.nodes)):
        assert np.array_equal(record.spike_units[k], expected.spike_units[k])
        assert_same(record.spike_times[k], expected.spike_times[k])
    assert_same_slopes(slopes, expected_slopes)


def sparse_network(kind: str, size: int, targets: int, seed: int = 0) -> NetworkPlan:
    """A random network of one group that goes on by itself for a while, each synapse with its own delay."""
    generator = np.random.default_rng(seed)
    times = np.sort(generator.uniform(0, DURATION, 4 * size))
    nodes = (
        SourceNode("stimulus", size, times, generator.integers(0, size, len(times))),
        neurons("neurons", kind, size, generator),
    )
    pathways = []
    for source, strength in ((0, 1.2), (1, 0.15)):
        pre, post = np.repeat(np.arange(size), targets), generator.integers(0, size, size * targets)
        weights = strength * generator.normal(0.3, 1, len(pre))
        delays = generator.uniform(0.5e-3, 5e-3, len(pre))
        pathways.append(Pathway(f"from {source}", source, 1, size, pre, post, weights, delays))
    return NetworkPlan(nodes, tuple(pathways))


@pytest.mark.parametrize("kind", ["lif", "qif"])
def test_a_large_sparse_network_is_solved_neuron_by_neuron(kind, monkeypatch):
    plan = sparse_network(kind, 400, 8)
    results = []
    for factor in (cpp.SPARSE_FACTOR, 1e9):
        monkeypatch.setattr(cpp, "SPARSE_FACTOR", factor)
        results.append(gradient("cpp", plan))
    (value, slopes, record), (other_value, other, other_record) = results
    assert len(record.spike_times[1]) > 400
    assert np.array_equal(record.spike_units[1], other_record.spike_units[1])
    assert value == pytest.approx(other_value, rel=1e-12)
    # The arithmetic is another one: two ways, and the same slopes but not the same bits.
    assert not np.array_equal(slopes.weights[1], other.weights[1])
    scale = np.max(np.abs(other.weights[1]))
    np.testing.assert_allclose(slopes.weights[1], other.weights[1], rtol=0, atol=1e-9 * scale)


def test_spikes_of_neurons_with_local_times_come_in_order():
    record = find_backend("cpp").prepare(sparse_network("qif", 1000, 4)).forward(Request(DURATION))
    assert len(record.spike_times[1]) > 400
    assert np.all(np.diff(record.spike_times[1]) >= 0)
