"""Every format gives the same rows; every damaged file says where and what."""

import gzip
import hashlib
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets  # type: ignore[import-untyped]
import pyarrow  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]
import pytest

from epa_bench.core.errors import DataError
from epa_bench.data.sources import read_rows, source_digest

ROWS: list[dict[str, Any]] = [
    {"prompt": "Größe?\u2028", "chosen": "a", "rejected": ["b", "c"], "score": 1.5},
    {"prompt": "q", "chosen": "d", "rejected": ["e"], "score": None},
]


def _json_lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _parquet(path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)


WRITERS: dict[str, Callable[[Path], object]] = {
    "data.jsonl": lambda path: path.write_bytes(_json_lines(ROWS)),
    "data.JSONL": lambda path: path.write_bytes(_json_lines(ROWS).rstrip(b"\n")),
    "data.jsonl.gz": lambda path: path.write_bytes(gzip.compress(_json_lines(ROWS))),
    "data.json": lambda path: path.write_text(json.dumps(ROWS, indent=2)),
    "data.json.gz": lambda path: path.write_bytes(gzip.compress(json.dumps(ROWS).encode())),
    "data.parquet": _parquet,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_rows_and_says_where(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    assert list(read_rows(str(path))) == [(f"{path}, row 1", ROWS[0]), (f"{path}, row 2", ROWS[1])]


def _error(source: object, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        list(read_rows(str(source), **options))
    return str(caught.value)


def test_all_bad_lines_are_listed_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    lines = [b'{"a": 1}', b"", b'{"a": ', b"[1]", b'{"a": NaN}', b'{"a": 1e999}', b'{"a": -Infinity}', b'{"a": "\xff"}']
    path.write_bytes(b"\n".join([*lines, b'"text"']) + b"\n")
    message = _error(path)
    assert message.splitlines()[0] == f"8 problems in {path}:"
    for row, what in [
        (2, "expected a JSON object, got an empty line; remove it"),
        (3, "expected complete JSON, got an error at line"),
        (4, "expected a JSON object, got a list"),
        (5, "expected finite numbers, got NaN; write null"),
        (6, "expected finite numbers, got 1e999"),
        (7, "expected finite numbers, got -Infinity"),
        (8, "can't decode byte 0xff"),
        (9, "expected a JSON object, got a string"),
    ]:
        assert what in message.splitlines()[row - 1]
        assert f"{path}, row {row}: " in message


def test_at_most_twenty_bad_lines_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text("nonsense\n" * 23)
    message = _error(path)
    assert message.startswith("23 problems")
    assert "row 20:" in message
    assert "row 21:" not in message
    assert message.endswith("... and 3 more")


def test_taking_the_first_rows_cannot_hide_a_bad_row_among_them(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"a": 1}\n{"a": 2\n{"a": 3}\n')
    assert [row for _, row in itertools.islice(read_rows(str(path)), 1)] == [{"a": 1}]
    with pytest.raises(DataError, match="row 2"):
        list(itertools.islice(read_rows(str(path)), 2))


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.json", b'{"a": 1}', "expected a list of objects, got an object; JSON lines must be named .jsonl"),
        ("a.json", b'[{"a": 1}, 3, null]', "row 2: expected a JSON object, got a number"),
        ("a.json", b'[{"a": 1}, 3, null]', "row 3: expected a JSON object, got null"),
        ("a.json", b'[{"a": 1},\n', "expected complete JSON, got an error at line 2 column 1"),
        ("a.json", b'[{"a": NaN}]', "got NaN"),
        ("a.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 9)[:-12], "damaged gzip file"),
        ("a.jsonl.gz", b'{"a": 1}\n', "damaged gzip file"),
        ("a.parquet", b"PAR1 and no more", "not a readable Parquet file"),
        ("a.csv", b"a,b\n", "expected a file that ends in .jsonl, .json, .jsonl.gz, .json.gz, .parquet"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path: Path, name: str, content: bytes, what: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    message = _error(path)
    assert str(path) in message
    assert what in message


@pytest.mark.parametrize("source", ["nowhere.jsonl", "folder/nowhere.jsonl", "/no/such/file.parquet", "name"])
def test_a_missing_file_is_not_taken_for_a_hub_name(source: str) -> None:
    assert f"{source}: no such file or folder" in _error(source)
    with pytest.raises(DataError, match="no such file or folder"):
        source_digest(source, "0" * 40, "train")


def test_a_hub_data_set_is_loaded_at_its_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(name: str, *, split: str, revision: str | None) -> datasets.Dataset:
        assert (name, split, revision) == ("org/prefs", "test", "abc")
        return datasets.Dataset.from_list(ROWS)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    found = list(read_rows("org/prefs", split="test", revision="abc"))
    assert found == [("org/prefs[test], row 1", ROWS[0]), ("org/prefs[test], row 2", ROWS[1])]


@pytest.mark.parametrize(
    "failure",
    [
        ConnectionError("Couldn't reach 'org/prefs' on the Hub"),
        RuntimeError("Dataset scripts are no longer supported, but found prefs.py"),
        ValueError("Unknown split"),
        datasets.exceptions.DatasetNotFoundError("doesn't exist"),
        datasets.exceptions.DatasetGenerationError("An error occurred while generating the dataset"),
    ],
)
def test_hub_failures_say_what_to_do_offline(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    def load_dataset(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    message = _error("org/prefs")
    assert message.startswith(f"org/prefs (hub data set): {type(failure).__name__}: {failure}")
    assert "Without a network" in message
    assert "save it as JSONL or Parquet" in message


def test_a_saved_data_set_is_read_by_split(tmp_path: Path) -> None:
    datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)}).save_to_disk(tmp_path / "both")
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "one")
    assert [row for _, row in read_rows(str(tmp_path / "both"))] == ROWS
    assert [row for _, row in read_rows(str(tmp_path / "one"))] == ROWS
    assert "expected a split 'test', the data set has train" in _error(tmp_path / "both", split="test")


def test_any_other_folder_is_refused(tmp_path: Path) -> None:
    assert "give a data file" in _error(tmp_path)


def test_digest_of_a_file_is_the_sha256_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(_json_lines(ROWS))
    assert source_digest(str(path), None, "train") == hashlib.sha256(path.read_bytes()).hexdigest()


def test_digest_of_a_saved_data_set_follows_its_content(tmp_path: Path) -> None:
    digests = []
    for name, rows in [("a", ROWS), ("b", ROWS[:1])]:
        datasets.Dataset.from_list(rows).save_to_disk(tmp_path / name)
        digests.append(source_digest(str(tmp_path / name), None, "train"))
    assert digests[0] != digests[1]
    assert digests[0] == source_digest(str(tmp_path / "a"), None, "train")


@pytest.mark.parametrize("revision", [None, "main", "v1.0", "abc123"])
def test_a_hub_data_set_must_be_pinned_to_a_commit(revision: str | None) -> None:
    with pytest.raises(DataError, match=f"pinned to a commit .*got {revision!r}; pin it"):
        source_digest("org/prefs", revision, "train")


def test_digest_of_a_hub_data_set_is_its_name_commit_and_split() -> None:
    pins = itertools.product(["org/a", "org/b"], ["0" * 40, "1" * 40], ["train", "test"])
    assert len({source_digest(*pin) for pin in pins}) == 8
