"""Which margins a reader looks at first."""

from epa_bench.leaderboard.board import REFERENCE_METHOD, ArmResult, Leaderboard, Margin, MetricTable
from epa_bench.report.loaded import LoadedRun


def leading_table(board: Leaderboard) -> MetricTable:
    """The first of the headline that a judge decided, else the first of it, else the first of all."""
    headline = [table for table in board.tables if table.info.headline] or list(board.tables)
    return next((table for table in headline if table.judge is not None), headline[0])


def compared(run: LoadedRun, table: MetricTable) -> list[tuple[ArmResult, Margin]]:
    """The arms with a margin, methods of another loss than the baseline's first: the others explain them."""
    margins = [(result, result.margin) for result in table.arms if result.margin and result.method != REFERENCE_METHOD]
    known = [(result, margin) for result, margin in margins if margin.value is not None and margin.against is not None]
    return sorted(known, key=lambda pair: (_is_control(run, pair[0]), pair[0].method, pair[0].arm))


def _is_control(run: LoadedRun, result: ArmResult) -> bool:
    methods = (run.sweep or {}).get("methods", {})
    # A table of several references calls a method REFERENCE/METHOD.
    method, baseline = (methods.get(name.rpartition("/")[2], {}) for name in (result.method, run.board.baseline))
    return method.get("control_of") is not None or method.get("loss") == baseline.get("loss", "")
