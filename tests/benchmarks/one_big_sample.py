"""Seconds for one trial of a big feed-forward network with one and with two threads, forward and gradient.

Run it as ``python -m tests.benchmarks.one_big_sample 2000 4000``, with the numbers of inputs and of neurons in each of
two hidden layers; a tenth of all pairs is connected. The slopes of all weights are wanted. Trials in one sweep over all
neurons of a layer, in parts with one thread, and in parts with two take turns, and the medians of their times on the
clock and of the ratios within a turn are printed, with the largest difference between the slopes, relative to the
largest of them. The last line says what a second thread gains on this machine meanwhile where threads share nothing.
"""

import hashlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import brian_qif  # noqa: F401  (registers the backends)
from brian_qif.plan.network_plan import NetworkPlan, NeuronNode, Pathway, SourceNode
from brian_qif.solvers.partition import prepare_in_parts
from brian_qif.solvers.sweeps import Request, Seeds, Wanted, find_backend

DURATION = 0.1
DENSITY = 0.1
TURNS = 7
# Mean and spread of the sum of all weights that arrive at a neuron, for one to two spikes of each, and how many spikes
# each neuron before sends.
DRIVE = {"lif": (8.0, 2.5), "qif": (11.0, 3.5)}
SENT = (4.0, 1.3)


def network(kind: str, inputs: int, size: int, seed: int = 0) -> NetworkPlan:
    """Inputs with four spikes each, and two layers."""
    generator = np.random.default_rng(seed)
    times = np.sort(generator.uniform(0, 0.8 * DURATION, 4 * inputs))
    limits = {"threshold": 1.0, "reset": 0.0} if kind == "lif" else {}
    nodes = [SourceNode("stimulus", inputs, times, generator.integers(0, inputs, len(times)))]
    pathways = []
    mean, spread = DRIVE[kind]
    for layer, before in ((1, inputs), (2, size)):
        nodes.append(NeuronNode(f"layer {layer}", size, kind, 20e-3, 10e-3, np.zeros(size), np.zeros(size), **limits))
        pre, post = np.nonzero(generator.uniform(size=(before, size)) < DENSITY)
        arrivals = SENT[layer - 1] * DENSITY * before
        weights = spread / np.sqrt(arrivals) * generator.normal(size=len(pre)) + mean / arrivals
        pathways.append(Pathway(f"to {layer}", layer - 1, layer, before, pre, post, weights, np.zeros(len(pre))))
    return NetworkPlan(tuple(nodes), tuple(pathways))


def timed(prepared):
    """Seconds of a forward and of a reverse sweep, and their results."""
    started = time.perf_counter()
    record = prepared.forward(Request(DURATION))
    middle = time.perf_counter()
    seeds = Seeds(spike_times={2: np.cos(record.spike_times[2])})
    slopes = prepared.reverse(record, seeds, Wanted(frozenset({0, 1})))
    return middle - started, time.perf_counter() - middle, record, slopes


def measure(kind: str, inputs: int, size: int) -> str:
    """Time one network."""
    plan, backend = network(kind, inputs, size), find_backend("cpp")
    ways = {"one sweep": backend.prepare(plan)}
    ways |= {f"{n} thread{'s' * (n > 1)}": prepare_in_parts(plan, backend, n) for n in (1, 2)}
    results = {name: timed(prepared) for name, prepared in ways.items()}
    turns, alone = np.empty((TURNS, len(ways), 2)), np.empty(TURNS)
    for turn in range(TURNS):
        turns[turn] = [timed(prepared)[:2] for prepared in ways.values()]
        alone[turn] = gain_without_sharing()
    lines = [f"{kind} {inputs}-{size}-{size}, spikes per neuron " + spikes_per_neuron(results["one sweep"][2], size)]
    for n, name in enumerate(ways):
        forward, reverse = np.median(turns[:, n], axis=0)
        lines.append(
            f"  {name}: forward {forward:.3f} s, reverse {reverse:.3f} s, difference {difference(results, name):.1e}"
        )
    total = np.sum(turns, axis=2)
    for a, b in (("one sweep", "1 thread"), ("1 thread", "2 threads")):
        ratio = np.median(total[:, list(ways).index(a)] / total[:, list(ways).index(b)])
        lines.append(f"  {a} / {b}: {ratio:.2f}")
    lines.append(f"  threads that share nothing, 1 thread / 2 threads: {np.median(alone):.2f}")
    return "\n".join(lines)


def gain_without_sharing() -> float:
    """Seconds for two digests one after the other, per second for both side by side."""
    data = bytes(30_000_000)

    def seconds(run_all) -> float:
        started = time.perf_counter()
        list(run_all(lambda _: hashlib.sha256(data).digest(), range(2)))
        return time.perf_counter() - started

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(abs, range(2)))
        return seconds(map) / seconds(pool.map)


def spikes_per_neuron(record, size: int) -> str:
    return " and ".join(f"{len(times) / size:.1f}" for times in record.spike_times[1:])


def difference(results, name: str) -> float:
    """Of the slopes from those of one sweep."""
    own, other = results[name][3].weights, results["one sweep"][3].weights
    return max(np.max(np.abs(own[k] - other[k])) / np.max(np.abs(other[k])) for k in other)


if __name__ == "__main__":
    chosen = [int(argument) for argument in sys.argv[1:]] or [2000, 4000]
    for model in ("qif", "lif"):
        print(measure(model, *chosen), flush=True)
