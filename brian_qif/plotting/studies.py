"""Pictures of predictions and searches."""

from __future__ import annotations

import math

import numpy as np

from brian_qif.plotting.style import COLOURS, count_whole, name_figure, name_panel, new_figure, save_figure


def draw_confusion(matrix, names, path, title=None):
    """Draw how often each class was taken for which.

    Parameters
    ----------
    matrix : numpy.ndarray
        Counts; a row per true class, a column per predicted one.
    names : sequence of str
        The names of the classes.
    path : str or os.PathLike
        The picture, in a format that matplotlib knows by its ending.
    title : str, optional
        A line above it.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    size = max(4.0, 1.6 + 0.36 * len(names))
    figure = new_figure(size + 0.8, size)
    panel = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for true, predicted in zip(*np.nonzero(matrix), strict=True):
        colour = "white" if shares[true, predicted] > 0.5 else "black"
        panel.text(predicted, true, int(matrix[true, predicted]), ha="center", va="center", fontsize=7, color=colour)
    panel.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
    panel.set_yticks(range(len(names)), names, fontsize=8)
    panel.set_xlabel("Predicted")
    panel.set_ylabel("True")
    figure.colorbar(image, ax=panel, label="Share of the true class", shrink=0.8)
    name_panel(panel, title)
    save_figure(figure, path)


def draw_rasters(rasters, n_neurons, duration, path, title=None):
    """Draw the spikes of one group in several trials, a panel each.

    Parameters
    ----------
    rasters : list of tuple
        For each trial a name, the spike times in seconds and the neuron of each spike.
    n_neurons : int
        The number of neurons.
    duration : float
        The duration of a trial in seconds.
    path : str or os.PathLike
        The picture.
    title : str, optional
        A line above it.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    columns = min(3, len(rasters))
    rows = math.ceil(len(rasters) / columns)
    figure = new_figure(3.4 * columns, 0.5 + 2.3 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for panel, (name, times, neurons) in zip(panels, rasters, strict=False):
        panel.scatter(times, neurons, s=max(1.0, 60 / n_neurons), color=COLOURS[0], linewidths=0)
        panel.set_title(name, loc="left", fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[len(rasters) :]:
        panel.set_visible(False)
    panels[0].set_xlim(0, duration)
    panels[0].set_ylim(n_neurons - 0.5, -0.5)
    figure.supxlabel("Time (s)", fontsize=10)
    figure.supylabel("Hidden neuron", fontsize=10)
    count_whole(panels[0].yaxis)
    name_figure(figure, title)
    save_figure(figure, path)


def draw_importance(shares, path, title=None):
    """Draw how much each setting decides.

    Parameters
    ----------
    shares : dict of str to float
        By name, the largest first.
    path : str or os.PathLike
        The picture.
    title : str, optional
        A line above it.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    figure = new_figure(6.5, 0.9 + 0.28 * len(shares))
    panel = figure.subplots()
    names = list(shares)[::-1]
    panel.barh([name.replace("_", " ") for name in names], [shares[name] for name in names], color=COLOURS[0])
    panel.set_ylim(-0.6, len(names) - 0.4)
    panel.set_xlabel("Importance (PED-ANOVA, share)")
    panel.spines[["top", "right"]].set_visible(False)
    name_panel(panel, title)
    save_figure(figure, path)


def draw_slices(table, names, value, log, path, title=None):
    """Draw the value of each trial over each of its settings.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per trial.
    names : list of str
        The columns with settings.
    value : str
        The column with the value.
    log : collection of str
        Settings whose axis is logarithmic.
    path : str or os.PathLike
        The picture.
    title : str, optional
        A line above it.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    columns = min(4, len(names))
    rows = math.ceil(len(names) / columns)
    figure = new_figure(2.7 * columns, 0.5 + 2.2 * rows)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for panel, name in zip(panels, names, strict=False):
        levels = _levels(table[name])
        across = table[name] if levels is None else [levels.index(one) for one in table[name]]
        points = panel.scatter(across, table[value], c=table["number"], cmap="viridis", s=14)
        if levels is not None:
            panel.set_xticks(range(len(levels)), [one if isinstance(one, str) else f"{one:.2g}" for one in levels])
            panel.set_xlim(-0.5, len(levels) - 0.5)
        elif name in log and table[name].min() < table[name].max():
            panel.set_xscale("log")
            marks = np.geomspace(table[name].min(), table[name].max(), 3)
            panel.set_xticks(marks, [f"{mark:.2g}" for mark in marks])
            panel.set_xticks([], minor=True)
        else:
            panel.locator_params(axis="x", nbins=4)
        panel.set_xlabel(name.replace("_", " "), fontsize=9)
        panel.tick_params(labelsize=7)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    figure.supylabel(value.replace("_", " ").capitalize(), fontsize=10)
    marks = np.unique(np.linspace(table["number"].min(), table["number"].max(), 6).astype(int))
    figure.colorbar(points, ax=panels.tolist(), label="Trial", shrink=0.6, ticks=marks)
    name_figure(figure, title)
    save_figure(figure, path)


def draw_parallel(table, names, value, log, path, title=None):
    """Draw each trial as a line through all its settings, each on an axis of its own, to its value.

    Parameters
    ----------
    table, names, value, log, path, title
        As for `draw_slices`.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    shown = [*names, value]
    figure = new_figure(1.5 + 0.75 * len(shown), 5.2)
    panel = figure.subplots()
    places = []
    for across, name in enumerate(shown):
        heights, marks = _axis(table[name], name in log)
        places.append(heights)
        for height, mark in marks:
            panel.text(across + 0.05, height, mark, fontsize=6.5, va="center", backgroundcolor=(1, 1, 1, 0.6))
    colours = ScalarMappable(Normalize(table[value].min(), table[value].max()), "viridis")
    for row in table[value].argsort():
        panel.plot([heights[row] for heights in places], color=colours.to_rgba(table[value].iloc[row]), alpha=0.7)
    panel.set_xticks(range(len(shown)), [name.replace("_", " ") for name in shown], rotation=40, ha="right", fontsize=8)
    panel.set_yticks([])
    panel.set_xlim(-0.2, len(shown) - 0.4)
    panel.grid(axis="x", color="0.8")
    panel.spines[["top", "right", "left"]].set_visible(False)
    figure.colorbar(colours, ax=panel, label=value.replace("_", " ").capitalize(), shrink=0.8)
    name_panel(panel, title)
    save_figure(figure, path)


def _levels(column):
    """The distinct values of a column of texts, of few whole numbers, or of one value; None for any other."""
    values = sorted(set(column))
    if len(values) == 1 or isinstance(values[0], str):
        return values
    return values if len(values) <= 6 and all(float(one).is_integer() for one in values) else None


def _axis(column, log):
    """Heights between 0 and 1 for the values of a column, and the heights and texts of its marks."""
    levels = _levels(column)
    if levels is not None:
        heights = np.linspace(0, 1, len(levels)) if len(levels) > 1 else [0.5]
        texts = [one if isinstance(one, str) else f"{one:.2g}" for one in levels]
        return np.array([heights[levels.index(one)] for one in column]), list(zip(heights, texts, strict=True))
    low, high = column.min(), column.max()
    scaled = np.log(column / low) / np.log(high / low) if log else (column - low) / (high - low)
    middle = np.sqrt(low * high) if log else (low + high) / 2
    return np.asarray(scaled), [(0.0, f"{low:.2g}"), (0.5, f"{middle:.2g}"), (1.0, f"{high:.2g}")]
