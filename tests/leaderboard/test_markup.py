"""LaTeX and HTML: all of the numbers, and nothing of a hostile name that acts."""

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from epa_bench.core.metric import MetricInfo
from epa_bench.core.records import ScoreRow
from epa_bench.leaderboard.board import Leaderboard
from epa_bench.leaderboard.build import build_table
from epa_bench.leaderboard.display import Sheet, sheet_of
from epa_bench.leaderboard.html import to_html
from epa_bench.leaderboard.latex import escape, to_latex

HOSTILE = r'<script>x</script> \input{/etc} 50% a_b $ & # ^ ~ "'


@pytest.fixture
def board(worked_rows: list[ScoreRow]) -> Leaderboard:
    info = MetricInfo(label=HOSTILE, unit="%", better="higher", scale=100, digits=1, headline=True)
    return build_table(
        worked_rows,
        baseline="dpo",
        judge={"alpaca": HOSTILE},
        title=HOSTILE,
        versions={},
        notes=[HOSTILE],
        metrics={("alpaca", "win_rate"): info},
    )


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_is_closed_and_holds_text_only(board: Leaderboard) -> None:
    tags = _Tags()
    tags.feed(to_html(sheet_of(board)))
    assert tags.open == []
    assert "script" not in tags.seen
    assert tags.seen.count("table") == 2
    assert HOSTILE in tags.text
    assert "+33.3 (" in tags.text


def test_latex_escapes(board: Leaderboard) -> None:
    text = to_latex(sheet_of(board))
    assert text.count(r"\begin{tabular}{l") == text.count(r"\end{tabular}") == 2
    assert "+33.3 (" in text
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert r"\input" not in body
    # Outside comments a percent sign, an underscore and a hash stand escaped only.
    assert re.findall(r"(?<!\\)[%_#]", body) == []
    for row in re.findall(r"^.* \\\\$", body, flags=re.MULTILINE):
        assert len(re.findall(r"(?<!\\)&", row)) in (5, 8)


@pytest.mark.parametrize(
    ("text", "expected"), [("a\\b", r"a\textbackslash{}b"), ("{▲}", r"\{$\blacktriangle$\}"), ("a\nb\x1b", "a b\ufffd")]
)
def test_latex_text(text: str, expected: str) -> None:
    assert escape(text) == expected


@pytest.mark.parametrize("render", [to_html, to_latex])
def test_equal_boards_give_equal_text(render: Callable[[Sheet], str], board: Leaderboard) -> None:
    again = Leaderboard.model_validate_json(board.model_dump_json())
    assert render(sheet_of(board)) == render(sheet_of(again))
