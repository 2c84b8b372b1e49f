"""Spikes learned, added and removed by the exact gradient

C. Klos and R.-M. Memmesheimer, Smooth exact gradient descent learning in spiking neural networks, arXiv:2309.14523:
the tasks with one neuron and with a recurrent network. QIF neurons lose and gain spikes at the end of the trial alone,
where nothing follows from them, so gradient descent can put every spike where it is wanted.

*One neuron.* It hears random inputs and two whose weights and times are learned. At first it is silent. Its first two
spikes are given targets; pseudospikes beyond the end of the trial carry the gradient until they enter. Then the second
target is moved beyond the end, and the spike leaves as it came.

*A recurrent network.* Ten neurons, driven by Poisson spikes, hear one another without delays. The weights between them
and their initial states are learned, so that two of them spike at given times and not in between.

What differs from the paper: `brian_qif` has pseudospikes for networks without feedback only. So the recurrent network
is simulated for half a trial longer, under the same drive, and spikes beyond its end are ordinary ones. Adam takes the
steps in both tasks; removal is shown for one neuron; numbers of inputs, rates and targets are ours.

    python docs/examples/Klos_2023.py --out FOLDER
"""

import argparse
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from brian2 import Network, SpikeGeneratorGroup, Synapses, ms, second
from matplotlib.ticker import LogLocator, NullFormatter

from brian_qif import Adam, EventSolver, SpikeFunctionLoss, SpikeGradient
from brian_qif.models import QIFGroup
from brian_qif.plotting.style import COLOURS

TAU_M, TAU_S, TRIAL = 10 * ms, 5 * ms, 100 * ms
END = TRIAL / ms

# One neuron: targets of its first two spikes, in ms, first for adding and then for removing.
ADDED, REMOVED = np.array([40.0, 75.0]), np.array([40.0, 105.0])
BACKGROUND = 20
# The recurrent network: its size, the targets of its first neurons in ms, and how long it is simulated.
SIZE, LONGER = 10, 1.5 * TRIAL
TARGETS = (np.array([18.0, 42.0, 60.0, 85.0]), np.array([30.0, 52.0, 74.0]))
RATE, EXCITATION, INHIBITION = 150.0, 1.5, -0.5


def synapses(source, target, weights, **pairs):
    """Synapses on the current, connected and with their weights."""
    made = Synapses(source, target, "w : 1", on_pre="I_post += w")
    made.connect(**pairs)
    made.w = weights
    return made


# -- one neuron --------------------------------------------------------------------------------------------------------


class SquaredDistance:
    """The squared distance of the first spikes from their targets, in ms**2, and its slope by every spike time.

    Beyond a target that lies beyond the end of the trial, any time will do.
    """

    def __init__(self):
        self.targets = ADDED
        self.seen = []

    def __call__(self, t, i):
        first = t[: len(self.targets)] / 1e-3
        self.seen.append(first)
        distance = first - self.targets
        distance[(self.targets > END) & (distance > 0)] = 0
        slopes = np.zeros(len(t))
        slopes[: len(first)] = 2 * distance / 1e-3
        return np.sum(distance**2), slopes


def learn_one_neuron(steps, seed):
    """A silent neuron gains two spikes within ``steps`` steps, and loses one within as many again."""
    generator = np.random.default_rng(seed)
    neuron = QIFGroup(1, tau_m=TAU_M, tau_s=TAU_S)
    fixed = SpikeGeneratorGroup(BACKGROUND, range(BACKGROUND), generator.uniform(0, END, BACKGROUND) * ms)
    learned = SpikeGeneratorGroup(2, [0, 1], [10, 90] * ms)
    background = synapses(fixed, neuron, generator.normal(0, 0.3, BACKGROUND))
    trained = synapses(learned, neuron, 0)
    network = Network(neuron, fixed, learned, background, trained)

    distance = SquaredDistance()
    loss = SpikeFunctionLoss(neuron, distance, pseudospikes=2)
    gradient = SpikeGradient(network, loss, [trained.w, learned.spike_time])
    weights, times = np.zeros(2), np.array([10.0, 90.0]) * 1e-3  # in seconds
    adam = Adam([0.05, 5e-4], bounds=[None, (0, float(TRIAL))])
    adam.prepare([2, 2])
    found = {"loss": [], "inputs": [], "stages": [trial_of_one(network, neuron, learned, times)]}
    for distance.targets in (ADDED, REMOVED):
        for _ in range(steps):
            value, (by_weight, by_time) = gradient(TRIAL)
            found["loss"].append(value)
            found["inputs"].append(times / 1e-3)
            # Slopes by spike times come in the order of time.
            by_input = np.empty(2)
            by_input[np.argsort(times, kind="stable")] = by_time
            weights, times = adam.step([weights, times], [np.asarray(by_weight), by_input])
            trained.w = weights
            learned.set_spikes([0, 1], times * second)
        found["stages"].append(trial_of_one(network, neuron, learned, times))
    return {**found, "spikes": np.array(distance.seen), "background": np.asarray(fixed.spike_time) / 1e-3}


def trial_of_one(network, neuron, learned, times):
    """Voltage, spikes and learned input times of a trial, in ms."""
    at = np.linspace(0, END, 1501)
    trajectory = EventSolver().simulate(network, TRIAL)
    voltage = trajectory.state(neuron, "v", at * ms)[:, 0]
    return at, voltage, trajectory.spikes[neuron].t / ms, times / 1e-3


# -- a recurrent network -----------------------------------------------------------------------------------------------


class RelativeDistance:
    """The mean squared distance of spikes from their targets, each over its time (plus 20 ms), and its slopes.

    A spike after the last target costs until it is a tenth of the trial beyond its end. A spike that is missing counts
    as one at the end of the simulation, without slope.
    """

    def __init__(self):
        self.seen = []

    def __call__(self, t, i):
        value, slopes = 0.0, np.zeros(len(t))
        self.seen.append([t[i == neuron] / 1e-3 for neuron in range(len(TARGETS))])
        count = sum(len(goals) for goals in TARGETS)
        for neuron, goals in enumerate(TARGETS):
            wanted = np.append(goals, 1.1 * END)
            own = np.flatnonzero(i == neuron)[: len(wanted)]
            spikes = np.append(t[own] / 1e-3, np.full(len(wanted) - len(own), LONGER / ms))
            distance = (spikes - wanted) / (wanted + 20)
            distance[-1] = min(distance[-1], 0)
            value += np.sum(distance**2) / count
            slopes[own] = (2 * distance / (wanted + 20) / count / 1e-3)[: len(own)]
        return value, slopes


def learn_recurrent_network(steps, seed):
    """Two neurons of ten learn to spike at given times."""
    generator = np.random.default_rng(seed)
    counts = generator.poisson(RATE * float(LONGER), 2 * SIZE)
    times = generator.uniform(0, LONGER / ms, counts.sum())
    sources = SpikeGeneratorGroup(2 * SIZE, np.repeat(np.arange(2 * SIZE), counts), times * ms)
    neurons = QIFGroup(SIZE, tau_m=TAU_M, tau_s=TAU_S)
    pairs = {"i": np.arange(2 * SIZE), "j": np.arange(2 * SIZE) % SIZE}
    drive = synapses(sources, neurons, np.repeat([EXCITATION, INHIBITION], SIZE), **pairs)
    among = synapses(neurons, neurons, 0, condition="i != j")
    network = Network(sources, neurons, drive, among)

    distance = RelativeDistance()
    gradient = SpikeGradient(network, SpikeFunctionLoss(neurons, distance), [among.w, neurons.v, neurons.I])
    adam = Adam(0.02)
    adam.prepare([len(among.w), SIZE, SIZE])
    found = {"loss": [], "stages": []}
    for step in range(steps + 1):
        value, slopes = gradient(LONGER)
        found["loss"].append(value)
        if step in (0, steps):
            spikes = gradient.trajectory.spikes[neurons]
            found["stages"].append((spikes.t / ms, np.asarray(spikes.i)))
        gradient.write(adam.step(gradient.values(), [np.asarray(slope) for slope in slopes]))
    return {**found, "spikes": distance.seen}


# -- the picture -------------------------------------------------------------------------------------------------------

SPIKE, INPUT, TARGET = COLOURS[0], COLOURS[1], COLOURS[2]


def draw(one, network, path):
    """One neuron in the upper half, the recurrent network in the lower."""
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure = plt.figure(figsize=(9, 7.6), layout="constrained", dpi=110)
    upper, lower = figure.subfigures(2, 1, height_ratios=[1.25, 1], hspace=0.05)
    for part, title in ((upper, "a   One neuron"), (lower, "b   A recurrent network")):
        part.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=10.5)
    places = [["before", "times"], ["added", "times"], ["removed", "loss"]]
    panels = upper.subplot_mosaic(places, width_ratios=[1.2, 1])
    titles = ("Before learning", "Two spikes added", "The second one removed")
    for name, title, stage, goals in zip(places, titles, one["stages"], (ADDED, ADDED, REMOVED), strict=True):
        draw_trial(panels[name[0]], title, stage, goals[goals < END], one["background"])
    panels["removed"].set_xlabel("Time (ms)")
    draw_course_of_one(panels["times"], one)
    draw_loss(panels["loss"], one["loss"], "Loss (ms²)")
    places = [["before", "after", "times"], ["before", "after", "loss"]]
    panels = lower.subplot_mosaic(places, width_ratios=[1, 1, 1.6])
    titles = ("Before learning", f"After {len(network['loss']) - 1} steps")
    for name, title, stage in zip(places[0], titles, network["stages"], strict=False):
        draw_raster(panels[name], title, *stage)
    panels["before"].set_ylabel("Neuron")
    draw_course_of_network(panels["times"], network["spikes"])
    draw_loss(panels["loss"], network["loss"], "Loss")
    figure.savefig(path)
    plt.close(figure)


def draw_trial(panel, title, stage, targets, background):
    """The voltage, which leaves the picture at every spike; inputs below, spikes and targets above."""
    at, voltage, spikes, inputs = stage
    panel.plot(at, np.where(np.abs(voltage) < 4, voltage, np.nan), color="0.25", linewidth=1.1)
    panel.vlines(spikes, 2.7, 4, color=SPIKE, linewidth=2.4)
    panel.plot(targets, np.full(len(targets), 4.7), "v", color=TARGET, markersize=6, clip_on=False)
    panel.vlines(background, -4.6, -3.9, color="0.65", linewidth=1)
    panel.vlines(inputs, -4.6, -3.3, color=INPUT, linewidth=2.4)
    panel.set(xlim=(0, END), ylim=(-4.6, 4), yticks=[-4, 0, 4], ylabel="Voltage")
    panel.set_title(title, loc="left", fontsize=9, y=1.08)


def draw_course_of_one(panel, one):
    """Spike times, learned input times and targets, step by step."""
    spikes, steps = one["spikes"], len(one["spikes"])
    half = steps // 2
    panel.axhspan(END, 145, color="0.91", linewidth=0)
    panel.text(steps, 142, "beyond the end of the trial ", ha="right", va="top", color="0.4", fontsize=8)
    for number, spike in enumerate(spikes.T):
        panel.plot(spike, color=SPIKE, linewidth=1.8, label="spikes" if number == 0 else None)
        for start, goal in ((0, ADDED[number]), (half, REMOVED[number])):
            panel.hlines(goal, start, start + half, color=TARGET, linestyle=":", linewidth=1.6)
    panel.plot(np.array(one["inputs"]), color=INPUT, linewidth=1.2)
    panel.plot([], [], color=INPUT, label="learned inputs")
    panel.plot([], [], ":", color=TARGET, label="targets")
    panel.set(ylabel="Time (ms)", ylim=(0, 145), xlim=(0, steps))
    panel.tick_params(labelbottom=False)
    panel.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), handlelength=1.5)


def draw_raster(panel, title, times, neurons):
    """Spikes of all neurons, targets behind those that have some."""
    for neuron, goals in enumerate(TARGETS):
        panel.vlines(goals, neuron - 0.5, neuron + 0.5, color=TARGET, linewidth=5, alpha=0.45)
    for neuron in range(SIZE):
        colour = SPIKE if neuron < len(TARGETS) else "0.35"
        panel.vlines(times[neurons == neuron], neuron - 0.4, neuron + 0.4, color=colour, linewidth=1.5)
    panel.set(xlim=(0, END), ylim=(SIZE - 0.4, -0.6), yticks=[0, SIZE - 1], xlabel="Time (ms)")
    panel.set_title(title, loc="left", fontsize=9)


def draw_course_of_network(panel, spikes):
    """Spike times of the first neuron, step by step."""
    steps = len(spikes)
    panel.axhspan(END, LONGER / ms, color="0.91", linewidth=0)
    times = np.concatenate([trial[0] for trial in spikes])
    counts = [len(trial[0]) for trial in spikes]
    panel.plot(np.repeat(np.arange(steps) + 1, counts), times, ".", color=SPIKE, markersize=1.6, rasterized=True)
    panel.hlines(TARGETS[0], 1, steps, color=TARGET, linestyle=":", linewidth=1.6)
    panel.set(xscale="log", xlim=(1, steps), ylim=(0, LONGER / ms), ylabel="Spikes of\nneuron 0 (ms)")
    panel.tick_params(labelbottom=False)


def draw_loss(panel, loss, label):
    """The loss, step by step, on the axis of the panel above."""
    steps = np.arange(len(loss)) + (label == "Loss")
    panel.plot(steps, loss, color="0.25", linewidth=1.3)
    panel.set(yscale="log", xlabel="Steps", ylabel=label, xlim=(steps[0], steps[-1] + 1))
    panel.yaxis.set_major_locator(LogLocator(numticks=5))
    panel.yaxis.set_minor_formatter(NullFormatter())
    if label == "Loss":
        panel.set(xscale="log", xlabel="Steps + 1")


def main():
    """Learn, draw, and print what was reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=".", help="folder for Klos_2023.png (default: this one)")
    parser.add_argument("--seed", type=int, default=0, help="of inputs and initial weights (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=2000, help="of the recurrent network (default: %(default)s)")
    parser.add_argument("--steps-one", type=int, default=400, help="of one neuron, each half (default: %(default)s)")
    given = parser.parse_args()
    started = time.process_time()
    one = learn_one_neuron(given.steps_one, given.seed)
    for title, number in (("added", given.steps_one - 1), ("removed", 2 * given.steps_one - 1)):
        print(f"One neuron, spike {title}: first two spikes at {one['spikes'][number].round(2)} ms")
    network = learn_recurrent_network(given.steps, given.seed)
    for neuron, goals in enumerate(TARGETS):
        spikes = network["spikes"][-1][neuron]
        print(f"Network, neuron {neuron}: spikes at {spikes[spikes < END].round(2)} ms, targets {goals} ms")
    print(f"Network, loss: {network['loss'][0]:.2g} at first, {network['loss'][-1]:.2g} at last")
    folder = Path(given.out)
    folder.mkdir(parents=True, exist_ok=True)
    draw(one, network, folder / "Klos_2023.png")
    print(f"{time.process_time() - started:.0f} s of processor time; drawn into '{folder / 'Klos_2023.png'}'")


if __name__ == "__main__":
    main()
