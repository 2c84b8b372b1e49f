"""What all pictures share: colours, and figures that no window shows."""

from __future__ import annotations

COLOURS = ("#0b6e99", "#c8553d", "#588b4a", "#7b4f9d", "#a87f1f", "#5c6670")


def new_figure(width, height, dpi=150):
    """A figure of that size in inches that no window shows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=dpi)
    FigureCanvasAgg(figure)
    return figure


def name_panel(panel, title):
    """A title above a panel, at the left, if there is one."""
    if title is not None:
        panel.set_title(title, loc="left", fontsize=10.5)
