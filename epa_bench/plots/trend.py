"""Margins over versions: a panel a metric, a line an arm, zero across."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from epa_bench.core.errors import DataError
from epa_bench.core.one_line import one_line
from epa_bench.plots.paper import INK, legend_below, panel_title, paper_style, series_looks

_CHARACTER = 0.06
"""Inches that a letter of a version's name takes below the lowest panel."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A margin in one version, with its interval where it has one."""

    version: int
    """Place of the version in the figure's."""

    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class TrendPanel:
    """One metric."""

    title: str
    y_label: str
    series: Sequence[tuple[str, Sequence[Moment]]]
    """(arm, its moments)."""


@paper_style()
def trend_figure(panels: Sequence[TrendPanel], versions: Sequence[str], *, title: str, caption: str) -> Figure:
    """Panels one below the other over the same versions. Raises DataError without a margin."""
    arms = list(dict.fromkeys(arm for panel in panels for arm, moments in panel.series if moments))
    if not arms:
        raise DataError("no margins to plot: no version has one")
    looks = dict(zip(arms, series_looks(), strict=False))
    names = [one_line(version) for version in versions]
    height = 1.9 * len(panels) + 0.4 + _CHARACTER * max(map(len, names))
    figure = Figure(figsize=(max(4.8, 0.45 * len(versions) + 1.5), height))
    figure.suptitle(one_line(title), fontsize=9)
    handles: dict[str, Artist] = {}
    for axes, panel in zip(figure.subplots(len(panels), 1, squeeze=False, sharex=True).flat, panels, strict=True):
        axes.axhline(0, color=INK, linewidth=0.8, zorder=1)
        for place, (arm, moments) in enumerate(panel.series):
            if moments:
                # Beside each other, so that intervals of one version do not hide one another.
                aside = 0.08 * (place - (len(panel.series) - 1) / 2)
                handles[arm] = _draw(axes, moments, aside, *looks[arm])
        axes.set(ylabel=one_line(panel.y_label))
        axes.set_title(panel_title(panel.title))
    axes.set_xticks(range(len(versions)), names, rotation=60, ha="right")
    axes.set_xlim(-0.5, len(versions) - 0.5)
    legend_below(figure, [handles[arm] for arm in arms], arms, caption)
    return figure


def _draw(axes: Axes, moments: Sequence[Moment], aside: float, colour: str, marker: str) -> Artist:
    for moment in moments:
        if moment.interval is not None:
            axes.vlines(moment.version + aside, *moment.interval, color=colour, alpha=0.5, zorder=1)
    places = [moment.version + aside for moment in moments]
    (line,) = axes.plot(places, [moment.value for moment in moments], color=colour, marker=marker, zorder=2)
    return line
