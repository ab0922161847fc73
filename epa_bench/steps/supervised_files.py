"""Rows of the supervised stage from the user's file."""

from epa_bench.core.errors import DataError
from epa_bench.core.files import write_json, write_records
from epa_bench.data.sources import read_rows, source_digest
from epa_bench.data.supervised_files import read_supervised
from epa_bench.steps.context import StepContext
from epa_bench.steps.supervised import ROWS


def run(context: StepContext) -> None:
    """Writes `rows.jsonl` and `summary.json`. Raises DataError that lists bad rows."""
    source, settings = context.hints["path"], context.config
    rows = read_rows(source, split=settings["split"], revision=settings["revision"])
    file = read_supervised(rows, invalid_rows=settings["invalid_rows"])
    if source_digest(source, settings["revision"], settings["split"]) != settings["digest"]:
        # The cell's address says what was read.
        raise DataError(f"{source} changed while the sweep was running; run the same command again")
    kept = file.rows[: settings["limit"]]
    if not kept:
        raise DataError(f"{source} holds no usable supervised row")
    write_records(context.folder / ROWS, kept)
    write_json(context.folder / "summary.json", {"supervised": {"rows": len(kept), "rows_dropped": dict(file.dropped)}})
