"""Rows of the supervised stage from the user's files.

| layout | columns |
|---|---|
| prompt and response | `prompt` (or `instruction`), `response` (or `completion`, `output`) |
| conversation | `messages`, which end in the assistant's turn; `prompt` may stand beside it, as in UltraChat |

Both columns of the first are strings or lists of messages, as in TRL.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from epa_bench.core.records import Prompt
from epa_bench.data.faulty_rows import FaultyRows
from epa_bench.data.layouts import prompt_column
from epa_bench.data.supervised import SupervisedRow
from epa_bench.data.turns import (
    DefectiveRowError,
    MalformedRowError,
    check_prompt,
    parse_turns,
    split_conversation,
    split_explicit,
)

_RESPONSE_COLUMNS = ("response", "completion", "output")


@dataclass(frozen=True, slots=True)
class SupervisedFile:
    """What was read, and what was not."""

    rows: tuple[SupervisedRow, ...]

    dropped: Mapping[str, int]
    """Reason -> rows dropped. Empty unless `invalid_rows="drop"`."""


def read_supervised(
    rows: Iterable[tuple[str, Mapping[str, Any]]], *, invalid_rows: Literal["error", "drop"]
) -> SupervisedFile:
    """Reads (where, row) pairs. Raises one DataError that lists all problems.

    Malformed rows (a missing column, a wrong type) are always errors; rows without a prompt or a response are too, or
    with `invalid_rows="drop"` dropped and counted.
    """
    found: list[SupervisedRow] = []
    faulty = FaultyRows(invalid_rows)
    for where, row in rows:
        with faulty.reading(where):
            prompt, response = _parse(row)
            found.append(SupervisedRow(prompt=prompt, response=response, source=where))
    faulty.check("the supervised data", "reference.sft.data.invalid_rows")
    return SupervisedFile(tuple(found), dict(faulty.dropped))


def _parse(row: Mapping[str, Any]) -> tuple[Prompt, str]:
    column = next((name for name in ("messages", *_RESPONSE_COLUMNS) if row.get(name) is not None), None)
    prompt = prompt_column(row)
    if column is None or (prompt is None and column != "messages"):
        raise MalformedRowError(
            f"expected the columns prompt and response, or messages, got {', '.join(map(str, row)) or 'none'}; rename "
            "the columns"
        )
    turns = parse_turns(row[column], column)
    if prompt is not None:
        asked, response = split_explicit(parse_turns(row[prompt], prompt), turns, column)
    elif isinstance(turns, str):
        raise MalformedRowError(f"{column}: expected a list of messages, got a string")
    else:
        asked, response = split_conversation(turns, column)
    check_prompt(asked)
    if not response.strip():
        raise DefectiveRowError("empty response", "the response has no text")
    return asked, response
