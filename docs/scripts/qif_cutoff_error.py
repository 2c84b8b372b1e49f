"""Error of clock-driven QIF neurons with a cut-off, against exact spike times; prints the table of docs/models.md."""

import numpy as np
import pandas as pd
from brian2 import Network, SpikeGeneratorGroup, SpikeMonitor, Synapses, ms

from brian_qif import EventSolver
from brian_qif.models import QIFGroup

NEURONS, INPUTS, DURATION, WEIGHT = 20, 20, 200 * ms, 5.0


def spike_time_errors(step, cut_off, seed=0):
    """Reported minus exact spike times (ms) of neurons with the right number of spikes, and both numbers of spikes."""
    generator = np.random.default_rng(seed)
    # On the grid of 0.1 ms and its halves, so that all steps see the same input.
    times = np.sort(generator.uniform(0, 150, INPUTS)).round(1) * ms + step / 1000
    stimulus = SpikeGeneratorGroup(INPUTS, np.arange(INPUTS), times, dt=step)
    neurons = QIFGroup(NEURONS, tau_m=20 * ms, tau_s=10 * ms, v_cut=cut_off, dt=step)
    synapses = Synapses(stimulus, neurons, "w : 1", on_pre="I_post += w", dt=step)
    synapses.connect()
    synapses.w = WEIGHT * generator.normal(0.4, 1, NEURONS * INPUTS)
    monitor = SpikeMonitor(neurons)
    network = Network(stimulus, neurons, synapses, monitor)
    exact = EventSolver().simulate(network, DURATION).spikes[neurons]
    network.run(DURATION)
    errors = []
    for n in range(NEURONS):
        reported, true = np.asarray(monitor.t)[np.asarray(monitor.i) == n], np.asarray(exact.t)[exact.i == n]
        if len(reported) == len(true):
            errors.append((reported - true) * 1e3)
    return errors, len(monitor.t), len(exact.t)


def table():
    """One row per cut-off and step."""
    rows = []
    for cut_off in (30, 100, 300, 1000):
        for step in (0.1, 0.05, 0.025):
            errors, reported, true = spike_time_errors(step * ms, cut_off)
            flat = np.concatenate(errors)
            rows.append(
                {
                    "v_cut": cut_off,
                    "dt (ms)": step,
                    "spikes": reported,
                    "exact": true,
                    "shift (ms)": flat.mean(),
                    "spread (ms)": flat.std(),
                    "shift, 1st spike": np.mean([e[0] for e in errors if len(e) > 0]),
                    "shift, 5th spike": np.mean([e[4] for e in errors if len(e) > 4]),
                }
            )
    return pd.DataFrame(rows).to_string(index=False, float_format=lambda x: f"{x:.3f}")


if __name__ == "__main__":
    print(table())
