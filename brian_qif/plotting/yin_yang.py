"""Pictures of trainings on the Yin-Yang set."""

from __future__ import annotations

import numpy as np

from brian_qif.plotting.style import COLOURS, new_figure, save_figure

# Of yin, yang and dots.
_CLASS_COLOURS = ("#0b6e99", "#c8553d", "#e0b13f")


def draw_yin_yang(runs, published, path):
    """Draw test errors over the epochs, and what one network of each model takes every place for.

    Parameters
    ----------
    runs : list of dict
        What `brian_qif.protocols.yin_yang.train_one` gave, run by run.
    published : tuple
        The name of the paper, its mean test accuracy and the spread, in percent.
    path : str or os.PathLike
        The picture, in a format that matplotlib knows by its ending.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    neurons = list(dict.fromkeys(run["neuron"] for run in runs))
    figure = new_figure(4.0 + 2.7 * len(neurons), 3.0)
    panels = figure.subplots(1, 1 + len(neurons), width_ratios=[1.5] + [1] * len(neurons), squeeze=False)[0]
    _draw_errors(panels[0], runs, neurons, published)
    for panel, neuron in zip(panels[1:], neurons, strict=True):
        _draw_map(panel, next(run for run in runs if run["neuron"] == neuron))
    save_figure(figure, path)


def _draw_errors(panel, runs, neurons, published):
    paper, mean, _ = published
    for neuron, colour in zip(neurons, COLOURS, strict=False):
        errors = 100 - 100 * np.array([run["test_accuracy"] for run in runs if run["neuron"] == neuron])
        epochs = np.arange(1, errors.shape[1] + 1)
        for own in errors:
            panel.plot(epochs, own, color=colour, linewidth=0.6, alpha=0.35)
        panel.plot(epochs, errors.mean(axis=0), "o-", color=colour, markersize=2.5, label=f"{neuron.upper()}, mean")
    panel.axhline(100 - mean, color="0.4", linewidth=1, linestyle=":", label=f"published: {paper.replace('_', ' ')}")
    panel.set_yscale("log")
    ticks = [1, 2, 5, 10, 20, 50]
    panel.set_yticks(ticks, [str(tick) for tick in ticks])
    panel.set_yticks([], minor=True)
    panel.set_xlabel("Epoch")
    panel.set_ylabel("Test error (%)")
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=8)


def _draw_map(panel, run):
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Circle

    classes = np.array(run["map"])
    classes = classes.reshape(int(round(len(classes) ** 0.5)), -1)
    half = 0.5 / (len(classes) - 1)  # the first and last places are at 0 and 1
    image = panel.imshow(
        classes,
        cmap=ListedColormap(_CLASS_COLOURS),
        vmin=0,
        vmax=2,
        origin="lower",
        extent=(-half, 1 + half, -half, 1 + half),
        interpolation="nearest",
    )
    disc = Circle((0.5, 0.5), 0.5, transform=panel.transData)
    image.set_clip_path(disc)
    for x in (0.25, 0.75):
        panel.add_patch(Circle((x, 0.5), 0.1, fill=False, edgecolor="white", linewidth=0.8))
    angle = np.linspace(0, np.pi, 60)
    x, y = np.cos(angle), np.sin(angle)
    # The border of yin and yang: a half circle below the left dot, one above the right dot.
    panel.plot(0.25 + 0.25 * x, 0.5 - 0.25 * y, color="white", linewidth=0.8)
    panel.plot(0.75 + 0.25 * x, 0.5 + 0.25 * y, color="white", linewidth=0.8)
    panel.set_title(f"{run['neuron'].upper()}: {100 * run['test_accuracy'][-1]:.1f} %", loc="left", fontsize=9)
    panel.set_axis_off()
