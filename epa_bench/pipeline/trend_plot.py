"""A leaderboard's margins over its versions as a figure."""

from pathlib import Path
from typing import Any

from epa_bench.leaderboard.cells import direction
from epa_bench.leaderboard.trend import Trend, TrendPoint
from epa_bench.plots.files import write_figure
from epa_bench.plots.paper import Format
from epa_bench.plots.trend import Moment, TrendPanel, trend_figure


def plot_trend(trend: Trend, path: Path, only: Format | None) -> list[dict[str, Any]]:
    """Writes NAME.trend.svg and .png beside `path`, the leaderboard or the folder. Gives a row a margin.

    Raises DataError where no version has a margin, StoreError where the files cannot be written.
    """
    versions = _in_order(trend)
    panels: dict[tuple[str, str], list[TrendPoint]] = {}
    for point in trend.points:
        panels.setdefault((point.suite, point.metric), []).append(point)
    figure = trend_figure(
        [_panel(points, list(versions)) for points in panels.values()],
        list(versions.values()),
        title=f"{path.stem}: margins over versions",
        caption=(
            "Lines: intervals of each version, over its seeds and prompts. Versions may differ in more than the code: "
            "`epa-bench trend` says in what."
        ),
    )
    plot = write_figure(figure, path.with_name(f"{path.stem}.trend"), only)
    return [{**point.shown(), "plot": plot} for point in trend.points]


def _in_order(trend: Trend) -> dict[str, str]:
    """Version -> how the axis calls it, oldest first."""
    numbered = sorted({(point.number, point.version, point.date) for point in trend.points})
    return {version: f"{version} {date[:10]}".strip() for _, version, date in numbered}


def _panel(points: list[TrendPoint], versions: list[str]) -> TrendPanel:
    info = points[0].info
    series: dict[str, list[Moment]] = {}
    for point in points:
        margin, scale = point.margin, point.info.scale
        if margin.value is not None:
            ends = (margin.interval.low * scale, margin.interval.high * scale) if margin.interval else None
            moment = Moment(versions.index(point.version), margin.value * scale, ends)
            series.setdefault(f"{point.arm} over {margin.against}", []).append(moment)
    label = f"margin ({info.unit})" if info.unit else "margin"
    return TrendPanel(f"{points[0].suite}: {info.label}. {direction(info)}", label, list(series.items()))
