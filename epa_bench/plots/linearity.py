"""Implicit against gold reward of every response, a panel a checkpoint: Figure 1 of the EPA paper."""

from math import ceil

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from epa_bench.core.errors import DataError
from epa_bench.plots.palette import COLOURS
from epa_bench.plots.paper import GREY, INK, legend_below, panel_title, paper_style
from epa_bench.plots.series import Linearity, LinearityPanel

_COLUMNS = 3
_WIDTH, _HEIGHT = 2.1, 2.5
"""Inches of a panel with its labels and a title of two lines."""


@paper_style()
def linearity_figure(linearity: Linearity) -> Figure:
    """All panels on the same axes, each with the line of slope 1 that the RLHF optimum lies on.

    Raises DataError without a point.
    """
    panels = linearity.panels
    if not any(panel.own or panel.mismatched for panel in panels):
        raise DataError("no points to plot: no prompt has three or more responses whose gold scores differ")
    columns = min(len(panels), _COLUMNS)
    rows = ceil(len(panels) / columns)
    figure = Figure(figsize=(max(_WIDTH * columns, 2 * _WIDTH), _HEIGHT * rows))
    first: Axes | None = None
    for number, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, number, sharex=first, sharey=first)
        first = first or axes
        handles = _draw(axes, panel)
        axes.set(xlabel="gold reward", ylabel="implicit reward (nats)" if number % columns == 1 % columns else "")
    legend_below(figure, handles, ["own responses", "mismatched responses", "slope 1"], linearity.caption)
    return figure


def _draw(axes: Axes, panel: LinearityPanel) -> list[Line2D]:
    axes.set_title(panel_title(f"{panel.arm}, seed {panel.seed}", panel.note))
    axes.set_box_aspect(1)
    # Own responses, of which there are fewer, over the others.
    kinds = ((panel.own, "o", COLOURS[0], 2.2), (panel.mismatched, "x", COLOURS[1], 2.1))
    drawn = [
        axes.plot(
            [gold for gold, _ in points],
            [reward for _, reward in points],
            linestyle="none",
            marker=marker,
            markersize=3,
            markeredgewidth=0.6,
            color=colour,
            markerfacecolor="none",
            alpha=0.7,
            zorder=height,
        )[0]
        for points, marker, colour, height in kinds
    ]
    if not (panel.own or panel.mismatched):
        axes.text(0.5, 0.5, "no points", transform=axes.transAxes, ha="center", va="center", color=GREY)
    return [*drawn, axes.axline((0, 0), slope=1, color=INK, linestyle="--", linewidth=0.8, zorder=3)]
