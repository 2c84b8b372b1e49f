"""LIF and QIF networks learn spoken digits; the loss of one jumps, that of the other does not

C. Wenig, R.-M. Memmesheimer and C. Klos, arXiv:2606.03935: networks of QIF neurons, whose spikes come and go at the end
of a trial alone, against networks of LIF neurons on the Spiking Heidelberg Digits.

The comparison in small: one network of each model is trained with its recipe and tested once, and the loss of one test
sample is followed along a random line through both trained networks, in the same direction, with every place located
where a spike appears or vanishes. The loss of the LIF network jumps there. That of the QIF network is continuous; where
a neuron passes its unstable point it is so steep that double precision does not resolve it, which is said, not hidden.

What differs from the paper: the data (by default the SYNTHETIC digits of the package, which show nothing about real
speech; `--train` and `--test` take others, such as the SHD), small networks, few epochs, one seed, no search of
settings. `brian-qif reproduce` does all of it, with a report.

    python docs/examples/Wenig_2026.py --out FOLDER [--train NAME_train.h5 --test NAME_test.h5]
"""

import argparse
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from brian_qif import SpikeGradient, load_network
from brian_qif.plotting.style import COLOURS
from brian_qif.protocols.data_choice import chosen_files
from brian_qif.protocols.directions import random_direction
from brian_qif.protocols.discontinuities import scan_line
from brian_qif.protocols.loss_line import LossLine
from brian_qif.protocols.preparation import encoding_of
from brian_qif.protocols.run_folder import read_run
from brian_qif.protocols.shd_training import train_on_recordings
from brian_qif.protocols.trained_run import recipe_in
from brian_qif.training.datasets import SpikeDataset

COLOUR = {"lif": COLOURS[1], "qif": COLOURS[0]}
NAMES = {"train_accuracy": "training", "test_accuracy": "test"}


def loss_line(run, test, reach, points, seed):
    """The loss of one test sample along a random line through a trained network, with all changes of spikes."""
    trained = load_network(run)
    settings = trained.settings
    encoding = encoding_of(recipe_in(settings), settings["inputs"])
    with SpikeDataset(test, n_units=settings["inputs"], n_classes=settings["classes"], encoding=encoding) as samples:
        sample = samples[seed % len(samples)]
    gradient = SpikeGradient(trained.network, trained.loss, trained.parameters, namespace={})
    values = gradient.values()
    direction = random_direction(trained.parameters, values, np.random.default_rng(seed))
    line = LossLine(gradient, trained.stimulus, trained.duration, sample, values, direction)
    return scan_line(line, -reach, reach, points)


def places_of(scan):
    """Where the loss jumps, and where it moves so fast that rounding hides the rest of the way; with their sizes."""
    found = {"jumps": [], "unresolved steps": []}
    for change in scan.changes:
        if change.jump != 0 and not change.at_end:
            found["unresolved steps" if change.unresolved else "jumps"].append((change.position, abs(change.jump)))
    return found


def in_words(scan):
    """How many of each there are, and what share of the loss's variation they carry."""
    texts = []
    for kind, places in places_of(scan).items():
        total = sum(size for _, size in places)
        # Where nothing changes there is no variation to have a share of.
        texts.append(f"{len(places)} {kind}" + (f" ({total / scan.variation:.0%} of the variation)" if places else ""))
    return ", ".join(texts)


def draw(histories, summaries, scans, path):
    """The course of the trainings and their outcome above, the losses along a line below."""
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure = plt.figure(figsize=(9, 6), layout="constrained", dpi=110)
    places = [["loss", "loss", "accuracy", "accuracy"], ["lif", "lif", "qif", "qif"]]
    panels = figure.subplot_mosaic(places)
    for letter, panel in zip("abcd", panels.values(), strict=True):
        panel.set_title(letter, loc="left", fontweight="bold", x=-0.12)
    for place, neuron in enumerate(COLOUR):
        history, colour = histories[neuron], COLOUR[neuron]
        panels["loss"].plot(history["epoch"], history["loss"], "o-", color=colour, markersize=3.5, label=neuron.upper())
        heights = [summaries[neuron][name] for name in NAMES]
        bars = panels["accuracy"].bar(np.arange(len(NAMES)) + 0.38 * (place - 0.5), heights, 0.34, color=colour)
        panels["accuracy"].bar_label(bars, fmt="%.2f", padding=2)
        draw_scan(panels[neuron], neuron, scans[neuron])
    panels["loss"].set(xlabel="Epoch", ylabel="Training loss", ylim=(0, None))
    panels["loss"].legend(frameon=False)
    chance = 1 / summaries["lif"]["settings"]["classes"]
    panels["accuracy"].axhline(chance, color="0.4", linestyle=":", linewidth=1)
    panels["accuracy"].text(0.5, chance, "chance", ha="center", va="bottom", color="0.4", fontsize=8)
    panels["accuracy"].set(ylim=(0, 1.08), ylabel="Accuracy", xticks=range(len(NAMES)))
    panels["accuracy"].set_xticklabels(NAMES.values())
    panels["lif"].set_ylabel("Loss of one test sample")
    if summaries["lif"]["synthetic"]:
        figure.suptitle("SYNTHETIC speech, which shows nothing about real speech", fontsize=9, color="0.4")
    figure.savefig(path)
    plt.close(figure)


def draw_scan(panel, neuron, scan):
    """The loss along the line, broken where it jumps."""
    steps = np.array([moment.position for moment in scan.moments])
    losses = np.array([moment.loss for moment in scan.moments])
    found = {kind: [position for position, _ in places] for kind, places in places_of(scan).items()}
    broken = np.searchsorted(steps, found["jumps"], side="right")
    panel.plot(np.insert(steps, broken, np.nan), np.insert(losses, broken, np.nan), color=COLOUR[neuron], linewidth=1.4)
    for (kind, positions), colour in zip(found.items(), ("0.2", COLOURS[4]), strict=True):
        if positions:
            style = {"color": colour, "markersize": 9, "label": kind, "transform": panel.get_xaxis_transform()}
            panel.plot(positions, np.full(len(positions), 0.03), "|", **style)
            panel.legend(frameon=False, fontsize=8)
    panel.set_title(f"{neuron.upper()}: {in_words(scan)}", fontsize=9)
    panel.set(xlabel="Step along the line (1: as large as the weights)", xlim=(steps[0], steps[-1]))
    panel.locator_params(axis="x", nbins=5)


def main():
    """Train, look, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=".", help="folder for Wenig_2026.png and the runs (default: this one)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, samples, the line (default: %(default)s)")
    parser.add_argument("--train", help="HDF5 file in the layout of the SHD (default: SYNTHETIC digits)")
    parser.add_argument("--test", help="HDF5 file for the test and the line (default: SYNTHETIC digits)")
    parser.add_argument("--hidden", type=int, default=64, help="hidden neurons (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=10, help="of training (default: %(default)s)")
    parser.add_argument("--reach", type=float, default=0.02, help="of the line, to each side (default: %(default)s)")
    parser.add_argument("--points", type=int, default=101, help="of the first look along it (default: %(default)s)")
    given = parser.parse_args()
    started, folder = time.process_time(), Path(given.out)
    train, test = chosen_files(given.train, given.test)
    histories, summaries, scans = {}, {}, {}
    for neuron in COLOUR:
        run = folder / f"{neuron}_seed_{given.seed}"
        options = {"hidden": given.hidden, "epochs": given.epochs, "seed": given.seed}
        train_on_recordings(train, test, run, neuron, resume=(run / "settings.json").exists(), **options)
        summaries[neuron], histories[neuron] = read_run(run)
        scans[neuron] = loss_line(run, test, given.reach, given.points, given.seed)
        shown = ", ".join(f"{text} {summaries[neuron][name]:.3f}" for name, text in NAMES.items())
        print(f"{neuron.upper()}: accuracy {shown}; along the line {in_words(scans[neuron])}")
    draw(histories, summaries, scans, folder / "Wenig_2026.png")
    print(f"{time.process_time() - started:.0f} s of processor time; drawn into '{folder / 'Wenig_2026.png'}'")


if __name__ == "__main__":
    main()
