"""CPU time of one forward and one reverse sweep of a 700-128-20 network, without the layers above the backend.

Run it as ``python -m tests.benchmarks.kernel_timing --kind qif``. It prints one JSON object with the quickest of
several samples (milliseconds of CPU) and the number of spikes per hidden neuron.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np

import brian_qif.codegen.backend  # noqa: F401  (registers the backend)
from brian_qif.plan.network_plan import NetworkPlan, NeuronNode, Pathway, SourceNode
from brian_qif.solvers.sweeps import Request, Seeds, Wanted, find_backend

INPUTS, HIDDEN, OUTPUTS, EVENTS, DURATION = 700, 128, 20, 8000, 1.0


def dense(name: str, source: int, target: int, weights: np.ndarray) -> Pathway:
    """All synapses from one node to another without delay; ``weights`` has a row per presynaptic neuron."""
    pre, post = (index.ravel() for index in np.indices(weights.shape))
    return Pathway(name, source, target, len(weights), pre, post, weights.ravel(), np.zeros(weights.size))


def feed_forward(kind: str, mean: float, seed: int = 0) -> NetworkPlan:
    """Inputs at uniform, distinct times onto hidden neurons of one kind and a leaky readout."""
    generator = np.random.default_rng(seed)
    times = np.sort(generator.uniform(0, DURATION, EVENTS))
    zeros = [np.zeros(size) for size in (HIDDEN, OUTPUTS)]
    limits = {"threshold": 1.0, "reset": 0.0} if kind == "lif" else {}
    nodes = (
        SourceNode("stimulus", INPUTS, times, generator.integers(0, INPUTS, EVENTS)),
        NeuronNode("hidden", HIDDEN, kind, 20e-3, 10e-3, zeros[0], zeros[0], **limits),
        NeuronNode("readout", OUTPUTS, "leaky", 20e-3, 10e-3, zeros[1], zeros[1]),
    )
    incoming = mean + 0.02 * generator.normal(size=(INPUTS, HIDDEN))
    pathways = (
        dense("incoming", 0, 1, incoming - np.mean(incoming, axis=0) + mean),
        dense("outgoing", 1, 2, generator.normal(size=(HIDDEN, OUTPUTS))),
    )
    return NetworkPlan(nodes, pathways)


def spikes_per_neuron(prepared) -> np.ndarray:
    return np.bincount(prepared.forward(Request(DURATION)).spike_units[1], minlength=HIDDEN)


def calibrated(backend, kind: str, target: float = 7.0):
    """A prepared network whose hidden neurons fire ``target`` spikes on average, by bisection of the mean weight."""
    low, high = 0.0, 0.05
    for _ in range(20):
        mean = (low + high) / 2
        prepared = backend.prepare(feed_forward(kind, mean))
        low, high = (low, mean) if np.mean(spikes_per_neuron(prepared)) > target else (mean, high)
    return prepared


def measure(backend, kind: str, repetitions: int) -> dict:
    """Milliseconds of CPU per sample, the smallest and the median of the repetitions."""
    prepared = calibrated(backend, kind)
    request = Request(DURATION, {2: 1 / 0.2})
    seeds = Seeds(averages={2: np.linspace(-1, 1, OUTPUTS)})
    wanted = Wanted(weights=frozenset({0, 1}))
    forward, reverse = [], []
    for _ in range(repetitions):
        begin = time.process_time()
        record = prepared.forward(request)
        middle = time.process_time()
        slopes = prepared.reverse(record, seeds, wanted)
        forward.append(1e3 * (middle - begin))
        reverse.append(1e3 * (time.process_time() - middle))
    spikes = spikes_per_neuron(prepared)
    return {
        "kind": kind,
        "forward_ms": min(forward),
        "reverse_ms": min(reverse),
        "gradient_ms": min(forward) + min(reverse),
        "gradient_median_ms": float(np.median(np.add(forward, reverse))),
        "spikes": [int(spikes.min()), float(spikes.mean()), int(spikes.max())],
        "largest_slope": float(np.max(np.abs(slopes.weights[0]))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=("lif", "qif"), default="qif")
    parser.add_argument("--backend", choices=("cpp", "reference"), default="cpp")
    parser.add_argument("--repetitions", type=int, default=60)
    options = parser.parse_args()
    sys.stdout.write(
        json.dumps(measure(find_backend(options.backend), options.kind, options.repetitions), indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
