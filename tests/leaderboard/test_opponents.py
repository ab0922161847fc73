"""Several runs in one table: an arm is measured against the one that shares the parts the baseline leaves open."""

from collections.abc import Callable

import pytest

from epa_bench.core.metric import MetricInfo
from epa_bench.core.records import ScoreRow
from epa_bench.leaderboard.board import Leaderboard
from epa_bench.leaderboard.build import build_again, build_table
from epa_bench.leaderboard.markdown import headline_markdown
from epa_bench.leaderboard.opponents import baseline_of

RowMaker = Callable[..., list[ScoreRow]]

SHOWN = {("alpaca", "win_rate"): MetricInfo(label="win rate", headline=True)}


@pytest.mark.parametrize(
    ("method", "baseline", "opponent"),
    [
        ("epa", "dpo", "dpo"),
        ("b/epa", "a/dpo", "a/dpo"),
        ("b/epa", "*/dpo", "b/dpo"),
        ("poft/n50/epa", "*/*/dpo", "poft/n50/dpo"),
        ("poft/n50/epa", "sft/*/*", "sft/n50/epa"),
        # Of another depth: the baseline as it stands, which is nobody's name.
        ("epa", "*/dpo", "*/dpo"),
    ],
)
def test_a_star_is_the_methods_own_part(method: str, baseline: str, opponent: str) -> None:
    assert baseline_of(method, baseline) == opponent


def build(rows_of: RowMaker, baseline: str) -> Leaderboard:
    """Two references, each with two arms; the arms' values are 1, 2, 4 and 8."""
    values = {f"{reference}/{arm}": 0.0 for reference in ("sft", "poft") for arm in ("dpo", "epa")}
    rows = [
        row.model_copy(update={"method": name})
        for i, name in enumerate(values)
        for row in rows_of(name, {1: {"a": 2.0**i, "b": 2.0**i}, 2: {"a": 2.0**i, "b": 2.0**i}})
    ]
    board = build_table(rows, baseline=baseline, judge={}, title="t", versions={}, metrics=SHOWN)
    assert build_again(rows, board) == board
    return board


def margins(board: Leaderboard) -> dict[str, float | None]:
    return {each.arm: each.margin.value if each.margin else None for each in board.tables[0].arms}


def test_margins_within_and_between_runs(rows_of: RowMaker) -> None:
    within, between = build(rows_of, "*/dpo"), build(rows_of, "sft/*")
    assert margins(within) == {"poft/dpo": None, "sft/dpo": None, "poft/epa": 4.0, "sft/epa": 1.0}
    assert margins(between) == {"sft/dpo": None, "sft/epa": None, "poft/dpo": 3.0, "poft/epa": 6.0}


def test_the_headline_names_the_opponent_of_every_arm(rows_of: RowMaker) -> None:
    """Two opponents: no column could be headed by one of them."""
    lines = headline_markdown(build(rows_of, "*/dpo")).splitlines()
    assert [line.split(" | ")[1:5] for line in lines[2:4]] == [
        ["poft/epa", "8.000", "poft/dpo", "4.000"],
        ["sft/epa", "2.000", "sft/dpo", "1.000"],
    ]
