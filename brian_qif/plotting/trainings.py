"""Pictures of trainings, and of what they learn from."""

from __future__ import annotations

from brian_qif.plotting.style import COLOURS, count_whole, name_panel, new_figure, save_figure


def draw_curves(history, path, title=None):
    """Draw the course of one training: loss, accuracy, silent hidden neurons, firing rates.

    Parameters
    ----------
    history : pandas.DataFrame
        What `Trainer.history` gives.
    path : str or os.PathLike
        The picture, in a format that matplotlib knows by its ending.
    title : str, optional
        A line above it.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    figure, panels = _four_panels(title)
    _draw(panels, history, {group: colour for group, colour in zip(_groups(history), COLOURS, strict=False)})
    if len(_groups(history)) > 1:
        for panel in panels[2:]:
            panel.legend(frameon=False)
    _save(figure, panels, path)


def draw_comparison(runs, path):
    """Draw several trainings into the same panels.

    Parameters
    ----------
    runs : list of tuple
        For each run its name, its summary (a dict with ``test_accuracy``) and its history (a DataFrame).
    path : str or os.PathLike
        The picture.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    figure, panels = _four_panels(None)
    for number, (name, summary, history) in enumerate(runs):
        colour = COLOURS[number % len(COLOURS)]
        style = "-" if number < len(COLOURS) else "--"
        _draw(panels, history, dict.fromkeys(_groups(history), colour), line_style=style, colour=colour)
        label = f"{name}: test accuracy {summary['test_accuracy']:.3f}"
        panels[0].plot([], [], style, color=colour, label=label)
        panels[1].axhline(summary["test_accuracy"], color=colour, linewidth=1, linestyle=":")
    panels[1].plot([], [], ":", color="0.4", linewidth=1, label="test, after the last epoch")
    panels[1].legend(frameon=False, loc="lower right")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(2, len(runs)), frameon=False)
    _save(figure, panels, path)


def draw_raster(times, units, n_units, path, title=None):
    """Draw the spikes of one sample, each a dot: time to the right, input neurons downwards.

    Parameters
    ----------
    times : numpy.ndarray
        In seconds.
    units : numpy.ndarray
        The input neuron of each spike.
    n_units : int
        The number of input neurons.
    path : str or os.PathLike
        The picture, in a format that matplotlib knows by its ending.
    title : str, optional
        A line above it.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    figure = new_figure(8, 5)
    panel = figure.subplots()
    panel.scatter(times, units, s=40 / max(1.0, n_units / 25), color=COLOURS[0], linewidths=0)
    panel.set_xlim(left=0)
    panel.set_ylim(n_units - 0.5, -0.5)
    panel.set_xlabel("Time (s)")
    panel.set_ylabel("Input neuron")
    count_whole(panel.yaxis)
    panel.spines[["top", "right"]].set_visible(False)
    name_panel(panel, title)
    save_figure(figure, path)


def _four_panels(title):
    from matplotlib.ticker import PercentFormatter

    figure = new_figure(9, 6.2)
    if title is not None:
        figure.suptitle(title, fontsize=12)
    panels = figure.subplots(2, 2, sharex=True).ravel()
    names = ("Training loss", "Training accuracy", "Silent neurons", "Firing rate (Hz)")
    for panel, name in zip(panels, names, strict=True):
        panel.set_title(name, loc="left", fontsize=10.5)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(axis="y", color="0.9", linewidth=0.8)
        panel.set_axisbelow(True)
        count_whole(panel.xaxis)
    for panel in panels[2:]:
        panel.set_xlabel("Epoch")
    for panel in panels[1:3]:
        panel.yaxis.set_major_formatter(PercentFormatter(1.0))
        panel.set_ylim(-0.02, 1.02)
    return figure, panels


def _draw(panels, history, colours, line_style="-", colour=COLOURS[0]):
    epochs = history["epoch"]
    style = {"linestyle": line_style, "linewidth": 1.8, "marker": "o", "markersize": 3}
    panels[0].plot(epochs, history["loss"], color=colour, **style)
    panels[1].plot(epochs, history["accuracy"], color=colour, **style)
    for group, group_colour in colours.items():
        panels[2].plot(epochs, history[f"silent_share_{group}"], color=group_colour, label=group, **style)
        panels[3].plot(epochs, history[f"rate_{group}"], color=group_colour, label=group, **style)


def _groups(history):
    prefix = "silent_share_"
    return [column.removeprefix(prefix) for column in history.columns if column.startswith(prefix)]


def _save(figure, panels, path):
    # Set at the end: a limit that is set earlier stays where the first curve needed it.
    for panel in (panels[0], panels[3]):
        panel.set_ylim(bottom=0)
    save_figure(figure, path)
