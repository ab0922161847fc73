import csv
import io
import json
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from epa_bench.core.metric import MetricInfo
from epa_bench.core.records import ScoreRow
from epa_bench.leaderboard.board import Leaderboard
from epa_bench.leaderboard.build import build_table
from epa_bench.leaderboard.display import sheet_of
from epa_bench.leaderboard.render import to_csv, to_json, to_markdown, to_terminal

Rows = list[ScoreRow]
RowMaker = Callable[..., Rows]

HOSTILE = "a|b`c`<b>\n# _x_ [red]*y*\x1b[31m"


def build(rows: Rows, **changes: Any) -> Leaderboard:
    arguments: dict[str, Any] = {"baseline": "dpo", "judge": {}, "title": "t", "versions": {}, **changes}
    return build_table(rows, **arguments)


def terminal_text(board: Leaderboard, *, full: bool = True) -> str:
    console = Console(file=io.StringIO(), width=400, color_system=None)
    console.print(to_terminal(sheet_of(board, full=full)))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


@pytest.fixture(scope="session")
def gappy_rows(worked_rows: Rows, rows_of: RowMaker) -> Rows:
    """With every kind of absence: a failure, a missing seed, a lone seed, a lone prompt, a hostile arm."""
    return [
        *worked_rows,
        *rows_of("reference", {0: {"a": 0.5, "b": "failed: \n,\"'"}}, beta=0.0, learning_rate=0.0),
        *rows_of(HOSTILE, {9: {"a": 0.1, "b": 0.7}}, suite="alpaca"),
        *rows_of("epa-1-1-2", {0: {"all": 0.1}, 1: {"all": 0.3}}, suite="probes", metric="slope"),
    ]


def test_json_round_trip(gappy_rows: Rows) -> None:
    board = build(gappy_rows, versions={"torch": "2"}, notes=["n"], judge={"alpaca": HOSTILE})
    text = to_json(board)
    assert Leaderboard.model_validate_json(text) == board
    plain = json.loads(text)
    assert list(plain) == sorted(plain)
    assert plain["tables"][0]["arms"][0]["score"]["value"] == board.tables[0].arms[0].score.value


def test_csv_round_trip(gappy_rows: Rows) -> None:
    board = build(gappy_rows)
    lines = list(csv.DictReader(io.StringIO(to_csv(board), newline="")))
    results = [result for table in board.tables for result in table.arms]
    assert [line["arm"] for line in lines] == [result.arm for result in results]
    assert [line["score_n_left_out"] for line in lines] == [str(result.score.n_left_out) for result in results]
    for name, cells in (("score", [r.score for r in results]), ("margin", [r.margin for r in results])):
        values = [cell.value if cell else None for cell in cells]
        lows = [cell.interval.low if cell and cell.interval else None for cell in cells]
        assert [float(line[name]) if line[name] else None for line in lines] == values
        assert [float(line[f"{name}_low"]) if line[f"{name}_low"] else None for line in lines] == lows


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_output_does_not_depend_on_the_order_of_rows(gappy_rows: Rows, rng: random.Random) -> None:
    shuffled = rng.sample(gappy_rows, len(gappy_rows))
    one, other = build(gappy_rows, versions={"a": "1", "b": "2"}), build(shuffled, versions={"b": "2", "a": "1"})
    for form in (to_json, to_csv, terminal_text):
        assert form(one) == form(other)
    assert to_markdown(sheet_of(one)) == to_markdown(sheet_of(other))


def test_terminal_shows_names_as_text(gappy_rows: Rows) -> None:
    shown = terminal_text(build(gappy_rows, title="[bold]title"))
    assert "[bold]title" in shown
    assert "a|b`c`<b> # _x_ [red]*y*\ufffd[31m" in shown
    assert "\x1b" not in shown


def test_terminal_has_the_headline_first(worked_rows: Rows) -> None:
    info = MetricInfo(label="win rate", headline=True)
    shown = terminal_text(build(worked_rows, metrics={("alpaca", "win_rate"): info}))
    assert shown.index("Suite · metric") < shown.index("Failed rows")


def test_terminal_shows_all_metrics_only_when_asked(worked_rows: Rows) -> None:
    board = build(worked_rows, metrics={("alpaca", "win_rate"): MetricInfo(label="win rate", headline=True)})
    shown = terminal_text(board, full=False)
    assert "Suite · metric" in shown
    assert "Paired prompts" not in shown
    assert "Paired prompts" in terminal_text(board)


def test_rendering_does_not_load_torch() -> None:
    code = "import epa_bench.leaderboard.build, epa_bench.leaderboard.render, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
