"""Layers whose neurons hear none of each other, and averages of readouts: the fast ways through them."""

import os
import platform
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from brian_qif.plan.network_plan import NetworkPlan, NeuronNode, Pathway, SourceNode
from brian_qif.solvers.sweeps import Request, Wanted, find_backend
from tests.codegen.plans import (
    DURATION,
    assert_same,
    assert_same_slopes,
    everything,
    loss_and_seeds,
    neurons,
    pathway,
)


def layers(kind: str, ratio: float, coincide: bool, delays: str = "none") -> NetworkPlan:
    """Inputs, two layers and a readout; much arrives at few times, so that neurons spike in between by themselves.

    ``ratio`` is tau_m/tau_s of linear neurons; 2 has a closed form of the spike time.
    """
    generator = np.random.default_rng(3)
    times = np.repeat([2e-3, 20e-3, 60e-3], 12) if coincide else np.sort(generator.uniform(0, 0.07, 36))
    first = neurons("first", kind, 20, generator, tau_s=20e-3 / ratio)
    second = neurons("second", kind, 5, generator, tau_s=20e-3 / ratio)
    # Two groups of time constants, so that nothing is shared by all neurons.
    slower = np.where(np.arange(5) % 2 == 0, 1.0, 1.25)
    second = replace(second, tau_m=second.tau_m * slower, tau_s=second.tau_s * slower)
    nodes = (
        SourceNode("stimulus", 12, times, np.arange(36) % 12),
        first,
        second,
        neurons("readout", "leaky", 3, generator, tau_s=10e-3),
    )
    links = [("in", 0, 1, 12, 20, 1.2), ("on", 1, 2, 20, 5, 0.6), ("out", 2, 3, 5, 3, 1.0)]
    pathways = tuple(pathway(name, a, b, (m, n), w, generator, 1.0, delays) for name, a, b, m, n, w in links)
    return NetworkPlan(nodes, pathways)


def gradient(backend, plan, models, rate=20.0):
    prepared = find_backend(backend).prepare(plan)
    record = prepared.forward(Request(DURATION, averages={3: rate}))
    value, seeds = loss_and_seeds(record)
    wanted = everything(plan)
    wanted = Wanted(wanted.weights, wanted.delays, wanted.spike_times, wanted.initial, frozenset(models))
    return value, prepared.reverse(record, seeds, wanted), record


def spikes_of_one_neuron_in_one_step(record):
    """The most that one has between two times at which anything arrives at the first layer."""
    edges = [0, *np.unique(record.spike_times[0]), DURATION]
    times, units = record.spike_times[1], record.spike_units[1]
    return max(np.max(np.histogram(times[units == n], edges)[0]) for n in range(20))


@pytest.mark.parametrize("models", [(), (1, 2, 3)])
@pytest.mark.parametrize("delays", ["none", "each"])
@pytest.mark.parametrize("coincide", [True, False])
@pytest.mark.parametrize(("kind", "ratio"), [("lif", 2.0), ("lif", 4.0), ("qif", 2.0)])
def test_layers_agree_with_the_reference(kind, ratio, coincide, delays, models):
    plan = layers(kind, ratio, coincide, delays)
    (value, slopes, record), (other_value, others, other) = (
        gradient(backend, plan, models) for backend in ("cpp", "reference")
    )
    if coincide and delays == "none" and kind == "lif":  # what these cases are about; QIF steps are cut between spikes
        assert spikes_of_one_neuron_in_one_step(other) >= 2
    assert len(other.spike_times[1]) > 20 and len(other.spike_times[2]) > 3
    assert_same(value, other_value)
    for k in (1, 2):
        assert np.array_equal(record.spike_units[k], other.spike_units[k])
        assert_same(record.spike_times[k], other.spike_times[k])
    assert_same(record.averages[3], other.averages[3])
    assert set(others.models) == set(models)
    assert_same_slopes(slopes, others)


def test_a_reverse_sweep_can_be_repeated_with_and_without_slopes_of_the_readout_itself():
    plan = layers("qif", 2.0, False)
    prepared = find_backend("cpp").prepare(plan)
    record = prepared.forward(Request(DURATION, averages={3: 20.0}))
    _, seeds = loss_and_seeds(record)
    wanted = everything(plan)
    plain = Wanted(wanted.weights, frozenset(), frozenset(), frozenset(), frozenset())
    first = prepared.reverse(record, seeds, plain).weights[2]
    every = Wanted(wanted.weights, wanted.delays, wanted.spike_times, wanted.initial, frozenset({3}))
    whole = prepared.reverse(record, seeds, every)
    last = prepared.reverse(record, seeds, plain).weights[2]
    assert_same(whole.weights[2], first)
    assert_same(last, first)
    assert np.any(whole.models[3].tau_m != 0)


def test_twins_spike_at_the_same_time_and_in_their_order():
    node = NeuronNode("twins", 6, "lif", 20e-3, 10e-3, np.zeros(6), np.zeros(6), threshold=1.0, reset=0.0)
    times = np.array([1e-3, 30e-3])
    weights = np.array([9.0, 7.0, 9.0, 7.0, 9.0, 7.0] * 2)
    to = Pathway("w", 0, 1, 2, np.repeat([0, 1], 6), np.tile(np.arange(6), 2), weights, np.zeros(12))
    plan = NetworkPlan((SourceNode("stimulus", 2, times, np.array([0, 1])), node), (to,))
    record = find_backend("cpp").prepare(plan).forward(Request(DURATION))
    spikes, units = record.spike_times[1], record.spike_units[1]
    assert np.all(np.diff(spikes) >= 0)
    trains = [spikes[units == n] for n in range(6)]
    assert len(trains[0]) >= 4 and len(trains[1]) >= 3
    for n in range(6):
        assert np.array_equal(trains[n], trains[n % 2])
    assert list(units[:3]) == [0, 2, 4]


@pytest.mark.parametrize("strength", [1.3, 2.0, 9.0, -5.0])
def test_the_closed_form_of_a_spike_time_is_the_limit_of_other_time_constants(strength):
    found = []
    for tau_s in (10e-3, 10e-3 * (1 + 1e-9)):
        node = NeuronNode("one", 1, "lif", 20e-3, tau_s, np.zeros(1), np.array([0.3]), threshold=0.2, reset=-0.1)
        to = Pathway("w", 0, 1, 1, np.array([0]), np.array([0]), np.array([strength]), np.zeros(1))
        plan = NetworkPlan((SourceNode("stimulus", 1, np.array([5e-3]), np.array([0])), node), (to,))
        found.append(find_backend("cpp").prepare(plan).forward(Request(DURATION)).spike_times[1])
    assert len(found[0]) == len(found[1]) and (len(found[0]) >= 1 or strength < 0)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-7)


@pytest.mark.parametrize("size", [1e-200, 1e-3, 1.0, 1e3, 1e200])
def test_the_closed_form_of_a_spike_time_knows_no_unit(size):
    """Voltages, threshold and weights in any unit give the same times, the exact one among them."""
    # v = 5 size (x - x^2) with x = exp(-t/tau_m) is at its threshold of 0.8 size where x = 0.8.
    node = NeuronNode("one", 1, "lif", 20e-3, 10e-3, np.zeros(1), np.zeros(1), threshold=0.8 * size, reset=-10 * size)
    to = Pathway("w", 0, 1, 1, np.array([0]), np.array([0]), np.array([5.0 * size]), np.zeros(1))
    plan = NetworkPlan((SourceNode("stimulus", 1, np.array([5e-3]), np.array([0])), node), (to,))
    spikes = find_backend("cpp").prepare(plan).forward(Request(DURATION)).spike_times[1]
    np.testing.assert_allclose(spikes, [5e-3 - 20e-3 * np.log(0.8)], rtol=1e-14)


MEMORY = "from brian_qif.codegen.memory import keep_freed_memory; print(keep_freed_memory())"


@pytest.mark.parametrize(("name", "value"), [("MALLOC_TRIM_THRESHOLD_", "131072"), ("GLIBC_TUNABLES", "")])
def test_what_the_environment_says_of_malloc_stays(name, value):
    environment = {key: text for key, text in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_"))}
    changed = subprocess.run([sys.executable, "-c", MEMORY], env=environment | {name: value}, capture_output=True)
    assert changed.stdout.strip() == b"False", changed.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_freed_memory_is_kept_for_the_next_trial():
    environment = {key: text for key, text in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_"))}
    kept = subprocess.run([sys.executable, "-c", MEMORY], env=environment, capture_output=True)
    assert kept.stdout.strip() == str(platform.libc_ver()[0] == "glibc").encode(), kept.stderr
