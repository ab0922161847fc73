"""Pools of rows that may be labelled, from JSON lines or tab-separated files: texts, or two responses to a prompt."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from epa_bench.core.digest import digest_of
from epa_bench.core.errors import DataError, Problem, list_problems
from epa_bench.data.sources import Row, read_rows

TEXT_COLUMN, LABEL_COLUMN = "text", "label"
PAIR_COLUMNS = ("prompt", "response_a", "response_b")
_LAYOUTS = f"a column `{TEXT_COLUMN}`, or {', '.join(f'`{name}`' for name in PAIR_COLUMNS)}"


@dataclass(frozen=True)
class TextRow:
    """A text to be put into one of several classes."""

    text: str
    label: str | None = None
    columns: Mapping[str, Any] | None = None
    """The row as it stands in its file."""

    @cached_property
    def key(self) -> str:
        """Identity: of the content, so that a row is known again under another id or in another file."""
        return digest_of(["text", self.text])


@dataclass(frozen=True)
class PairRow:
    """Two responses to a prompt, of which nobody has said yet which is better.

    They are held in the order of their texts, so that nothing computed from a row can know the label.
    """

    prompt: str
    responses: tuple[str, str]
    columns: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "responses", tuple(sorted(self.responses)))

    @cached_property
    def key(self) -> str:
        return digest_of(["pair", self.prompt, *self.responses])


Pool = Sequence[TextRow | PairRow]


def read_pool(path: Path) -> Pool:
    """The rows of a .tsv file with a header, or of any file that `read_rows` takes; further columns are kept.

    A row has a column `text` (and may have a `label`), or `prompt`, `response_a` and `response_b`. Raises DataError
    that lists the rows that do not fit, for a file of both kinds, and for one without rows.
    """
    rows: list[TextRow | PairRow] = []
    problems: list[Problem] = []
    for where, columns in _rows(path):
        try:
            rows.append(_parse(columns))
        except ValueError as error:
            problems.append(Problem(where, str(error)))
    if problems:
        raise DataError(list_problems(problems, str(path)))
    if not rows:
        raise DataError(f"{path}: expected rows with {_LAYOUTS}, the file has none")
    texts = [row for row in rows if isinstance(row, TextRow)]
    pairs = [row for row in rows if isinstance(row, PairRow)]
    if texts and pairs:
        raise DataError(f"{path}: expected rows of one kind, got {len(texts)} texts and {len(pairs)} pairs; split it")
    return texts or pairs


def read_labelled_texts(path: Path) -> list[TextRow]:
    """A text classification data set. Raises DataError as `read_pool`, for pairs, and for a row without a label."""
    rows = read_pool(path)
    texts = [row for row in rows if isinstance(row, TextRow)]
    if not texts:
        raise DataError(f"{path}: expected texts with a `{LABEL_COLUMN}` each, got pairs of responses")
    missing = [n for n, row in enumerate(texts, 1) if row.label is None]
    if missing:
        raise DataError(
            f"{path}: expected a `{LABEL_COLUMN}` in every row, {len(missing)} have none, first number {missing[0]}"
        )
    return texts


def classes_of(rows: Iterable[TextRow], where: str) -> list[str]:
    """The labels, sorted. Raises DataError for fewer than two."""
    classes = sorted({row.label for row in rows if row.label is not None})
    if len(classes) < 2:
        raise DataError(f"{where}: expected rows of two or more classes, got {len(classes)}: {', '.join(classes)}")
    return classes


def _rows(path: Path) -> Iterator[Row]:
    if path.suffix.lower() == ".tsv" and path.is_file():
        return _read_tsv(path)
    return read_rows(str(path))


def _read_tsv(path: Path) -> Iterator[Row]:
    """As GLUE's files: a header, no quoting. Rows are counted as lines, from the header's 1."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: expected tab-separated UTF-8 text: {error}") from error
    header = lines[0] if lines else []
    if len(set(header)) < len(header):
        raise DataError(f"{path}, row 1: expected a header of different column names, got {', '.join(header)}")
    problems = [
        Problem(f"{path}, row {n}", f"expected {len(header)} columns as in the header, got {len(line)}")
        for n, line in enumerate(lines[1:], 2)
        if len(line) != len(header)
    ]
    if problems:
        raise DataError(list_problems(problems, str(path)))
    for n, line in enumerate(lines[1:], 2):
        yield f"{path}, row {n}", dict(zip(header, line, strict=True))


def _parse(columns: Mapping[str, Any]) -> TextRow | PairRow:
    """ValueError says what is wrong."""
    if TEXT_COLUMN in columns:
        label = columns.get(LABEL_COLUMN)
        if not isinstance(label, str | int | None) or isinstance(label, bool) or label == "":
            raise ValueError(f"expected `{LABEL_COLUMN}` to be a name or a whole number, got {json.dumps(label)}")
        return TextRow(_text(columns, TEXT_COLUMN), None if label is None else str(label), columns)
    if not any(name in columns for name in PAIR_COLUMNS):
        raise ValueError(f"expected {_LAYOUTS}, got {', '.join(columns) or 'no column'}")
    prompt, first, second = (_text(columns, name) for name in PAIR_COLUMNS)
    if first == second:
        raise ValueError("expected two different responses, they are equal; remove the row")
    return PairRow(prompt, (first, second), columns)


def _text(columns: Mapping[str, Any], name: str) -> str:
    value = columns.get(name)
    if not isinstance(value, str) or not value.strip():
        what = "an empty text" if isinstance(value, str) else "nothing" if value is None else type(value).__name__
        raise ValueError(f"expected text in `{name}`, got {what}")
    return value
