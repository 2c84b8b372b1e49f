"""The picture of the front page: all spikes of a neuron while one weight grows, with exact slopes.

Run it as ``python docs/scripts/front_picture.py picture.png``.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from brian2 import Network, SpikeGeneratorGroup, Synapses, ms, prefs

from brian_qif import SpikeFunctionLoss, SpikeGradient
from brian_qif.models import LIFGroup, QIFGroup

DURATION = 60 * ms
ARRIVALS = [2, 8, 14, 20, 29, 36, 44] * ms
SIGNS = [1.0, 0.8, -0.9, 1.0, -0.8, 1.2, -0.5]
# A unit of weight for each model, and the largest weight of the first input in these units.
MODELS = {"LIF": (LIFGroup, 4.0, 2.5), "QIF": (QIFGroup, 16.0, 2.5)}


def spikes_of(name):
    """A function of the first weight: all spike times in ms, and their slopes by that weight."""
    model, unit, _ = MODELS[name]
    stimulus = SpikeGeneratorGroup(len(SIGNS), range(len(SIGNS)), ARRIVALS)
    neuron = model(1, tau_m=20 * ms, tau_s=10 * ms)
    synapses = Synapses(stimulus, neuron, "w : 1", on_pre="I_post += w")
    synapses.connect()
    synapses.w = unit * np.array(SIGNS)
    network = Network(stimulus, neuron, synapses)
    wanted, found = [0], []

    def one_spike(t, i):
        found[:] = t
        return 0.0, np.arange(len(t)) == wanted[0]

    function, weights = SpikeGradient(network, SpikeFunctionLoss(neuron, one_spike), [synapses.w]).flat(DURATION)

    def spikes(weight, slopes=False):
        moved = np.array([weight, *weights[1:]])
        function(moved)
        times, by_weight = np.array(found) / 1e-3, []
        for k in range(len(times) if slopes else 0):
            wanted[0] = k
            by_weight.append(function(moved)[1][0] / 1e-3)
        return times, np.array(by_weight)

    return spikes


def draw():
    """A panel for each model; returns the figure."""
    prefs.codegen.target = "numpy"
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.1), sharey=True)
    for axis, (name, (_, unit, largest)) in zip(axes, MODELS.items(), strict=True):
        spikes = spikes_of(name)
        for weight in np.linspace(0, largest * unit, 800):
            times, _ = spikes(weight)
            axis.plot(np.full(len(times), weight), times, "k.", markersize=1)
        half = largest * unit / 40
        for weight in np.linspace(0, largest * unit, 9)[1:-1]:
            for time, slope in zip(*spikes(weight, slopes=True), strict=True):
                axis.plot(weight, time, "C1o", markersize=4)
                axis.plot([weight - half, weight + half], [time - half * slope, time + half * slope], "C1", linewidth=2)
        axis.axhline(DURATION / ms, color="gray", linewidth=1)
        axis.set(
            title=f"{name} neuron",
            xlabel="weight of the first input",
            xlim=(0, largest * unit),
            ylim=(0, DURATION / ms + 4),
        )
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("spike times (ms)")
    axes[1].text(axes[1].get_xlim()[1], DURATION / ms, "end of the trial", color="gray", va="bottom", ha="right")
    figure.tight_layout()
    return figure


if __name__ == "__main__":
    draw().savefig(sys.argv[1], dpi=150)
