"""Pictures of what follows from one changed spike or weight."""

from __future__ import annotations

import numpy as np

from brian_qif.plotting.style import COLOURS, count_whole, name_figure, new_figure, save_figure

_GREY = "0.72"
_MEASURES = {"victor_purpura": "Victor-Purpura", "van_rossum": "van Rossum", "spike": "SPIKE"}
# What becomes of a spike, and how it is drawn.
_FATES = {"shifted": COLOURS[0], "lost": COLOURS[1], "gained": COLOURS[2]}


def draw_changed_raster(layers, mark, duration, path, title=None):
    """Draw the spikes of each layer before and after a change.

    Parameters
    ----------
    layers : list of tuple
        For each layer its name, its number of neurons, the pair (times, neurons) of the spikes that stay, of those that
        are shifted, the same after the shift, of those that are lost and of those that are gained.
    mark : tuple
        The layer, time and neuron of the change; the neuron is None for one that concerns no spike.
    duration : float
        Of the trial, in seconds.
    path : str or os.PathLike
        The picture.
    title : str, optional
        A line above it.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    figure = new_figure(9, 1.0 + 2.3 * len(layers))
    panels = figure.subplots(len(layers), 1, sharex=True, squeeze=False).ravel()
    for panel, (name, size, same, moved, moved_to, lost, gained) in zip(panels, layers, strict=True):
        dot = float(np.clip(260 / size, 1.2, 14))
        panel.scatter(*same, s=dot, color=_GREY, linewidths=0, rasterized=True)
        panel.scatter(*moved_to, s=1.6 * dot, color=_FATES["shifted"], linewidths=0)
        panel.hlines(moved[1], moved[0], moved_to[0], color=_FATES["shifted"], linewidth=0.8)
        panel.scatter(*lost, s=4 * dot + 8, marker="x", color=_FATES["lost"], linewidths=1.2)
        panel.scatter(*gained, s=4 * dot + 8, marker="+", color=_FATES["gained"], linewidths=1.4)
        if name == mark[0] and mark[2] is not None:
            panel.scatter(mark[1], mark[2], s=130, facecolors="none", edgecolors="black", linewidths=1.3, zorder=5)
        panel.set_ylim(size - 0.5, -0.5)
        panel.set_title(f"{name}: {_counted(moved, lost, gained)}", loc="left", fontsize=9.5)
        panel.set_ylabel("Neuron")
        count_whole(panel.yaxis)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_xlim(0, duration)
    panels[-1].set_xlabel("Time (s)")
    _fates(figure, panels[0], mark)
    name_figure(figure, title)
    save_figure(figure, path)


def _counted(moved, lost, gained):
    return f"{len(moved[0])} shifted, {len(lost[0])} lost, {len(gained[0])} gained"


def _fates(figure, panel, mark):
    from matplotlib.lines import Line2D

    markers = {"unchanged": (_GREY, "o"), "shifted": (_FATES["shifted"], "o")}
    markers |= {"lost": (_FATES["lost"], "x"), "gained": (_FATES["gained"], "+")}
    handles = [Line2D([], [], linestyle="", marker=m, color=c, label=name) for name, (c, m) in markers.items()]
    if mark[2] is not None:
        ring = {"marker": "o", "markerfacecolor": "none", "markeredgecolor": "black", "markersize": 9}
        handles.append(Line2D([], [], linestyle="", label="what was changed", **ring))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)


def draw_courses(table, path, title=None):
    """Draw the distance of the states over the time since the perturbation, a panel per layer, a line per size.

    Parameters
    ----------
    table : pandas.DataFrame
        With the columns ``response_layer``, ``size``, ``lag`` (seconds), ``median``, ``lower_quartile`` and
        ``upper_quartile``.
    path, title
        As for `draw_changed_raster`.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    layers = list(dict.fromkeys(table["response_layer"][table["upper_quartile"] > 0]))
    figure = new_figure(1.4 + 3.9 * max(1, len(layers)), 3.7)
    if not layers:
        figure.text(0.5, 0.5, "No state differs at any time.", ha="center")
        save_figure(figure, path)
        return
    panels = figure.subplots(1, len(layers), sharex=True, squeeze=False).ravel()
    for panel, layer in zip(panels, layers, strict=True):
        own = table[table["response_layer"] == layer]
        for size, colour, label in _by_size(own):
            line = own[own["size"].isna()] if size is None else own[own["size"] == size]
            positive = line["median"].where(line["median"] > 0)
            panel.plot(line["lag"], positive, color=colour, linewidth=1.6, label=label)
            panel.fill_between(
                line["lag"],
                line["lower_quartile"].where(line["lower_quartile"] > 0),
                line["upper_quartile"].where(line["upper_quartile"] > 0),
                color=colour,
                alpha=0.15,
                linewidth=0,
            )
        panel.set_yscale("log")
        panel.set_title(layer, loc="left", fontsize=10)
        panel.set_xlabel("Time since the perturbation (s)")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("Distance of the states")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8, title="Size"
    )
    name_figure(figure, title)
    save_figure(figure, path)


def _by_size(table):
    """Sizes with a colour and a name; None for what has no size."""
    from matplotlib import colormaps

    sizes = sorted(table["size"].dropna().unique())
    if not sizes:
        return [(None, COLOURS[0], "median, quartiles")]
    shades = colormaps["viridis"](np.linspace(0, 0.9, len(sizes)))
    return [(size, shade, f"{size:.0e}") for size, shade in zip(sizes, shades, strict=True)]


def draw_dose_response(loss, layers, unit, path, title=None):
    """Draw, over the size of the perturbation, the change of the loss and how far spikes are shifted.

    Parameters
    ----------
    loss : pandas.DataFrame or None
        With the columns ``size``, ``loss_change`` and ``loss_change_linear``, one row per perturbation.
    layers : dict
        By the name of the layer, a DataFrame with the columns ``size`` and ``rms_shift``.
    unit : str
        Of the size.
    path, title
        As for `draw_changed_raster`.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    count = (loss is not None) + bool(layers)
    figure = new_figure(0.6 + 4.4 * count, 3.9)
    panels = figure.subplots(1, count, sharex=True, squeeze=False).ravel()
    if loss is not None:
        sizes, change = _quartiles(loss, "loss_change")
        _, foreseen = _quartiles(loss, "loss_change_linear")
        _band(panels[0], sizes, change, COLOURS[0], "found")
        panels[0].plot(sizes, foreseen[1], "--", color="black", linewidth=1.2, label="linear, by the exact gradient")
        panels[0].set_ylabel("Change of the loss")
    for (name, table), colour in zip(layers.items(), COLOURS, strict=False):
        sizes, shift = _quartiles(table, "rms_shift")
        _band(panels[-1], sizes, shift, colour, name)
        panels[-1].set_ylabel("Root mean square shift of spikes (s)")
    if not any(np.isfinite(line.get_ydata()).any() for panel in panels for line in panel.lines):
        figure.clear()  # nothing by which axes with logarithms could be scaled
        figure.text(0.5, 0.5, "Nothing changes, whatever the size.", ha="center")
        save_figure(figure, path)
        return
    for panel in panels:
        panel.set_xscale("log")
        if panel.lines and any(np.any(np.nan_to_num(line.get_ydata()) > 0) for line in panel.lines):
            panel.set_yscale("log")
        panel.set_xlabel(f"Size of the perturbation ({unit})")
        panel.grid(color="0.92", linewidth=0.8)
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False, fontsize=8.5)
    name_figure(figure, title)
    save_figure(figure, path)


def _quartiles(table, column):
    grouped = table[column].abs().groupby(table["size"])
    found = grouped.quantile([0.25, 0.5, 0.75]).unstack()
    return found.index.to_numpy(), found.where(found > 0).to_numpy().T


def _band(panel, sizes, quartiles, colour, label):
    panel.fill_between(sizes, quartiles[0], quartiles[2], color=colour, alpha=0.18, linewidth=0)
    panel.plot(sizes, quartiles[1], "o-", color=colour, markersize=3.5, linewidth=1.6, label=label)


def draw_layer_counts(table, path, title=None):
    """Draw how many spikes of each layer are shifted, lost and gained, in the mean, over the size.

    Parameters
    ----------
    table : pandas.DataFrame
        With the columns ``response_layer``, ``size``, ``shifted``, ``lost`` and ``gained``.
    path, title
        As for `draw_changed_raster`.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    layers = list(dict.fromkeys(table["response_layer"]))
    figure = new_figure(1.0 + 3.6 * len(layers), 3.9)
    panels = figure.subplots(1, len(layers), squeeze=False).ravel()
    for panel, layer in zip(panels, layers, strict=True):
        own = table[table["response_layer"] == layer]
        means = own.groupby("size", dropna=False)[list(_FATES)].mean()
        places = np.arange(len(means))
        for k, (fate, colour) in enumerate(_FATES.items()):
            panel.bar(places + 0.27 * (k - 1), means[fate], width=0.25, color=colour, label=fate)
        names = [f"{size:.0e}" if np.isfinite(size) else "all" for size in means.index]
        panel.set_xticks(places, names, rotation=45 if len(names) > 1 else 0, fontsize=8)
        panel.set_yscale("symlog", linthresh=0.1)
        panel.set_ylim(bottom=0)
        panel.set_title(layer, loc="left", fontsize=10)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(axis="y", color="0.92", linewidth=0.8)
        panel.set_axisbelow(True)
    panels[0].set_ylabel("Spikes per perturbation (mean)")
    figure.supxlabel("Size of the perturbation", fontsize=10)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=9)
    name_figure(figure, title)
    save_figure(figure, path)


def draw_spike_distances(table, path, title=None):
    """Draw spike-train distances window by window, a panel for each measure and layer, a line for each size.

    Parameters
    ----------
    table : pandas.DataFrame
        With the columns ``response_layer``, ``size``, ``measure``, ``time`` and ``distance``.
    path, title
        As for `draw_changed_raster`.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    layers, measures = (list(dict.fromkeys(table[name])) for name in ("response_layer", "measure"))
    figure = new_figure(1.4 + 3.3 * len(measures), 0.9 + 2.5 * len(layers))
    panels = figure.subplots(len(layers), len(measures), sharex=True, squeeze=False)
    for row, layer in zip(panels, layers, strict=True):
        for panel, measure in zip(row, measures, strict=True):
            own = table[(table["response_layer"] == layer) & (table["measure"] == measure)]
            for size, colour, label in _by_size(table):
                line = own[own["size"].isna()] if size is None else own[own["size"] == size]
                values = line["distance"].where(line["distance"] > 0)
                panel.plot(line["time"], values, "o-", color=colour, markersize=2.5, linewidth=1.3, label=label)
            if own["distance"].gt(0).any():
                panel.set_yscale("log")
            panel.set_title(f"{layer}: {_MEASURES[measure]}", loc="left", fontsize=9.5)
            panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[-1]:
        panel.set_xlabel("Time (s)")
    figure.supylabel("Distance in a window", fontsize=10)
    figure.legend(
        *panels[0, 0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8, title="Size"
    )
    name_figure(figure, title)
    save_figure(figure, path)


def draw_rank_order(table, path, title=None):
    """Draw by how many places each spike moves in the order of its layer, over its place before.

    Parameters
    ----------
    table : pandas.DataFrame
        With the columns ``response_layer``, ``rank_before`` and ``rank_after``; a row for each spike that is in both.
    path, title
        As for `draw_changed_raster`.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    layers = dict(list(table.groupby("response_layer", sort=False)))
    figure = new_figure(0.6 + 3.6 * max(1, len(layers)), 3.6)
    panels = figure.subplots(1, max(1, len(layers)), squeeze=False).ravel()
    for panel, (name, own) in zip(panels, layers.items(), strict=False):
        before, change = own["rank_before"].to_numpy(), (own["rank_after"] - own["rank_before"]).to_numpy()
        panel.axhline(0, color="0.6", linewidth=0.8)
        panel.scatter(before, change, s=9, color=np.where(change == 0, _GREY, COLOURS[0]), linewidths=0)
        panel.set_title(f"{name}: {np.count_nonzero(change)} of {len(before)} moved", loc="left", fontsize=9.5)
        panel.set_xlabel("Place before")
        panel.spines[["top", "right"]].set_visible(False)
        largest = max(1, int(np.abs(change).max(initial=0)))
        panel.set_ylim(-1.15 * largest, 1.15 * largest)
    panels[0].set_ylabel("Places gained or lost")
    name_figure(figure, title)
    save_figure(figure, path)
