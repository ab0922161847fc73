"""Results that others published, as tables to read ours beside."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from epa_bench.config.yaml12 import read_document
from epa_bench.core.errors import ConfigError, Problem, list_problems
from epa_bench.core.files import atomic_write_text
from epa_bench.core.records import Finite, Record
from epa_bench.leaderboard.markdown import escape

_COLUMNS = ("title", "model", "method", "metric", "value", "source", "judge", "version", "note", "reason")


class PublishedRow(Record):
    """One model's published results."""

    model: str
    method: str
    values: tuple[Finite | None, ...]
    """In the order of the group's metrics; null where the source has no number."""

    reason: str | None = None
    """Why a value is missing."""

    @model_validator(mode="after")
    def _absence_has_a_reason(self) -> Self:
        if (None in self.values) != (self.reason is not None):
            raise ValueError("expected a reason exactly where a value is null")
        return self


class PublishedGroup(Record):
    """Rows of one source."""

    title: str
    metrics: Annotated[tuple[str, ...], Field(min_length=1)]
    source: str
    judge: str
    version: str
    """Of the benchmark's code."""

    note: str | None = None
    rows: Annotated[tuple[PublishedRow, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _a_value_a_metric(self) -> Self:
        if any(len(row.values) != len(self.metrics) for row in self.rows):
            raise ValueError(f"expected {len(self.metrics)} values a row, one for each metric")
        return self


class Published(Record):
    """All groups."""

    groups: Annotated[tuple[PublishedGroup, ...], Field(min_length=1)]

    def lines(self) -> Iterator[dict[str, Any]]:
        """One value a line, with everything that belongs to it."""
        for group in self.groups:
            for row in group.rows:
                for metric, value in zip(group.metrics, row.values, strict=True):
                    known = {**group.model_dump(), **row.model_dump(), "metric": metric, "value": value}
                    yield {name: known[name] if name != "reason" or value is None else None for name in _COLUMNS}


def read_published(path: Path) -> Published:
    """Raises ConfigError that lists every problem with file and line."""
    document = read_document(path)
    try:
        return Published.model_validate_json(json.dumps(document.data))
    except ValidationError as error:
        problems = [Problem(document.where(detail["loc"]), detail["msg"]) for detail in error.errors()]
        raise ConfigError(list_problems(problems, str(path))) from None


def write_published(published: Published, folder: Path) -> None:
    """published.md, .csv and .json. Raises StoreError where the folder cannot be written."""
    writers = {"md": published_markdown, "csv": published_csv, "json": published_json}
    for suffix, write in writers.items():
        atomic_write_text(folder / f"published.{suffix}", write(published))


def published_markdown(published: Published) -> str:
    """A table a group, with source, judge and version below it."""
    parts = [
        "# Published reference rows",
        "Results of others, not of epa-bench. Sources, judges and versions differ: rows of two tables do not compare.",
    ]
    for group in published.groups:
        parts += [f"## {escape(group.title)}", _table(group), escape(_caption(group))]
    return "\n\n".join(parts) + "\n"


def published_csv(published: Published) -> str:
    """One value a line, an empty field for what is absent."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(published.lines())
    return out.getvalue()


def published_json(published: Published) -> str:
    """The lines of the CSV as objects."""
    return json.dumps(list(published.lines()), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _table(group: PublishedGroup) -> str:
    lines = [["Model", "Method", *group.metrics], [":---", ":---", *["---:"] * len(group.metrics)]]
    for row in group.rows:
        values = [f"none: {row.reason}" if value is None else str(value) for value in row.values]
        lines.append([row.model, row.method, *values])
    return "\n".join(f"| {' | '.join(cells if cells[0] == ':---' else map(escape, cells))} |" for cells in lines)


def _caption(group: PublishedGroup) -> str:
    caption = f"Source: {group.source}. Judge: {group.judge}. Version: {group.version}."
    return f"{caption} {group.note}" if group.note else caption
