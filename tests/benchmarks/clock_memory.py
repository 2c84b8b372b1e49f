"""Peak memory of a clock-driven gradient on runtime, as a whole and in segments, in units of one number per step and
neuron.

Run it as ``python -m tests.benchmarks.clock_memory``. A group of LIF neurons that hear each other is stepped for a
number of steps; the memory is what Python and NumPy hold at most (tracemalloc), without what the objects take that are
made once. For each bound of the preference ``brian_qif.trajectory_memory``, given as a share of what the whole would
take, the number of segments, the peak over steps x neurons x 8 bytes, and the peak over the bound are printed.
"""

import tracemalloc

import numpy as np
from brian2 import Network, SpikeGeneratorGroup, Synapses, ms, prefs

from brian_qif import ClockSolver, SpikeFunctionLoss, SpikeGradient
from brian_qif.models import LIFGroup

NEURONS = 200
SHARES = (1, 4, 16)


def gradient_of(neurons: int) -> SpikeGradient:
    generator = np.random.default_rng(0)
    stimulus = SpikeGeneratorGroup(50, np.arange(2000) % 50, np.sort(generator.uniform(0, 900, 2000)) * ms)
    group = LIFGroup(neurons, tau_m=20 * ms, tau_s=5 * ms)
    synapses = Synapses(stimulus, group, "w : 1", on_pre="I_post += w")
    synapses.connect(p=0.2)
    synapses.w = generator.uniform(0, 0.6, len(synapses))
    loop = Synapses(group, group, "w : 1", on_pre="I_post += w", delay=2 * ms)
    loop.connect(p=0.05)
    loop.w = 0.1 * generator.normal(size=len(loop))
    loss = SpikeFunctionLoss(group, lambda t, i: (np.sum(t**2), 2 * t))
    return SpikeGradient(Network(stimulus, group, synapses, loop), loss, [synapses.w, loop.w], ClockSolver())


def measure(steps: int) -> None:
    gradient = gradient_of(NEURONS)
    duration = steps * 0.1 * ms
    prepared = gradient.solver.prepare(gradient.read().plan)
    whole = prepared._per_step() * steps
    for share in SHARES:
        prefs["brian_qif.trajectory_memory"] = bound = whole / share
        gradient(duration)
        tracemalloc.start()
        gradient(duration)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        segments = gradient.trajectory._record.history.stops.segments.count
        unit = 8 * steps * NEURONS
        print(
            f"{steps} steps, bound whole/{share}: {segments} segments, peak {peak / unit:.2f} numbers per step and "
            f"neuron, {peak / bound:.2f} of the bound",
            flush=True,
        )


if __name__ == "__main__":
    prefs.codegen.target = "numpy"
    for count in (1000, 4000):
        measure(count)
