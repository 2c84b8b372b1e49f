"""Small perturbations grow in networks of QIF neurons and heal in those of LIF neurons

M. Monteforte and F. Wolf, Dynamical entropy production in spiking neuron networks in the balanced state,
Phys. Rev. Lett. 105, 268104 (2010), and Dynamic flux tubes form reservoirs of stability in neuronal circuits,
Phys. Rev. X 2, 041007 (2012).

Networks of theta neurons (QIF) are chaotic: the smallest perturbation grows exponentially. Networks of LIF neurons of
the same wiring are stable against small perturbations; those beyond a small size, the radius of a flux tube, make
trials part at once. In a sparse inhibitory network of each model one spike is heard later, by a nanosecond to ten
milliseconds, and the distance of the states from those of the unchanged trial is followed. The largest Lyapunov
exponent is read off the exact gradient: how fast the slope of a late state by the initial voltages grows with its time.

What differs from the papers: synaptic currents that decay instead of pulses, a frozen Poisson input instead of a
constant drive, 200 neurons, and a perturbed spike instead of a perturbed state.

    python docs/examples/Monteforte_2010.py --out FOLDER
"""

import argparse
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from brian2 import second

from brian_qif import SpikeGradient, StateLoss
from brian_qif.plotting.style import COLOURS
from brian_qif.protocols.balanced_network import build_balanced_network
from brian_qif.protocols.spike_perturbation import perturb_network

SIZES = tuple(float(f"{digit}e{power}") for power in range(-9, -2) for digit in (1, 3)) + (1e-2,)
# Courses are drawn of these.
SHOWN = (1e-9, 1e-7, 1e-5, 1e-4, 1e-3, 1e-2)
COLOUR = {"lif": COLOURS[1], "qif": COLOURS[0]}
NEURONS, DEGREE, INHIBITION = 200, 20, 4.0


def build(neuron, duration, seed):
    """The network of one model."""
    options = {"size": NEURONS, "degree": DEGREE, "inhibition": INHIBITION, "seed": seed}
    return build_balanced_network(neuron, duration=duration * second, **options)


def perturbations(neuron, duration, seed, repeats, folder):
    """Perturb the network; by size what became of it, by size and time how far apart the states are, the radius."""
    network = build(neuron, duration, seed)
    options = {"repeats": repeats, "sizes": SIZES, "distances": (), "about": {"neuron": neuron, "network": seed}}
    found = perturb_network(network, duration * second, "neurons", folder, **options)["found"]
    table = pd.DataFrame([row for row in found["by_layer"] if row["layer"] == "neurons"])
    courses = pd.read_csv(folder / "courses.csv")
    return table, courses[courses["response_layer"] == "neurons"], found["flux_tube_radius"].get("neurons")


def sensitivities(neuron, duration, seed):
    """Logarithms of the slope of the state at some times by the initial voltages, and their growth rate per second."""
    network = build(neuron, duration, seed)
    group = network["neurons"]
    direction = np.random.default_rng(seed).normal(size=len(group))
    times = np.linspace(0.1, 1, 19) * duration
    found = []
    for at in times:

        def along(currents):
            return float(currents[0] @ direction), direction[None]

        loss = StateLoss(group, "I", at * second, function=along)
        _, (by_voltage,) = SpikeGradient(network, loss, [group.v])(at * second)
        found.append(np.log(np.linalg.norm(by_voltage)))
    return times, np.array(found), np.polyfit(times, found, 1)[0]


def draw(found, path):
    """Courses of the distance above; shares that diverged and the slopes' growth below."""
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure = plt.figure(figsize=(9, 6.4), layout="constrained", dpi=90)
    panels = figure.subplot_mosaic([["lif", "qif"], ["share", "slope"]])
    for letter, panel in zip("abcd", panels.values(), strict=True):
        panel.set_title(letter, loc="left", fontweight="bold", x=-0.12)
    panels["qif"].sharey(panels["lif"])
    for neuron in found:
        draw_courses(panels[neuron], neuron, found[neuron]["courses"])
        draw_share(panels["share"], neuron, found[neuron]["table"], found[neuron]["radius"])
        draw_slopes(panels["slope"], neuron, *found[neuron]["slopes"])
    panels["lif"].set_ylabel("Distance of the states (r.m.s.)")
    colours = figure.colorbar(size_colours(), ax=panels["qif"], label="Spike heard later by (s)", pad=0.02)
    colours.set_ticks(np.log10(SHOWN), labels=[f"$10^{{{round(np.log10(size))}}}$" for size in SHOWN])
    panels["share"].set(xscale="log", xlabel="Spike heard later by (s)", ylabel="Share of trials that diverged")
    panels["share"].legend(frameon=False)
    panels["slope"].set(xlabel="Time of the state (s)", ylabel="log of its slope by initial voltages")
    panels["slope"].legend(frameon=False)
    figure.savefig(path)
    plt.close(figure)


def size_colours():
    """Colours of the sizes of perturbations."""
    low, high = np.log10(SHOWN[0]), np.log10(SHOWN[-1])
    return plt.cm.ScalarMappable(plt.Normalize(low - 1, high + 1), "plasma")


def draw_courses(panel, neuron, courses):
    """The median distance over the time since the perturbation, with its quartiles, a colour per size."""
    colours = size_colours()
    for size in SHOWN:
        own = courses[np.isclose(courses["size"], size, atol=0) & (courses["median"] > 0)]
        colour = colours.to_rgba(np.log10(size))
        panel.fill_between(own["lag"], own["lower_quartile"], own["upper_quartile"], color=colour, alpha=0.15, lw=0)
        panel.plot(own["lag"], own["median"], color=colour, linewidth=1.5)
    panel.set(yscale="log", ylim=(1e-13, 1), xlim=(0, courses["lag"].max()), xlabel="Time since the perturbation (s)")
    panel.set_title(f"{neuron.upper()} neurons", fontsize=9.5)


def draw_share(panel, neuron, table, radius):
    """The share of trials that diverged, by size of the perturbation."""
    panel.plot(
        table["size"], table["diverged"].astype(float), "o-", color=COLOUR[neuron], markersize=3.5, label=neuron.upper()
    )
    if radius is not None:
        panel.axvline(radius, color=COLOUR[neuron], linestyle=":", linewidth=1.5)
        panel.text(radius / 1.4, 0.62, f"flux tube\n{radius:.1e} s", ha="right", color=COLOUR[neuron], fontsize=8.5)
    panel.set_ylim(-0.03, 1.05)


def draw_slopes(panel, neuron, times, slopes, rate):
    """The logarithm of the slope over time, and the line whose steepness is the Lyapunov exponent."""
    panel.plot(times, slopes, "o", color=COLOUR[neuron], markersize=3.5)
    label = f"{neuron.upper()}: exponent {rate:+.1f} / s"
    panel.plot(times, np.polyval(np.polyfit(times, slopes, 1), times), color=COLOUR[neuron], label=label)


def main():
    """Perturb, draw, and print what was found by size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=".", help="folder for Monteforte_2010.png and the studies (default: this one)")
    parser.add_argument("--seed", type=int, default=0, help="of the network and its input (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=40, help="perturbed spikes per size (default: %(default)s)")
    parser.add_argument("--duration", type=float, default=1.0, help="of a trial, in seconds (default: %(default)s)")
    given = parser.parse_args()
    started, folder, found = time.process_time(), Path(given.out), {}
    for neuron in ("lif", "qif"):
        table, courses, radius = perturbations(neuron, given.duration, given.seed, given.repeats, folder / neuron)
        slopes = sensitivities(neuron, given.duration, given.seed)
        found[neuron] = {"table": table, "courses": courses, "radius": radius, "slopes": slopes}
        columns = ["size", "diverged", "reconverged", "growth_rate_median", "distance_end_median"]
        print(neuron.upper())
        print(table[columns].to_string(index=False, float_format="{:.3g}".format))
        print("Flux-tube radius:", "none" if radius is None else f"{radius:.2g} s")
        print(f"Largest Lyapunov exponent, by the exact gradient: {slopes[2]:.1f} / s")
    draw(found, folder / "Monteforte_2010.png")
    print(f"{time.process_time() - started:.0f} s of processor time; drawn into '{folder / 'Monteforte_2010.png'}'")


if __name__ == "__main__":
    main()
