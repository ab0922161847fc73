"""The file a gate compares with: one run's rows and board, to be committed, sealed against edits by hand."""

from pathlib import Path
from typing import Literal

from epa_bench.core.digest import digest_of
from epa_bench.core.errors import DataError
from epa_bench.core.files import atomic_write_text, read_records
from epa_bench.core.records import Record, ScoreRow
from epa_bench.leaderboard.board import Leaderboard
from epa_bench.leaderboard.rows import KEY

_AGAIN = "Write it again with `epa-bench gate POLICY --baseline FILE --candidate RUN --update`."


class _Head(Record):
    """The first line; the rows follow, one a line, in the order of rows.jsonl."""

    format: Literal["epa-bench gate baseline 1"]
    run: str
    """Name of the run it was made from."""

    digest: str = ""
    """Of the file's text, this digest left empty: what a later version adds to boards or rows changes nothing."""

    board: Leaderboard


class _Line(Record):
    """Either the head or a row, so that damage is named by its row."""

    head: _Head | None = None
    row: ScoreRow | None = None


def write_baseline(path: Path, run: str, rows: list[ScoreRow], board: Leaderboard) -> None:
    """Writes the file atomically; equal runs give equal bytes. Raises StoreError."""
    rows = sorted(rows, key=lambda row: [getattr(row, name) for name in KEY])
    head = _Head(format="epa-bench gate baseline 1", run=run, board=board)
    written = [_Line(row=row).model_dump_json(exclude_none=True) for row in rows]
    unsealed = _Line(head=head).model_dump_json()
    sealed = _Line(head=head.model_copy(update={"digest": digest_of([unsealed, *written])})).model_dump_json()
    atomic_write_text(path, "".join(line + "\n" for line in [sealed, *written]))


def read_baseline(path: Path) -> tuple[list[ScoreRow], Leaderboard]:
    """Raises DataError for no file, damaged rows, and content that is not what was written."""
    lines = read_records(path, _Line)
    head = lines[0].head if lines else None
    rows = [line.row for line in lines[1:] if line.row is not None]
    if head is None or len(rows) != len(lines) - 1:
        raise DataError(f"{path} is not a gate's baseline: expected a head and then rows. {_AGAIN}")
    first, *others = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    if head.digest != digest_of([first.replace(f'"digest":"{head.digest}"', '"digest":""', 1), *others]):
        raise DataError(f"{path} is not what was written: its digest does not fit, so it was edited or cut. {_AGAIN}")
    return rows, head.board
