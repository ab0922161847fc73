"""The judge's section, worked by hand."""

from pathlib import Path

from epa_bench.report.judge import judge
from epa_bench.report.loaded import load_run
from tests.report.handmade import Judged, write_handmade


def test_agreement_place_failures_tokens_and_dollars(tmp_path: Path) -> None:
    examples = {
        # Both orders prefer the answer; the first wins with .2 (shown second) and .9 (shown first).
        "a": {("dpo", 1): Judged("1", (1.8, 1.9))},
        # The orders disagree: whichever is shown first wins, with .7 and .6.
        "b": {("dpo", 1): Judged("2", (1.3, 1.6))},
        "c": {("dpo", 1): Judged("3", (None, 1.6))},
        # Nobody was asked about equal answers.
        "d": {("dpo", 1): Judged("reference of d", ())},
    }
    prices = {"input": 10, "output": 30}
    run = write_handmade(tmp_path / "runs", examples, judge={"kind": "api", "model": "j", "prices": prices})
    table = judge((load_run(run, run.parent),)).data.runs[0].table
    (line,) = table.rows
    told = dict(zip(table.header, line, strict=True))
    assert told["Verdicts"] == "3"
    assert told["Failed or unread"] == "⚠ 1 (unread 1)"
    assert told["Equal answers"] == "1"
    assert told["Both orders agree"] == "50.0% of 2"
    assert told["Shown first wins"] == f"{(0.2 + 0.9 + 0.7 + 0.6 + 0.6) / 5:.1%}"
    assert told["Mass outside labels"] == "2.00%"
    assert told["Tokens in / out"] == "600 / 60"
    assert told["Dollars"] == f"{(600 * 10 + 60 * 30) / 1e6:.4f}"


def test_a_programmatic_judge_has_no_columns_of_calls(tmp_path: Path) -> None:
    run = write_handmade(tmp_path / "runs", {"a": {("dpo", 1): Judged("x", (1.5,))}}, judge={"kind": "gold"})
    header = judge((load_run(run, run.parent),)).data.runs[0].table.header
    assert "Dollars" not in header
    assert "Verdicts" in header
