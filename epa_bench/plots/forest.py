"""Forest plots: effects with their intervals, what they could have detected, and zero."""

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from epa_bench.core.errors import DataError
from epa_bench.core.one_line import one_line
from epa_bench.plots.palette import COLOURS
from epa_bench.plots.paper import INK, LIGHT, legend_below, paper_style
from epa_bench.plots.series import Effect, Forest, ForestPanel

_LINE, _CHARACTER = 0.21, 0.062
"""Inches of a line and of a letter beside it."""


@paper_style()
def forest_figure(forest: Forest) -> Figure:
    """Panels one below the other, zero in the middle of each. Raises DataError without an effect."""
    panels = forest.panels
    if not any(effects for panel in panels for _, effects in panel.groups):
        raise DataError("no margins to plot: no arm is compared with another")
    lines = [len(panel.lines) for panel in panels]
    width = max(6.75, 2.2 + _CHARACTER * max(map(_characters, panels)))
    figure = Figure(figsize=(width, _LINE * sum(lines) + 0.5 * len(panels) + 0.4))
    figure.suptitle(one_line(forest.title), fontsize=9)
    for axes, panel in zip(
        figure.subplots(len(panels), 1, squeeze=False, height_ratios=lines).flat, panels, strict=True
    ):
        handles = _draw(axes, panel)
    legend_below(figure, handles, ["margin and its interval", "below the minimum detectable effect"], forest.caption)
    return figure


def _characters(panel: ForestPanel) -> int:
    """Of the longest text on the left with the longest on the right."""
    left, right = [label for label, _ in panel.lines], [effect.text for _, effect in panel.lines if effect]
    return max(map(len, left), default=0) + max(map(len, right), default=0)


def _draw(axes: Axes, panel: ForestPanel) -> list[Artist]:
    axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
    for line, (_, effect) in enumerate(panel.lines):
        if effect is not None:
            _draw_effect(axes, effect, line)
    reach = 1.05 * panel.reach or 1
    axes.set(xlim=(-reach, reach), ylim=(len(panel.lines) - 0.4, -0.6), xlabel=one_line(panel.x_label))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.spines["left"].set_visible(False)
    right = axes.secondary_yaxis("right")
    left_texts = [one_line(label) if effect is None else f"{one_line(label)}  " for label, effect in panel.lines]
    right_texts = ["" if effect is None else f"  {one_line(effect.text)}" for _, effect in panel.lines]
    for axis, texts in ((axes.yaxis, left_texts), (right.yaxis, right_texts)):
        axis.set_ticks(range(len(texts)), texts)
        axis.set_tick_params(length=0)
    right.spines["right"].set_visible(False)
    for tick, (_, effect) in zip(axes.get_yticklabels(), panel.lines, strict=True):
        tick.set_fontweight("bold" if effect is None else "normal")
    return [*axes.plot([], [], "o-", color=COLOURS[0]), Patch(color=LIGHT)]


def _draw_effect(axes: Axes, effect: Effect, line: int) -> None:
    if effect.mde is not None:
        axes.barh(line, 2 * effect.mde, left=-effect.mde, height=0.7, color=LIGHT, zorder=0)
    if effect.interval is not None:
        axes.hlines(line, *effect.interval, color=COLOURS[0], linewidth=1.2, zorder=2)
    if effect.value is not None:
        face = COLOURS[0] if effect.interval is not None else "white"
        axes.plot([effect.value], [line], "o", color=COLOURS[0], markerfacecolor=face, zorder=3)
