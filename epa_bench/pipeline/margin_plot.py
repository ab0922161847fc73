"""A run's margins as a forest plot."""

from pathlib import Path
from typing import Any

from epa_bench.core.metric import MetricInfo
from epa_bench.leaderboard.board import REFERENCE_METHOD, ArmResult, Leaderboard, Margin, MetricTable
from epa_bench.leaderboard.cells import MINUS, TIMES, margin_cells, metric_name, percent
from epa_bench.leaderboard.run_files import read_run
from epa_bench.pipeline.plot_files import write_figure
from epa_bench.plots.forest import forest_figure
from epa_bench.plots.paper import Format
from epa_bench.plots.series import Effect, Forest, ForestPanel


def plot_margin(run_folder: Path, leaderboards: Path, only: Format | None) -> list[dict[str, Any]]:
    """Writes NAME.margins.svg and .png beside the tables. Gives a row a margin.

    Raises StoreError where the folder holds no run whose table was written, DataError for damaged rows or a run without
    a margin.
    """
    _, board = read_run(run_folder)
    plot = write_figure(forest_figure(margin_series(board)), leaderboards / f"{run_folder.name}.margins", only)
    return [
        {"suite": table.suite, "metric": table.metric, "arm": result.arm, "margin": margin.value, "plot": plot}
        for table, results in _compared(board)
        for result, margin in results
    ]


def margin_series(board: Leaderboard) -> Forest:
    """The headline metrics, or all where none is marked. A panel a unit; a metric without a unit has its own."""
    groups: dict[str, list[tuple[str, list[Effect]]]] = {}
    for table, results in _compared(board):
        effects = [_effect(result, margin, table.info) for result, margin in results]
        groups.setdefault(table.info.unit or table.info.label, []).append((metric_name(table), effects))
    return Forest(
        title=f"{board.title}: margins over {board.baseline}",
        panels=[ForestPanel(f"margin ({scale})", of_unit) for scale, of_unit in groups.items()],
        caption=(
            f"Lines: {percent(board.level)} intervals over seeds and prompts († prompts only, ‡ seeds only), not "
            "corrected for the number of margins. Beside them the margin, its interval, and paired prompts "
            f"{TIMES} seeds. Hollow: no interval. Grey: effects that are found with a probability below .8."
        ),
    )


def _compared(board: Leaderboard) -> list[tuple[MetricTable, list[tuple[ArmResult, Margin]]]]:
    """The tables that are shown, with their arms but the reference, each beside its margin."""
    shown = [table for table in board.tables if table.info.headline] or board.tables
    candidates = [
        (table, [(r, r.margin) for r in table.arms if r.margin is not None and r.method != REFERENCE_METHOD])
        for table in shown
    ]
    return [(table, results) for table, results in candidates if results]


def _effect(result: ArmResult, margin: Margin, info: MetricInfo) -> Effect:
    figures, _, over = margin_cells(margin, info)
    interval = margin.interval
    return Effect(
        label=f"{result.arm} {MINUS} {margin.against}" if margin.against else result.arm,
        text=f"{figures}, {over}",
        value=None if margin.value is None else margin.value * info.scale,
        interval=None if interval is None else (interval.low * info.scale, interval.high * info.scale),
        mde=None if margin.mde is None else margin.mde * info.scale,
    )
