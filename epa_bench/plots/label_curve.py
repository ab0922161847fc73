"""Label curves: what a model is worth against the labels it had, a line a way to choose them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from epa_bench.core.errors import DataError
from epa_bench.core.one_line import one_line
from epa_bench.plots.paper import legend_below, panel_title, paper_style, series_looks

_COLUMNS = 2
_WIDTH, _HEIGHT = 3.2, 2.4
"""Inches of a panel."""


@dataclass(frozen=True, slots=True)
class Point:
    """A height with the ends of its interval."""

    labels: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CurvePanel:
    """One metric of one method: lines by name, in the same order in every panel."""

    title: str
    y_label: str
    curves: Sequence[tuple[str, Sequence[Point]]]


@paper_style()
def label_curve_figure(panels: Sequence[CurvePanel], caption: str) -> Figure:
    """Raises DataError without a point."""
    if not any(points for panel in panels for _, points in panel.curves):
        raise DataError("no points to plot: the label curve has none")
    columns = min(len(panels), _COLUMNS)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(max(_WIDTH * columns, 4.8), _HEIGHT * rows))
    handles: list[Artist] = []
    for number, panel in enumerate(panels, start=1):
        handles = _draw(figure.add_subplot(rows, columns, number), panel)
    legend_below(figure, handles, [name for name, _ in panels[-1].curves], caption)
    return figure


def _draw(axes: Axes, panel: CurvePanel) -> list[Artist]:
    handles: list[Artist] = []
    count = len(panel.curves)
    gaps = [b.labels - a.labels for _, points in panel.curves for a, b in pairwise(points)]
    for index, ((_, points), (colour, marker)) in enumerate(zip(panel.curves, series_looks(), strict=False)):
        # Side by side, so that intervals do not hide each other.
        shift = 0.4 * min(gaps, default=1) * (index - (count - 1) / 2) / count
        at = [point.labels + shift for point in points]
        axes.vlines(
            at, [p.low for p in points], [p.high for p in points], color=colour, alpha=0.4, linewidth=0.8, zorder=1
        )
        handles += axes.plot(at, [p.value for p in points], color=colour, marker=marker, markersize=3.5)
    axes.set(title=panel_title(panel.title), xlabel="labels", ylabel=one_line(panel.y_label))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return handles
