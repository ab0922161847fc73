"""What the documents say is what the program wrote."""

from pathlib import Path

from epa_bench.leaderboard.board import Leaderboard
from epa_bench.leaderboard.display import sheet_of
from epa_bench.leaderboard.render import headline_markdown, to_csv, to_markdown

ROOT = Path(__file__).resolve().parents[1]
BOARD = Leaderboard.model_validate_json((ROOT / "leaderboards" / "demo.json").read_bytes())


def test_the_readmes_table_is_the_committed_leaderboards() -> None:
    readme = (ROOT / "README.md").read_text()
    shown = readme.split("<!-- headline -->\n")[1].split("<!-- /headline -->")[0]
    assert shown.strip() == headline_markdown(BOARD).strip()


def test_the_committed_tables_are_of_one_run() -> None:
    assert (ROOT / "leaderboards" / "demo.md").read_text() == to_markdown(sheet_of(BOARD))
    assert (ROOT / "leaderboards" / "demo.csv").read_text() == to_csv(BOARD)


def test_the_page_on_poft_has_the_committed_tables_headline() -> None:
    board = Leaderboard.model_validate_json((ROOT / "leaderboards" / "poft.json").read_bytes())
    page = (ROOT / "epa_bench" / "docs" / "poft.md").read_text()
    assert f"<!-- headline -->\n{headline_markdown(board).strip()}\n<!-- /headline -->" in page
    assert (ROOT / "leaderboards" / "poft.md").read_text() == to_markdown(sheet_of(board))
