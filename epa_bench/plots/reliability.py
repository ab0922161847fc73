"""Reliability diagrams: how often the predicted winner is right, by the confidence in it, a panel a checkpoint."""

from math import ceil

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from epa_bench.core.errors import DataError
from epa_bench.plots.palette import COLOURS
from epa_bench.plots.paper import GREY, INK, LIGHT, legend_below, panel_title, paper_style
from epa_bench.plots.series import Reliability, ReliabilityPanel

_COLUMNS = 3
_LEFT = 7 / 15
"""Lower edge of the first bin that a confidence, which is .5 or more, can be in."""


@paper_style()
def reliability_figure(reliability: Reliability) -> Figure:
    """Over the pairs in each bin, accuracy as a bar and a dot at mean confidence; on the diagonal they agree.

    Guo et al. 2017, arXiv 1706.04599, Figure 1. Raises DataError without a pair.
    """
    panels = reliability.panels
    if not any(panel.bins for panel in panels):
        raise DataError("no pairs to plot: no two responses of a prompt have gold scores that differ")
    columns = min(len(panels), _COLUMNS)
    rows = ceil(len(panels) / columns)
    figure = Figure(figsize=(max(2.2 * columns, 4.2), 2.7 * rows))
    parts = figure.subfigures(rows, columns, squeeze=False).flat
    for part, panel in zip(parts, panels, strict=False):
        upper, lower = part.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        handles = _draw(upper, lower, panel)
    legend_below(figure, handles, ["accuracy", "at mean confidence", "calibrated"], reliability.caption)
    return figure


def _draw(upper: Axes, lower: Axes, panel: ReliabilityPanel) -> list[Artist]:
    lows, widths = [b.low for b in panel.bins], [b.high - b.low for b in panel.bins]
    accuracy = [b.accuracy for b in panel.bins]
    upper.set_title(panel_title(f"{panel.arm}, seed {panel.seed}", panel.note))
    upper.bar(lows, accuracy, widths, align="edge", color=LIGHT, edgecolor=GREY, linewidth=0.6)
    (dots,) = upper.plot([b.confidence for b in panel.bins], accuracy, "o", color=COLOURS[0], zorder=3)
    # Whole at the edges; of no dots the layout cannot tell the size.
    dots.set(clip_on=False, in_layout=False)
    diagonal = upper.axline((0, 0), slope=1, color=INK, linestyle="--", linewidth=0.8)
    upper.set(xlim=(_LEFT, 1), ylim=(0, 1.02), ylabel="accuracy")
    lower.bar(lows, [b.n for b in panel.bins], widths, align="edge", color=COLOURS[0], edgecolor="white", linewidth=0.6)
    lower.set(ylabel="pairs", xlabel="confidence", ylim=(0, 1.05 * max((b.n for b in panel.bins), default=1)))
    lower.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    return [Patch(facecolor=LIGHT, edgecolor=GREY, linewidth=0.6), dots, diagonal]
