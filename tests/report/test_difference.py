"""The page's word-level difference against Python's own longest common subsequence."""

from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.report.conftest import OpenPage

_STATIC = Path(__file__).resolve().parents[2] / "epa_bench" / "report" / "static"


@pytest.fixture
def difference(open_page: OpenPage, tmp_path: Path) -> Any:
    """A function of two texts: lists of [text, whether it is only there], or None."""
    scripts = (_STATIC / "diff.js").read_text()
    (tmp_path / "diff.html").write_text(f"<meta charset=utf-8><script>const epaBench = {{}};{scripts}</script>")
    page = open_page(tmp_path / "diff.html").page
    return lambda left, right: page.evaluate("([left, right]) => epaBench.difference(left, right)", [left, right])


def _common(a: list[str], b: list[str]) -> int:
    """Length of a longest common subsequence, by the textbook's table."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for (i, x), (j, y) in product(enumerate(a), enumerate(b)):
        table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def test_sides_add_up_and_share_a_longest_common_subsequence(difference: Any) -> None:
    random = Random(5)
    for _ in range(60):
        # Letters without spaces between them: every separator would be a word too.
        left, right = (" ".join(random.choices("abc", k=random.randrange(0, 12))) for _ in range(2))
        parts = difference(left, right)
        assert ["".join(text for text, _ in side) for side in parts] == [left, right]
        shared = ["".join(text for text, only in side if not only) for side in parts]
        assert shared[0] == shared[1]
        assert len(shared[0]) == _common(list(left), list(right))


def test_words_are_whole_also_without_spaces_between_them(difference: Any) -> None:
    left, right = difference("the cat sat", "the dog sat")
    assert (left, right) == (
        [["the ", False], ["cat", True], [" sat", False]],
        [["the ", False], ["dog", True], [" sat", False]],
    )
    left, right = difference("今日は晴れです", "今日は雨です")
    assert [text for text, only in left if only] == ["晴れ"]
    assert [text for text, only in right if only] == ["雨"]


def test_equal_empty_and_unlike_texts(difference: Any) -> None:
    assert difference("same", "same") == [[["same", False]], [["same", False]]]
    assert difference("", "") == [[], []]
    assert difference("", "new") == [[], [["new", True]]]
    assert difference("a " * 1000, "b " * 1000) is None
