"""Grouped tables drawn: stale arms are marked, names are text in every format, what is absent says so."""

from collections.abc import Callable

import pytest

from epa_bench.core.errors import ConfigError
from epa_bench.core.metric import MetricInfo
from epa_bench.core.records import ScoreRow
from epa_bench.leaderboard.board import Leaderboard
from epa_bench.leaderboard.build import build_table
from epa_bench.leaderboard.group_tables import group_sheet
from epa_bench.leaderboard.groups import GroupedBoard, Place, factors_of, group_board
from epa_bench.leaderboard.html import to_html
from epa_bench.leaderboard.latex import to_latex
from epa_bench.leaderboard.markdown import to_markdown

RowMaker = Callable[..., list[ScoreRow]]

HOSTILE = "<script>|x_"


def _place(arm: str, model: str = "m") -> Place:
    return Place(model=model, data=HOSTILE, beta=0.1, learning_rate=1e-6, run="a", method=arm)


@pytest.fixture
def board(rows_of: RowMaker) -> Leaderboard:
    """`epa` is two above `dpo` on both prompts; `ipo` has failed on all, and has no rows of the other metric."""
    rows = [
        *rows_of("dpo", {1: {"p": 1.0, "q": 2.0}}),
        *rows_of("epa", {1: {"p": 3.0, "q": 4.5}}),
        *rows_of("ipo", {1: {"p": "no answer", "q": "no answer"}}),
        *rows_of("dpo", {1: {"p": 1.0, "q": 2.0}}, metric="length"),
        *rows_of("epa", {1: {"p": 1.0, "q": 2.0}}, metric="length"),
    ]
    info = MetricInfo(label="win rate", better="higher", digits=2, headline=True)
    board = build_table(
        rows, baseline="dpo", judge={"alpaca": HOSTILE}, title="t", versions={}, metrics={("alpaca", "win_rate"): info}
    )
    tables = (
        table.model_copy(
            update={
                "arms": tuple(
                    result.model_copy(update={"stale": ("data: 1 -> 2",)} if result.arm == "epa" else {})
                    for result in table.arms
                )
            }
        )
        for table in board.tables
    )
    return board.model_copy(update={"tables": tuple(tables)})


@pytest.fixture
def grouped(board: Leaderboard) -> GroupedBoard:
    places = {arm: _place(arm) for arm in ("dpo", "epa", "ipo")}
    return group_board(board, places, factors_of("model,data"), "dpo")


def test_absence_staleness_and_failures_are_said(grouped: GroupedBoard) -> None:
    (grid,) = group_sheet(grouped, full=False).grids
    assert grid.header[:3] == ("Model", "Data", "dpo")
    (line,) = grid.lines
    assert line.cells[2] == "1.50"
    assert line.cells[3].startswith("+2.25 (")
    assert "(stale), MDE" in line.cells[3]
    assert line.cells[4].startswith("none: no prompt has a value in every seed")
    assert "Failed rows, counted and never scored: 2." in grid.captions
    assert "Stale, would be otherwise today: epa: data: 1 -> 2." in grid.captions
    assert any("seed variance not estimated" in caption for caption in grid.captions)


def test_every_metric_when_asked(grouped: GroupedBoard) -> None:
    length, _ = group_sheet(grouped).grids
    # A method without a row of the metric has no column there, and is named.
    assert [name.partition(" ")[0] for name in length.header] == ["Model", "Data", "dpo", "epa", "Prompts"]
    assert "No rows: ipo." in length.captions


def test_names_are_text_in_every_format(grouped: GroupedBoard) -> None:
    sheet = group_sheet(grouped)
    assert "<script>" not in to_html(sheet)
    assert r"\textless{}script" in to_latex(sheet)
    assert "&lt;script&gt;\\|x" in to_markdown(sheet)


def test_two_arms_of_a_cell_are_refused(board: Leaderboard) -> None:
    places = {"dpo": _place("dpo"), "epa": _place("epa"), "ipo": _place("epa").model_copy(update={"beta": 0.5})}
    with pytest.raises(ConfigError, match=r"epa and ipo would stand on one line .*They differ in beta"):
        group_board(board, places, ("model",), "dpo")
