"""A run's margins as effects of a forest plot."""

from epa_bench.core.metric import MetricInfo
from epa_bench.leaderboard.board import REFERENCE_METHOD, ArmResult, Leaderboard, Margin, MetricTable
from epa_bench.leaderboard.cells import MINUS, TIMES, margin_cells, metric_name, percent
from epa_bench.plots.series import Effect, Forest, ForestPanel


def margin_series(board: Leaderboard) -> Forest:
    """The headline metrics, or all where none is marked. A panel a unit; a metric without a unit has its own."""
    groups: dict[str, list[tuple[str, list[Effect]]]] = {}
    for table, results in compared(board):
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


def compared(board: Leaderboard) -> list[tuple[MetricTable, list[tuple[ArmResult, Margin]]]]:
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
