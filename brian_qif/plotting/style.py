"""What all pictures share: colours, and figures that no window shows."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from brian_qif.files import write_atomically

COLOURS = ("#0b6e99", "#c8553d", "#588b4a", "#7b4f9d", "#a87f1f", "#5c6670")


def new_figure(width, height, dpi=150):
    """A figure of that size in inches that no window shows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=dpi)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure, path):
    """Write a picture in one go; its ending says of what kind it is, and without one it is a PNG."""
    write_atomically(path, partial(figure.savefig, format=Path(path).suffix[1:] or None))


def refuse_other_pictures(path):
    """Refuse a file of whose ending matplotlib knows no kind of picture, before there is something to draw."""
    from matplotlib.backend_bases import FigureCanvasBase

    kinds = FigureCanvasBase.get_supported_filetypes()
    if Path(path).suffix[1:].lower() not in kinds:
        raise ValueError(f"A picture is a file that ends in .{', .'.join(sorted(kinds))}; {str(path)!r} was given.")


def name_figure(figure, title):
    """A title above all panels, if there is one."""
    if title is not None:
        figure.suptitle(title, fontsize=10.5)


def name_panel(panel, title):
    """A title above a panel, at the left, if there is one."""
    if title is not None:
        panel.set_title(title, loc="left", fontsize=10.5)


def count_whole(axis):
    """Ticks of an axis at whole numbers only: of epochs, or of neurons."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
