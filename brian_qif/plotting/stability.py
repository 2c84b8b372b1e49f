"""Pictures of many trainings, of which some diverge."""

from __future__ import annotations

import numpy as np

from brian_qif.plotting.style import COLOURS, count_whole, name_figure, name_panel, new_figure, save_figure


def draw_diverged(table, published, path, title=None):
    """Draw the share of runs that diverged over the multiple of the step sizes.

    Parameters
    ----------
    table : pandas.DataFrame
        With the columns ``neuron``, ``multiple``, ``runs``, ``share_diverged``, ``share_low`` and ``share_high``.
    published : dict
        By model, a share to be drawn as a line.
    path : str or os.PathLike
        The picture.
    title : str, optional
        A line above it.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    from matplotlib.ticker import PercentFormatter

    figure = new_figure(6.6, 4.0)
    panel = figure.subplots()
    for k, (neuron, own) in enumerate(table.groupby("neuron", sort=False)):
        own = own.sort_values("multiple")
        share = own["share_diverged"]
        bars = np.maximum([share - own["share_low"], own["share_high"] - share], 0)
        places = own["multiple"] * 1.04 ** (2 * k - 1)  # side by side
        panel.errorbar(
            places,
            share,
            bars,
            fmt="o-",
            color=COLOURS[k],
            capsize=3,
            markersize=5,
            linewidth=1.4,
            label=neuron.upper(),
        )
        panel.axhline(published[neuron], color=COLOURS[k], linewidth=1, linestyle=":")
    panel.plot([], [], ":", color="0.4", linewidth=1, label="published, other data and settings")
    multiples = sorted(table["multiple"].unique())
    panel.set_xscale("log")
    panel.set_xticks(multiples, [f"{multiple:g}" for multiple in multiples])
    panel.set_xticks([], minor=True)
    panel.set_xlabel("Step sizes, in multiples of the recipe's")
    panel.set_ylabel("Runs that diverged")
    panel.yaxis.set_major_formatter(PercentFormatter(1.0))
    panel.set_ylim(-0.03, 1.03)
    panel.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    name_panel(panel, title)
    save_figure(figure, path)


def draw_histories(histories, runs, path, title=None):
    """Draw, epoch by epoch, the loss, the silent neurons and the norm of the gradient of all runs.

    Parameters
    ----------
    histories : pandas.DataFrame
        With the columns ``neuron``, ``multiple``, ``seed``, ``epoch``, ``loss``, ``silent_share_hidden`` and
        ``gradient_norm_input_synapses_w``.
    runs : pandas.DataFrame
        With ``neuron``, ``multiple``, ``seed``, ``loss_before`` and ``diverged``; runs that diverged are dashed.
    path, title
        As for `draw_diverged`.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    from matplotlib import colormaps
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

    neurons, multiples = list(dict.fromkeys(runs["neuron"])), sorted(runs["multiple"].unique())
    shades = colormaps["viridis"](np.linspace(0, 0.85, len(multiples)))
    figure = new_figure(10.2, 0.9 + 2.7 * len(neurons))
    panels = figure.subplots(len(neurons), 3, sharex=True, sharey="col", squeeze=False)
    names = {"loss": "loss", "silent_share_hidden": "silent neurons", "gradient_norm_input_synapses_w": "gradient norm"}
    for row, neuron in zip(panels, neurons, strict=True):
        for _, run in runs[runs["neuron"] == neuron].iterrows():
            own = histories[
                (histories["neuron"] == neuron)
                & (histories["multiple"] == run["multiple"])
                & (histories["seed"] == run["seed"])
            ]
            colour, style = shades[multiples.index(run["multiple"])], "--" if run["diverged"] else "-"
            for panel, name in zip(row, names, strict=True):
                values = own[name] if name == "silent_share_hidden" else own[name].where(own[name] > 0)
                panel.plot(own["epoch"], values, style, color=colour, linewidth=1.2, marker="o", markersize=2.5)
        for panel, name in zip(row, names.values(), strict=True):
            panel.set_title(f"{neuron.upper()}: {name}", loc="left", fontsize=10)
            panel.spines[["top", "right"]].set_visible(False)
            panel.grid(axis="y", color="0.92", linewidth=0.8)
            count_whole(panel.xaxis)
        row[0].axhline(runs["loss_before"][runs["neuron"] == neuron].median(), color="0.5", linewidth=1, linestyle=":")
        for panel, name in ((row[0], "loss"), (row[2], "gradient_norm_input_synapses_w")):
            if (histories[name] > 0).any():
                panel.set_yscale("log")
                panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if name == "loss" else (1,)))
                panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                panel.yaxis.set_minor_formatter(NullFormatter())
        row[1].yaxis.set_major_formatter(PercentFormatter(1.0))
        row[1].set_ylim(-0.03, 1.03)
    for panel in panels[-1]:
        panel.set_xlabel("Epoch")
    for multiple, shade in zip(multiples, shades, strict=True):
        panels[0, 0].plot([], [], color=shade, label=f"step sizes x {multiple:g}")
    panels[0, 0].plot([], [], "--", color="0.4", label="diverged")
    panels[0, 0].plot([], [], ":", color="0.5", label="loss before (median)")
    figure.legend(loc="outside lower center", ncols=len(multiples) + 2, frameon=False, fontsize=9)
    name_figure(figure, title)
    save_figure(figure, path)
