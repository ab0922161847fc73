"""Figures of what a run's table says, as files: margins, frontier, length against win."""

from pathlib import Path
from typing import Any

from epa_bench.core.files import atomic_write_text
from epa_bench.leaderboard.run_files import read_run
from epa_bench.pipeline.frontier import frontier_of
from epa_bench.pipeline.frontier_series import frontier_series
from epa_bench.pipeline.frontier_table import frontier_csv
from epa_bench.pipeline.length_series import length_series
from epa_bench.pipeline.margin_series import compared, margin_series
from epa_bench.plots.files import write_figure
from epa_bench.plots.forest import forest_figure
from epa_bench.plots.paper import Format
from epa_bench.plots.trade_off import trade_off_figure


def plot_margin(run_folder: Path, leaderboards: Path, only: Format | None) -> list[dict[str, Any]]:
    """Writes NAME.margins.svg and .png beside the tables. Gives a row a margin.

    Raises StoreError where the folder holds no run whose table was written, DataError for damaged rows or a run without
    a margin.
    """
    _, board = read_run(run_folder)
    plot = write_figure(forest_figure(margin_series(board)), leaderboards / f"{run_folder.name}.margins", only)
    return [
        {"suite": table.suite, "metric": table.metric, "arm": result.arm, "margin": margin.value, "plot": plot}
        for table, results in compared(board)
        for result, margin in results
    ]


def plot_frontier(
    run_folder: Path, leaderboards: Path, only: Format | None, *, reward: str, kl: str, baseline: str
) -> list[dict[str, Any]]:
    """Writes NAME.frontier.svg, .png and .csv beside the tables. Gives a row an arm.

    Raises what `frontier_of` raises, and StoreError where the files cannot be written.
    """
    found = frontier_of(run_folder, reward=reward, kl=kl, baseline=baseline)
    path = leaderboards / f"{run_folder.name}.frontier"
    plot = write_figure(trade_off_figure(frontier_series(found)), path, only)
    atomic_write_text(path.with_name(f"{path.name}.csv"), frontier_csv(found))
    return [
        {"arm": point.arm, "beta": point.beta, "kl": point.kl.value, "reward": point.reward.value, "plot": plot}
        for point in found.points
    ]


def plot_length(run_folder: Path, leaderboards: Path, only: Format | None) -> list[dict[str, Any]]:
    """Writes NAME.length.SUITE.svg and .png beside the tables, for every suite with a win rate. Gives a row an arm.

    Raises ConfigError where the run has no win rate or no length, StoreError where it has no table.
    """
    _, board = read_run(run_folder)
    shown = []
    for suite, trade_off in length_series(board).items():
        path = leaderboards / f"{run_folder.name}.length.{suite}"
        plot = write_figure(trade_off_figure(trade_off), path, only)
        shown += [
            {"suite": suite, "arm": curve.label, "length": place.x.value, "win_rate": place.y.value, "plot": plot}
            for curve in trade_off.curves
            for place in curve.places
        ]
    return shown
