"""Length against win: does the arm that wins more also answer at greater length?"""

from epa_bench.core.errors import ConfigError
from epa_bench.core.metric import MetricInfo
from epa_bench.leaderboard.board import REFERENCE_METHOD, ArmResult, Leaderboard, MetricTable
from epa_bench.plots.series import Curve, Place, Range, TradeOff


def length_series(board: Leaderboard) -> dict[str, TradeOff]:
    """Suite -> win rate against mean length of every arm, as the table has them: lengths of the suite's own answers
    where it measures them, else of the generation suite's.

    Raises ConfigError where no suite has a win rate, or none a length.
    """
    wins = {table.suite: table for table in board.tables if table.metric == "win_rate"}
    lengths = {table.suite: table for table in board.tables if table.metric == "length"}
    found = {
        suite: _trade_off(board.title, win, length)
        for suite, win in wins.items()
        if (length := lengths.get(suite) or next(iter(lengths.values()), None)) is not None
    }
    if not found:
        raise ConfigError(
            f"{board.title} has no {'length' if wins else 'win rate'}; add generation: {{}} and a suite with a judge "
            "to its `suites` and run it again"
        )
    return found


def _trade_off(title: str, win: MetricTable, length: MetricTable) -> TradeOff:
    places = {
        result.arm: Place("", x, y)
        for result in win.arms
        if (y := _range(result, win.info)) is not None and (x := _arm_range(length, result.arm)) is not None
    }
    reference = places.pop(REFERENCE_METHOD, None)
    return TradeOff(
        x_label=f"{length.suite} · {length.info.label} ({length.info.unit})",
        y_label=f"{win.suite} · {win.info.label} ({win.info.unit})",
        curves=[Curve(arm, [place]) for arm, place in places.items()],
        reference=None if reference is None else (reference.x.value, reference.y.value),
        caption=f"{title}. Lines: the table's intervals. An arm without one in both metrics is left out.",
    )


def _arm_range(table: MetricTable, arm: str) -> Range | None:
    return next((_range(result, table.info) for result in table.arms if result.arm == arm), None)


def _range(result: ArmResult, info: MetricInfo) -> Range | None:
    """Scaled as the table shows it."""
    found = result.score.interval
    if found is None:
        return None
    return Range(found.estimate * info.scale, found.low * info.scale, found.high * info.scale)
