"""Pictures of loss landscapes.

Every function takes a list with one entry per network, side by side on common scales, and the path of the picture.
"""

from __future__ import annotations

import numpy as np

from brian_qif.plotting.style import COLOURS, count_whole, name_figure, new_figure, save_figure

_KINDS = {"inside": COLOURS[1], "unresolved": COLOURS[4], "at the end": COLOURS[0]}
_ACROSS, _UP = "Step along direction 1", "Step along direction 2"


def draw_contours(grids, path, title=None):
    """Draw contours of the mean loss.

    Parameters
    ----------
    grids : list of tuple
        For each network its name, the positions along a side and the losses by row and column.
    path : str or os.PathLike
        The picture.
    title : str, optional
        A line above it.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    figure, panels = _side_by_side(len(grids), title)
    levels, norm = _levels([losses for *_, losses in grids])
    for panel, (name, places, losses) in zip(panels, grids, strict=True):
        filled = panel.contourf(places, places, losses, levels, cmap="viridis", norm=norm)
        panel.contour(places, places, losses, levels[::3], colors="white", linewidths=0.4, alpha=0.7)
        _mark_network(panel, name)
    _colourbar(figure, panels, filled, "Mean loss")
    save_figure(figure, path)


def draw_surfaces(grids, path, title=None):
    """Draw the mean loss as a surface; parameters as for `draw_contours`."""
    figure = new_figure(5.2 * len(grids), 4.6, dpi=130)
    low = min(losses.min() for *_, losses in grids)
    high = max(losses.max() for *_, losses in grids)
    for number, (name, places, losses) in enumerate(grids, start=1):
        panel = figure.add_subplot(1, len(grids), number, projection="3d")
        x, y = np.meshgrid(places, places)
        panel.plot_surface(x, y, losses, cmap="viridis", vmin=low, vmax=high, rcount=101, ccount=101, linewidth=0)
        panel.set_zlim(low, high)
        panel.set_title(name, fontsize=10.5)
        panel.set_xlabel(_ACROSS, fontsize=8)
        panel.set_ylabel(_UP, fontsize=8)
        panel.set_zlabel("Mean loss", fontsize=8)
        panel.tick_params(labelsize=7)
        panel.view_init(elev=32, azim=-58)
        panel.set_box_aspect(None, zoom=0.95)
    name_figure(figure, title)
    save_figure(figure, path)


def draw_gradients(fields, path, title=None):
    """Draw the direction of descent in the plane as arrows of one length, over the mean loss.

    Parameters
    ----------
    fields : list of tuple
        For each network its name, positions, losses, and the slopes along both directions by row, column and
        direction, NaN where there are none.
    path, title
        As for `draw_contours`.
    """
    figure, panels = _side_by_side(len(fields), title, height=5.2)
    levels, norm = _levels([losses for _, _, losses, _ in fields])
    sizes = [np.hypot(*slopes[np.isfinite(slopes).all(axis=2)].T) for *_, slopes in fields]
    limits = [np.log10(max(1e-12, bound)) for bound in (min(map(np.min, sizes)), max(map(np.max, sizes)))]
    for panel, (name, places, losses, slopes) in zip(panels, fields, strict=True):
        filled = panel.contourf(places, places, losses, levels, cmap="Greys", norm=norm, alpha=0.6)
        row, column = np.nonzero(np.isfinite(slopes).all(axis=2))
        size = np.hypot(*slopes[row, column].T)
        unit = -slopes[row, column] / np.where(size > 0, size, 1)[:, None]
        arrows = panel.quiver(
            *(places[column], places[row], *unit.T, np.log10(np.maximum(size, 1e-12))),
            **{"cmap": "plasma", "clim": limits, "pivot": "mid", "scale": 30, "width": 0.004, "headwidth": 4},
        )
        arrows.set_clip_on(False)  # whole at the edges, which the layout need not leave room for
        arrows.set_in_layout(False)
        _mark_network(panel, name)
        bar = figure.colorbar(arrows, ax=panel, shrink=0.75, orientation="horizontal", pad=0.04)
        bar.set_label("log10 of the slope", fontsize=8)
        bar.ax.tick_params(labelsize=7)
    _colourbar(figure, panels, filled, "Mean loss")
    figure.draw_without_rendering()  # the layout finds room for the labels above the lower bars in a second pass
    save_figure(figure, path)


def draw_spike_maps(maps, path, title=None):
    """Draw spike counts and how spikes differ from the point to the left.

    Parameters
    ----------
    maps : list of tuple
        For each network its name, positions, and by name the values by row and column; all have the same names.
    path, title
        As for `draw_contours`.
    """
    names = list(maps[0][2])
    figure = new_figure(0.9 + 3.6 * len(names), 0.5 + 3.1 * len(maps), dpi=130)
    panels = figure.subplots(len(maps), len(names), squeeze=False, sharex=True, sharey=True)
    for column, quantity in enumerate(names):
        values = [own[quantity] for _, _, own in maps]
        low, high = min(map(np.nanmin, values)), max(map(np.nanmax, values))
        for row, (name, places, own) in enumerate(maps):
            image = _image(panels[row, column], places, own[quantity], low, high, "magma")
            panels[row, column].set_title(f"{name}: {quantity}", loc="left", fontsize=9)
        bar = figure.colorbar(image, ax=panels[:, column].tolist(), shrink=0.7, pad=0.02)
        bar.ax.tick_params(labelsize=7)
    figure.supxlabel(_ACROSS, fontsize=9)
    figure.supylabel(_UP, fontsize=9)
    name_figure(figure, title)
    save_figure(figure, path)


def draw_samples(samples, path, title=None):
    """Draw the losses of single samples on the plane; each sample has its own scale, the same for all networks.

    Parameters
    ----------
    samples : list of tuple
        For each network its name, positions, and by the sample's name its losses by row and column.
    path, title
        As for `draw_contours`.
    """
    names = list(samples[0][2])
    figure = new_figure(0.9 + 2.5 * len(names), 0.8 + 2.4 * len(samples), dpi=130)
    panels = figure.subplots(len(samples), len(names), squeeze=False, sharex=True, sharey=True)
    for column, sample in enumerate(names):
        high = max(np.quantile(own[sample], 0.99) for *_, own in samples)
        for row, (name, places, own) in enumerate(samples):
            image = _image(panels[row, column], places, own[sample], 0, high, "viridis")
            panels[row, column].set_title(f"{name}: {sample}", loc="left", fontsize=9)
        bar = figure.colorbar(image, ax=panels[:, column].tolist(), shrink=0.6, orientation="horizontal", extend="max")
        bar.set_label("Loss", fontsize=8)
        bar.ax.tick_params(labelsize=7)
    figure.supxlabel(_ACROSS, fontsize=9)
    figure.supylabel(_UP, fontsize=9)
    name_figure(figure, title)
    save_figure(figure, path)


def draw_lines(lines, path, title=None):
    """Draw losses along lines: the mean loss, and how that of one sample changes from the network on, with its jumps.

    Parameters
    ----------
    lines : list of tuple
        For each network its name; a list of scans, each a tuple of a name, positions, losses and the positions, losses
        and kinds of its jumps; and a list of positions and mean losses of wider lines.
    path, title
        As for `draw_contours`.
    """
    shown = max(len(scans) for _, scans, _ in lines)
    figure = new_figure(5.6 * len(lines), 0.8 + 2.0 * (shown + 1), dpi=130)
    panels = figure.subplots(shown + 1, len(lines), squeeze=False, sharey="row")
    for column, (name, scans, wide) in enumerate(lines):
        for number, (places, losses) in enumerate(wide):
            colour = COLOURS[number % len(COLOURS)]
            panels[0, column].plot(places, losses, color=colour, linewidth=1.2, label=f"line {number}")
        panels[0, column].set_title(f"{name}: mean loss", loc="left", fontsize=9.5)
        for panel, (scan, places, losses, jumps) in zip(panels[1:, column], scans, strict=False):
            start = np.interp(0.0, places, losses)
            panel.plot(places, losses - start, color="0.35", linewidth=0.9)
            for kind, colour in _KINDS.items():
                own = [(place, loss - start) for place, loss, what in jumps if what == kind]
                if own:
                    panel.scatter(*zip(*own, strict=True), s=9, color=colour, label=kind, zorder=3, linewidths=0)
            panel.set_title(f"{name}: {scan}", loc="left", fontsize=9.5)
            if jumps:
                panel.legend(frameon=False, fontsize=7, loc="best", title="jumps", title_fontsize=7)
    for panel in panels.ravel():
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=7.5)
    for row, panel in enumerate(panels[:, 0]):
        panel.set_ylabel("Change of the loss" if row else "Loss", fontsize=9)
    panels[0, 0].legend(frameon=False, fontsize=7)
    figure.supxlabel("Step along the line", fontsize=9)
    name_figure(figure, title)
    save_figure(figure, path)


def draw_changes(tables, neurons, duration, path, title=None):
    """Draw what each change of spikes is: where on its line, when in the trial, of which neuron, how large its jump.

    Parameters
    ----------
    tables : list of tuple
        For each network its name and a table with ``position``, ``time``, ``neuron``, ``kind`` and ``jump``.
    neurons : int
        The number of neurons.
    duration : float
        The longest trial in seconds.
    path, title
        As for `draw_contours`.
    """
    figure = new_figure(5.0 * len(tables) + 0.8, 8.6, dpi=130)
    panels = figure.subplots(3, len(tables), squeeze=False, sharey="row")
    sizes = [table["jump"].abs().to_numpy(float) for _, table in tables]
    positive = np.concatenate([size[size > 0] for size in sizes] or [np.empty(0)])
    reach = max((table["position"].abs().max() for _, table in tables if len(table)), default=1.0)
    bins = np.geomspace(positive.min(), positive.max() * 1.001, 31) if len(positive) else np.geomspace(1e-9, 1, 31)
    for column, ((name, table), size) in enumerate(zip(tables, sizes, strict=True)):
        for kind, colour in _KINDS.items():
            own = (table["kind"] == kind).to_numpy(bool)
            style = {"color": colour, "alpha": 0.6, "linewidths": 0, "s": 6 + 24 * size[own] / bins[-1]}
            panels[0, column].scatter([], [], s=18, color=colour, label=f"{kind} ({np.count_nonzero(own)})")
            panels[0, column].scatter(table["position"][own], table["time"][own], **style)
            panels[1, column].scatter(table["neuron"][own], table["time"][own], **style)
        kinds = [kind for kind in _KINDS if np.any((table["kind"] == kind).to_numpy(bool) & (size > 0))]
        stacked = [size[(table["kind"] == kind).to_numpy(bool) & (size > 0)] for kind in kinds]
        if stacked:
            panels[2, column].hist(stacked, bins, stacked=True, color=[_KINDS[kind] for kind in kinds])
        panels[2, column].set_xscale("log")
        panels[2, column].set_xlim(bins[0], bins[-1])
        panels[0, column].set_title(name, loc="left", fontsize=10.5)
        panels[0, column].legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1.08), ncols=3)
        panels[0, column].set_xlabel("Step along the line", fontsize=9)
        panels[0, column].set_xlim(-1.03 * reach, 1.03 * reach)
        panels[1, column].set_xlabel("Neuron", fontsize=9)
        count_whole(panels[1, column].xaxis)
        panels[1, column].set_xlim(-1, neurons)
        panels[2, column].set_xlabel("Size of the jump of the loss", fontsize=9)
        for panel in panels[:2, column]:
            panel.set_ylim(-0.02 * duration, 1.02 * duration)
    for panel, label in zip(panels[:, 0], ("Time of the spike (s)", "Time of the spike (s)", "Jumps"), strict=True):
        panel.set_ylabel(label, fontsize=9)
    for panel in panels.ravel():
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(which="both", labelsize=8)
    name_figure(figure, title)
    save_figure(figure, path)


def draw_roughness(networks, path, title=None):
    """Draw the distribution of local Lipschitz estimates, and the variance of gradients by distance.

    Parameters
    ----------
    networks : list of tuple
        For each network its name, the estimates for the mean loss and for single samples, and by distance rows with
        ``step``, and the variances ``relative``, ``median``, ``sample_pooled`` and ``sample_median``.
    path, title
        As for `draw_contours`.
    """
    figure = new_figure(13.2, 4.0, dpi=130)
    panels = figure.subplots(1, 3)
    for (name, mean, single, rows), colour in zip(networks, COLOURS, strict=False):
        for estimates, style, what in ((mean, "-", "mean loss"), (single, "--", "single samples")):
            ordered = np.sort(estimates[estimates > 0])
            share = np.arange(1, len(ordered) + 1) / max(1, len(ordered))
            kept = np.unique(np.linspace(0, len(ordered) - 1, min(2000, len(ordered))).astype(int))
            panels[0].plot(ordered[kept], share[kept], style, color=colour, label=f"{name}, {what}")
        steps = [row["step"] for row in rows]
        for panel, kinds in ((panels[1], ("relative", "median")), (panels[2], ("sample_pooled", "sample_median"))):
            for kind, style in zip(kinds, ("o-", "o--"), strict=True):
                values = [row[kind] or np.nan for row in rows]  # a logarithmic axis has no zero
                label = f"{name}, {'median' if style == 'o--' else 'mean'}"
                panel.plot(steps, values, style, color=colour, markersize=4, label=label)
    if (steepest := max(mean.max() for _, mean, *_ in networks)) > 0:
        panels[0].set_xscale("log")
        panels[0].set_xlim(left=1e-4 * steepest)
    panels[0].set_xlabel("Local Lipschitz estimate", fontsize=9)
    panels[0].set_ylabel("Share of points below", fontsize=9)
    for panel, what in zip(panels[1:], ("mean loss", "single samples"), strict=True):
        panel.set_xscale("log")
        if any(np.isfinite(line.get_ydata()).any() for line in panel.lines):
            panel.set_yscale("log")
        panel.set_xlabel("Distance of the points (steps)", fontsize=9)
        panel.set_ylabel(f"Gradient variance, {what}", fontsize=9)
    for panel in panels:
        panel.legend(frameon=False, fontsize=8)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(which="both", labelsize=8)
        panel.grid(color="0.92", linewidth=0.8)
        panel.set_axisbelow(True)
    name_figure(figure, title)
    save_figure(figure, path)


def _side_by_side(count, title, height=4.4):
    figure = new_figure(4.6 * count + 1.2, height, dpi=130)
    panels = figure.subplots(1, count, squeeze=False, sharex=True, sharey=True)[0]
    for panel in panels:
        panel.set_aspect("equal")
        panel.set_xlabel(_ACROSS, fontsize=9)
        panel.tick_params(labelsize=8)
    panels[0].set_ylabel(_UP, fontsize=9)
    name_figure(figure, title)
    return figure, panels


def _levels(grids):
    """Levels that are dense where losses are low, common to all networks, and a colour for each."""
    from matplotlib.colors import BoundaryNorm

    low, high = min(losses.min() for losses in grids), max(losses.max() for losses in grids)
    if not high > low:
        high = low + 1.0
    levels = low + (high - low) * np.linspace(0, 1, 31) ** 1.5
    return levels, BoundaryNorm(levels, 256)


def _image(panel, places, values, low, high, colours):
    half = 0.5 * (places[1] - places[0])
    extent = (places[0] - half, places[-1] + half) * 2
    panel.tick_params(labelsize=7)
    panel.set_xticks([places[0], 0, places[-1]])
    panel.set_yticks([places[0], 0, places[-1]])
    return panel.imshow(values, cmap=colours, vmin=low, vmax=high, origin="lower", extent=extent, interpolation="none")


def _mark_network(panel, name):
    panel.plot(0, 0, "+", color="#e8e8e8", markersize=11, markeredgewidth=3)
    panel.plot(0, 0, "+", color="black", markersize=10, markeredgewidth=1.2)
    panel.set_title(name, loc="left", fontsize=10.5)


def _colourbar(figure, panels, drawn, label):
    bar = figure.colorbar(drawn, ax=list(panels), shrink=0.75, pad=0.02, format="%.2g")
    bar.set_label(label, fontsize=9)
    bar.ax.tick_params(labelsize=7.5)
