"""Seconds for a large sparse recurrent network, forward and gradient.

Run it as ``python -m tests.benchmarks.large_sparse 1000 10000``, with the numbers of neurons. Every neuron has 100
synapses onto random others, each with its own delay, and is driven by inputs of its own so that it fires about ten
times; the slopes of all weights and delays are wanted. One line per model with the numbers of spikes and synaptic
events, and the seconds of CPU time.
"""

import resource
import sys
import time

import numpy as np

import brian_qif  # noqa: F401  (registers the backends)
from brian_qif.plan.network_plan import NetworkPlan, NeuronNode, Pathway, SourceNode
from brian_qif.solvers.sweeps import Request, Seeds, Wanted, find_backend

DURATION = 1.0
SYNAPSES = 100
# Mean input weight per model, for about ten spikes per neuron.
DRIVE = {"lif": 1.55, "qif": 2.4}


def network(kind: str, size: int, seed: int = 0) -> NetworkPlan:
    """Random recurrent synapses of mean zero, and one input neuron with forty spikes for every neuron."""
    generator = np.random.default_rng(seed)
    times = np.sort(generator.uniform(0, DURATION, 40 * size))
    limits = {"threshold": 1.0, "reset": 0.0} if kind == "lif" else {}
    nodes = (
        SourceNode("stimulus", size, times, generator.integers(0, size, len(times))),
        NeuronNode("neurons", size, kind, 20e-3, 10e-3, np.zeros(size), np.zeros(size), **limits),
    )
    every = np.arange(size)
    own = Pathway("input", 0, 1, size, every, every, np.full(size, DRIVE[kind]), np.zeros(size))
    pre, post = np.repeat(every, SYNAPSES), generator.integers(0, size, size * SYNAPSES)
    weights, delays = 0.1 * generator.normal(size=len(pre)), generator.uniform(0.5e-3, 5e-3, len(pre))
    return NetworkPlan(nodes, (own, Pathway("recurrent", 1, 1, size, pre, post, weights, delays)))


def measure(kind: str, size: int) -> str:
    """Time one network."""
    plan = network(kind, size)
    started = time.process_time()
    prepared = find_backend("cpp").prepare(plan)
    ready = time.process_time()
    record = prepared.forward(Request(DURATION))
    forward = time.process_time()
    seeds = Seeds(spike_times={1: np.cos(record.spike_times[1])})
    slopes = prepared.reverse(record, seeds, Wanted(frozenset({0, 1}), frozenset({1})))
    done = time.process_time()
    spikes = len(record.spike_times[1])
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return (
        f"{kind} {size} neurons: {spikes / size:.1f} spikes each, {spikes * SYNAPSES:.2e} synaptic events; "
        f"prepare {ready - started:.2f} s, forward {forward - ready:.2f} s, reverse {done - forward:.2f} s, "
        f"gradient norm {np.linalg.norm(slopes.weights[1]):.3g}, peak memory {memory:.1f} GiB"
    )


if __name__ == "__main__":
    for argument in sys.argv[1:] or ["1000", "10000"]:
        for model in ("qif", "lif"):
            print(measure(model, int(argument)), flush=True)
