"""One metric against another: every arm with its intervals, methods as curves."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from epa_bench.core.errors import DataError
from epa_bench.core.one_line import one_line
from epa_bench.plots.paper import GREY, INK, legend_below, paper_style, series_looks
from epa_bench.plots.series import Curve, TradeOff


@paper_style()
def trade_off_figure(trade_off: TradeOff) -> Figure:
    """The star is the reference. Raises DataError without an arm."""
    curves = trade_off.curves
    if not any(curve.places for curve in curves):
        raise DataError("no arms to plot: the run has only its reference")
    figure = Figure(figsize=(4.8, 3.3))
    axes = figure.add_subplot()
    handles, labels = [], []
    if trade_off.reference is not None:
        x, y = trade_off.reference
        handles += axes.plot([x], [y], "*", color=INK, markersize=8, linestyle="none", zorder=4)
        labels.append("reference")
    for curve, (colour, marker) in zip(curves, series_looks(), strict=False):
        handles.append(_draw(axes, curve, colour, marker))
        labels.append(curve.label)
    axes.set(xlabel=one_line(trade_off.x_label), ylabel=one_line(trade_off.y_label))
    legend_below(figure, handles, labels, trade_off.caption)
    return figure


def _draw(axes: Axes, curve: Curve, colour: str, marker: str) -> Line2D:
    xs, ys = [place.x.value for place in curve.places], [place.y.value for place in curve.places]
    bars: dict[str, Any] = {"color": colour, "alpha": 0.5, "linewidth": 0.8, "zorder": 1}
    axes.hlines(ys, [place.x.low for place in curve.places], [place.x.high for place in curve.places], **bars)
    axes.vlines(xs, [place.y.low for place in curve.places], [place.y.high for place in curve.places], **bars)
    (line,) = axes.plot(xs, ys, color=colour, marker=marker, markersize=5)
    for place in curve.places:
        at = (place.x.value, place.y.value)
        axes.annotate(one_line(place.note), at, (4, -8), textcoords="offset points", fontsize=6, color=GREY)
        if place.hollow:
            axes.plot(*at, color=colour, marker=marker, markersize=5, markerfacecolor="white")
    return line
