"""Training curves: a panel a metric, arms overlaid, seeds as bands."""

from itertools import cycle
from math import ceil
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from epa_bench.core.errors import DataError
from epa_bench.plots.paper import legend_below, panel_title, paper_style, series_looks
from epa_bench.plots.series import Training, TrainingPanel

_COLUMNS = 3
_WIDTH, _HEIGHT = 2.3, 1.6
"""Inches of a panel with its labels."""

_MARKS = 6
"""Markers of a curve: enough to tell it from the others without colour."""

Dash = Literal["-", "--", "-.", ":"]
_DASHES: tuple[Dash, ...] = ("-", "--", "-.", ":")


@paper_style()
def training_figure(training: Training) -> Figure:
    """A line is the mean over seeds, its band the lowest to the highest seed. Raises DataError without a curve."""
    panels = training.panels
    if not any(panel.bands for panel in panels):
        raise DataError("no training curves to plot: the logs are empty")
    looks = dict(zip(training.labels, zip(series_looks(), cycle(_DASHES), strict=False), strict=False))
    columns = min(len(panels), _COLUMNS)
    rows = ceil(len(panels) / columns)
    figure = Figure(figsize=(max(_WIDTH * columns, 2 * _WIDTH), _HEIGHT * rows))
    for number, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, number)
        _draw(axes, panel, looks)
        axes.set_xlabel("optimizer step" if number > len(panels) - columns else "")
    handles = [Line2D([], [], color=colour, marker=marker, linestyle=dash) for (colour, marker), dash in looks.values()]
    legend_below(figure, handles, list(training.labels), training.caption)
    return figure


def _draw(axes: Axes, panel: TrainingPanel, looks: dict[str, tuple[tuple[str, str], Dash]]) -> None:
    axes.set_title(panel_title(panel.title))
    for band in panel.bands:
        (colour, marker), dash = looks[band.label]
        lows, highs = [found.low for found in band.ranges], [found.high for found in band.ranges]
        if lows != highs:
            axes.fill_between(band.steps, lows, highs, color=colour, alpha=0.15, linewidth=0)
        values = [found.value for found in band.ranges]
        every = max(1, len(values) // _MARKS)
        axes.plot(
            band.steps, values, color=colour, linestyle=dash, marker=marker, markersize=3, markevery=(every // 2, every)
        )
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
