"""What the documents say is what the program wrote."""

from pathlib import Path

import pytest

from epa_bench.leaderboard.board import Leaderboard
from epa_bench.leaderboard.cells import MINUS, margin_cells
from epa_bench.leaderboard.display import sheet_of
from epa_bench.leaderboard.render import headline_markdown, to_csv, to_markdown

ROOT = Path(__file__).resolve().parents[1]
POFT_PAGE = (ROOT / "epa_bench" / "docs" / "poft.md").read_text()
BOARD = Leaderboard.model_validate_json((ROOT / "leaderboards" / "demo.json").read_bytes())


def test_the_readmes_table_is_the_committed_leaderboards() -> None:
    readme = (ROOT / "README.md").read_text()
    shown = readme.split("<!-- headline -->\n")[1].split("<!-- /headline -->")[0]
    assert shown.strip() == headline_markdown(BOARD).strip()


def test_the_committed_tables_are_of_one_run() -> None:
    assert (ROOT / "leaderboards" / "demo.md").read_text() == to_markdown(sheet_of(BOARD))
    assert (ROOT / "leaderboards" / "demo.csv").read_text() == to_csv(BOARD)


def test_the_page_on_poft_has_the_committed_tables_headline() -> None:
    board = Leaderboard.model_validate_json((ROOT / "leaderboards" / "poft-half-swapped.json").read_bytes())
    assert f"<!-- headline -->\n{headline_markdown(board).strip()}\n<!-- /headline -->" in POFT_PAGE


def test_the_page_on_poft_has_the_committed_margins_between_references() -> None:
    board = Leaderboard.model_validate_json((ROOT / "leaderboards" / "poft-references.json").read_bytes())
    (table,) = (table for table in board.tables if table.metric == "gold_reward")
    margins = {result.arm: result.margin for result in table.arms}
    others = ("poft", "poft-shuffled", "filter+sft", "filter+poft")
    lines = [
        f"| {share} % | {trained} | "
        + " | ".join(margin_cells(margins[f"{recipe}/n{share}/{trained}"], table.info)[0] for recipe in others)
        + " |"
        for share in (0, 25, 50)
        for trained in ("none", "dpo", "epa-1-1-2")
    ]
    header = ["Swapped", "Trained on top", *(f"{recipe} {MINUS} sft (95 %)" for recipe in others)]
    grid = [f"| {' | '.join(header)} |", f"| :--- | :--- |{' ---: |' * len(others)}", *lines]
    assert "<!-- grid -->\n" + "\n".join(grid) + "\n<!-- /grid -->" in POFT_PAGE
    assert {cell.n_prompts for cell in margins.values() if cell} == {200}


@pytest.mark.parametrize("name", ["poft", "poft-references", "poft-half-swapped"])
def test_the_tables_on_poft_are_of_one_run(name: str) -> None:
    board = Leaderboard.model_validate_json((ROOT / "leaderboards" / f"{name}.json").read_bytes())
    assert (ROOT / "leaderboards" / f"{name}.md").read_text() == to_markdown(sheet_of(board))
    assert (ROOT / "leaderboards" / f"{name}.csv").read_text() == to_csv(board)
