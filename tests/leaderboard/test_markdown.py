# ruff: noqa: RUF001 - expected output holds multiplication and minus signs
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from epa_bench.core.metric import MetricInfo
from epa_bench.core.one_line import one_line
from epa_bench.core.records import ScoreRow
from epa_bench.leaderboard.board import Leaderboard
from epa_bench.leaderboard.build import build_table
from epa_bench.leaderboard.display import sheet_of
from epa_bench.leaderboard.markdown import escape, headline_markdown, to_markdown

Rows = list[ScoreRow]
RowMaker = Callable[..., Rows]

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
WIN_RATE = MetricInfo(label="win rate", unit="%", better="higher", scale=100, digits=1, headline=True)
METRICS = {("alpaca", "win_rate"): WIN_RATE}


def build(rows: Rows, **changes: Any) -> Leaderboard:
    arguments: dict[str, Any] = {"baseline": "dpo", "judge": {}, "title": "t", "versions": {}, **changes}
    return build_table(rows, **{"metrics": METRICS, **arguments})


def texts(markdown: str) -> list[str]:
    """What a reader sees of each block or cell; anything but plain text is shown as its token type."""
    return [_seen(token) for token in PARSER.parse(markdown) if token.type == "inline"]


def _seen(token: Token) -> str:
    return "".join(child.content if child.type == "text" else f"<{child.type}>" for child in token.children or [])


names = st.text(st.sampled_from("ab1 |\\`*_[]()<>&#~!$-+=.;:\n\t\u2028\x00\u202eé") | st.characters(codec="utf-8"))


@given(names, names)
def test_any_name_is_seen_as_itself_inside_a_table(one: str, other: str) -> None:
    table = f"| x | y |\n| --- | --- |\n| {escape(one)} | {escape(other)} |\n"
    assert texts(table) == ["x", "y", one_line(one), one_line(other)]


@given(names)
def test_titles_and_notes_are_text(name: str) -> None:
    note = f"{name}."
    board = BOARD.model_copy(update={"title": f"t{name}", "notes": (note, "last")})
    seen = texts(to_markdown(sheet_of(board)))
    assert seen[0] == one_line(f"t{name}")
    assert seen[-2:] == [one_line(note), "last"]


@pytest.mark.parametrize("note", ["# head", "- item", "1. one", "12) two", "+ x", "===", "---", "    code", "> quote"])
def test_a_note_never_starts_a_block(note: str) -> None:
    assert texts(to_markdown(sheet_of(BOARD.model_copy(update={"notes": (note,)}))))[-1] == one_line(note)


def test_pipes_and_tags_in_the_source() -> None:
    assert escape("a|b <i>`c`</i>\nreward_accuracy _x_") == r"a\|b &lt;i&gt;\`c\`&lt;/i&gt; reward_accuracy \_x\_"


def test_metric_table_of_the_worked_case(worked_rows: Rows) -> None:
    lines = to_markdown(sheet_of(build(worked_rows, judge={"alpaca": "gold 1"}))).splitlines()
    lines = lines[lines.index("## alpaca · win rate") :]
    assert lines[2] == (
        "| Arm | Score (95 %) | Prompts × seeds | Margin (95 %) | Against | MDE | Paired prompts × seeds "
        "| Failed rows | Seeds |"
    )
    # se = .26352, t(.975, 2.43902) = 3.6473, t(.8, 2.43902) = 1.0119: half width 96.1, MDE 122.7 in percent.
    cells = lines[5].split(" | ")
    assert cells[0] == "| epa-1-1-2"
    assert cells[1].startswith("66.7 (")
    assert cells[2:] == ["3 × 2", "+33.3 (-62.6, +129.2) ○", "dpo", "122.7", "3 × 2", "0", "0, 1 |"]
    assert lines[4].endswith("| 3 × 2 | baseline |  |  |  | 0 | 0, 1 |")
    assert lines[7] == "In %; higher is better. Judge: gold 1. Intervals: crossed: seeds x prompts."


def test_signs_marks_and_reasons(rows_of: RowMaker) -> None:
    flat = {"a": 0.0, "b": 0.0, "c": 0.0}
    rows = [
        *rows_of("dpo", {0: flat}),
        *rows_of("epa-up", {0: {"a": 0.5, "b": 0.5, "c": 0.6}}),
        *rows_of("epa-down", {0: {"a": -0.5, "b": -0.5, "c": -0.5}}),
        *rows_of("epa-late", {5: {"a": 0.5, "b": "failed", "c": 0.5}}),
    ]
    text = to_markdown(sheet_of(build(rows)))
    assert "| -50.0 (-50.0, -50.0)† | 3 × 1 | -50.0 (-50.0, -50.0)† ▼ | dpo | 0.0 |" in text
    assert "† ▲ | dpo |" in text
    assert "| none: no common seed: 5 here, 0 for dpo | dpo |  | 0 × 0, 3 left out | 1 | 5 |" in text
    assert "| 50.0 (50.0, 50.0)† | 2 × 1, 1 left out |" in text
    assert "Intervals: † prompts only: seed variance not estimated." in text


def test_versions_are_sorted_and_notes_kept_in_order(worked_rows: Rows) -> None:
    text = to_markdown(sheet_of(build(worked_rows, versions={"vllm": "0.32", "torch": "2.13"}, notes=["z", "a"])))
    assert text.endswith("## Versions\n\n- torch 2.13\n- vllm 0.32\n\n## Notes\n\n- z\n- a\n")


def test_headline_with_one_candidate_has_a_column_an_arm(worked_rows: Rows, rows_of: RowMaker) -> None:
    reference = rows_of("reference", {0: {"a": 0.0, "b": 0.25, "c": 0.5}}, beta=0.0, learning_rate=0.0)
    only_dpo = rows_of("dpo", {0: {"a": 3.0, "b": 4.0}}, metric="length")
    metrics = {**METRICS, ("alpaca", "length"): MetricInfo(label="length", unit="chars", digits=0, headline=True)}
    lines = headline_markdown(build([*worked_rows, *reference, *only_dpo], metrics=metrics)).splitlines()
    assert lines[0] == (
        "| Suite · metric | dpo | epa-1-1-2 | reference | epa-1-1-2 − dpo (95 %) | MDE | Prompts × seeds |"
    )
    assert lines[2] == "| alpaca · length (chars) | 4 | no rows | no rows | no arm to compare |  |  |"
    assert lines[3] == ("| alpaca · win rate (%) ↑ | 33.3 | 66.7 | 25.0 | +33.3 (-62.6, +129.2) ○ | 122.7 | 3 × 2 |")


def test_headline_with_several_candidates_has_a_line_an_arm(worked_rows: Rows, rows_of: RowMaker) -> None:
    rows = [
        *worked_rows,
        *rows_of("epa-0-0-1", {0: {"a": 1.0, "b": 1.0, "c": 1.0}}),
        *rows_of("dpo-2", {0: {"a": 1.0}}, beta=0.5),
    ]
    lines = headline_markdown(build(rows)).splitlines()
    assert [line.split(" | ")[1:5] for line in lines[2:5]] == [
        ["dpo-2", "100.0", "none", ""],
        ["epa-0-0-1", "100.0", "dpo", "33.3"],
        ["epa-1-1-2", "66.7", "dpo", "33.3"],
    ]


def test_headline_with_a_few_candidates_has_a_column_a_margin(worked_rows: Rows, rows_of: RowMaker) -> None:
    reference = rows_of("reference", {0: {"a": 0.0, "b": 0.25, "c": 0.5}}, beta=0.0, learning_rate=0.0)
    rows = [*worked_rows, *reference, *rows_of("nll", {0: {"a": 1.0, "b": 1.0, "c": 1.0}})]
    lines = headline_markdown(build(rows)).splitlines()
    assert lines[0] == (
        "| Suite · metric | reference | dpo | epa-1-1-2 − dpo (95 %) | nll − dpo (95 %) | Prompts × seeds |"
    )
    cells = lines[2].split(" | ")
    assert cells[:4] == ["| alpaca · win rate (%) ↑", "25.0", "33.3", "+33.3 (-62.6, +129.2) ○, MDE 122.7"]
    assert cells[5] == "3 × 2; 3 × 1 |"


def test_whole_leaderboard_opens_with_the_headline(worked_rows: Rows) -> None:
    board = build(worked_rows)
    assert to_markdown(sheet_of(board)).splitlines()[2:5] == headline_markdown(board).splitlines()[:3]


def test_headline_counts_failures_and_names_judges(rows_of: RowMaker) -> None:
    rows = [*rows_of("epa", {0: {"a": 1.0, "b": "x", "c": 0.0}}), *rows_of("dpo", {0: {"a": 1.0, "b": "y", "c": 1.0}})]
    text = headline_markdown(build(rows, judge={"alpaca": "gold | 1", "other": "unused"}))
    assert text.endswith("Failed rows, counted and never scored: 2. Judges: alpaca: gold \\| 1.\n")
    assert "| 2 × 1, 1 left out |" in text


def test_headline_without_a_marked_metric_says_so(worked_rows: Rows) -> None:
    assert headline_markdown(build(worked_rows, metrics={})) == "No metric of these rows is marked for the headline.\n"


def test_rounding_never_shows_minus_zero(rows_of: RowMaker) -> None:
    rows = [*rows_of("epa", {0: {"a": -1e-9, "b": -1e-9}}), *rows_of("dpo", {0: {"a": 0.0, "b": 0.0}})]
    text = to_markdown(sheet_of(build(rows)))
    assert "-0.0" not in text
    assert "+0.0 (+0.0, +0.0)† ▼" in text


def _small_board() -> Leaderboard:
    row = {"suite": "s", "metric": "m", "method": "dpo", "beta": 0.1, "learning_rate": 1e-6, "seed": 0, "value": 1.0}
    return build([ScoreRow.model_validate({**row, "arm": "dpo", "prompt_id": prompt}) for prompt in "ab"])


BOARD = _small_board()
