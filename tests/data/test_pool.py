"""Pools from files: what a row is, what it is known by, and what is refused by file and line."""

import json
from pathlib import Path

import pytest

from epa_bench.core.errors import DataError
from epa_bench.data.pool import PairRow, TextRow, classes_of, read_labelled_texts, read_pool
from epa_bench.data.topics import CLASSES, topic_texts


def written(folder: Path, text: str, name: str = "pool.tsv") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_tsv_is_read_without_quoting(tmp_path: Path) -> None:
    rows = read_pool(written(tmp_path, 'id\ttext\tlabel\n7\t"said" he\tpos\n8\tno "end\tneg\n'))
    assert rows == [
        TextRow('"said" he', "pos", {"id": "7", "text": '"said" he', "label": "pos"}),
        TextRow('no "end', "neg", {"id": "8", "text": 'no "end', "label": "neg"}),
    ]


def test_json_lines_hold_texts_or_pairs(tmp_path: Path) -> None:
    pair = {"prompt": "p", "response_a": "b", "response_b": "a", "id": 3}
    assert read_pool(written(tmp_path, json.dumps(pair) + "\n", "p.jsonl")) == [PairRow("p", ("b", "a"), pair)]
    texts = read_pool(written(tmp_path, '{"text": "t", "label": 2}\n{"text": "u"}\n', "t.jsonl"))
    assert [row.label for row in texts if isinstance(row, TextRow)] == ["2", None]


def test_a_row_is_known_by_its_content() -> None:
    assert TextRow("a", "x").key == TextRow("a", "y", {"id": 1}).key != TextRow("b", "x").key
    assert PairRow("p", ("a", "b")).key == PairRow("p", ("b", "a")).key != PairRow("q", ("a", "b")).key
    assert PairRow("p", ("b", "a")).responses == ("a", "b")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("p.tsv", "text\tlabel\na\tx\nb\nc\ty\tz\n", "p.tsv, row 3: expected 2 columns as in the header, got 1"),
        ("p.tsv", "text\tlabel\na\tx\nb\nc\ty\tz\n", "p.tsv, row 4: expected 2 columns as in the header, got 3"),
        ("p.tsv", "text\ttext\na\tb\n", "row 1: expected a header of different column names"),
        ("p.tsv", "", "expected rows with a column `text`, or `prompt`, `response_a`, `response_b`, the file has none"),
        ("p.tsv", "text\tlabel\n", "the file has none"),
        ("p.tsv", "sentence\tlabel\na\tx\n", "row 2: expected a column `text`, or `prompt`.*, got sentence, label"),
        ("p.tsv", "text\tlabel\n \tx\n", "row 2: expected text in `text`, got an empty text"),
        ("p.tsv", "text\tlabel\na\t\n", "row 2: expected `label` to be a name or a whole number"),
        ("p.jsonl", '{"text": "a", "label": 0.5}\n', "row 1: expected `label` to be a name or a whole number, got 0.5"),
        ("p.jsonl", '{"prompt": "p", "response_a": "a"}\n', "row 1: expected text in `response_b`, got nothing"),
        ("p.jsonl", '{"prompt": "p", "response_a": "a", "response_b": "a"}\n', "expected two different responses"),
        ("p.jsonl", '{"text": "a"}\n{"text": \n', "row 2: expected complete JSON"),
        ("p.jsonl", '{"text": "a"}\n{"prompt": "p", "response_a": "a", "response_b": "b"}\n', "1 texts and 1 pairs"),
    ],
)
def test_what_is_refused(name: str, text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        read_pool(written(tmp_path, text, name))


def test_what_is_not_utf_8_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "p.tsv").write_bytes(b"text\n\xff\xfe\n")
    with pytest.raises(DataError, match="expected tab-separated UTF-8 text"):
        read_pool(tmp_path / "p.tsv")
    with pytest.raises(DataError, match="no such file"):
        read_pool(tmp_path / "none.tsv")


def test_labelled_texts_need_a_label_each_and_two_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a `label` in every row, 1 have none, first number 2"):
        read_labelled_texts(written(tmp_path, '{"text": "a", "label": "x"}\n{"text": "b"}\n', "t.jsonl"))
    pair = '{"prompt": "p", "response_a": "a", "response_b": "b"}\n'
    with pytest.raises(DataError, match="expected texts with a `label` each, got pairs"):
        read_labelled_texts(written(tmp_path, pair, "p.jsonl"))
    with pytest.raises(DataError, match=r"here: expected rows of two or more classes, got 1: x"):
        classes_of([TextRow("a", "x"), TextRow("b", "x")], "here")
    assert classes_of([TextRow("a", "x"), TextRow("b", "w")], "here") == ["w", "x"]


def test_generated_texts_are_of_four_unbalanced_classes_and_belong_to_their_seed() -> None:
    texts = topic_texts(2000, seed=1)
    assert texts == topic_texts(2000, seed=1) != topic_texts(2000, seed=2)
    counts = [sum(row.label == label for row in texts) for label in CLASSES]
    assert counts == sorted(counts, reverse=True)
    assert min(counts) > 100
    assert all(6 <= len(row.text.split()) <= 16 for row in texts)
