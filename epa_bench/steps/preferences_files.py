"""Preference data from the user's files."""

from epa_bench.core.errors import DataError
from epa_bench.core.files import write_json, write_records
from epa_bench.data.preferences import read_preferences
from epa_bench.data.sources import read_rows, source_digest
from epa_bench.steps.context import StepContext


def run(context: StepContext) -> None:
    """Writes `train.jsonl`, `eval.jsonl` and `summary.json`. Raises DataError that lists bad rows."""
    summary = {}
    for name in ("train", "eval"):
        source = context.hints[name]
        settings = context.config[name]
        rows = read_rows(source, split=settings["split"], revision=settings["revision"])
        file = read_preferences(rows, invalid_rows=context.config["invalid_rows"])
        if source_digest(source, settings["revision"], settings["split"]) != settings["digest"]:
            # The cell's address says what was read.
            raise DataError(f"{source} changed while the sweep was running; run the same command again")
        kept = file.preferences[: settings["limit"]]
        if not kept:
            raise DataError(f"{source} holds no usable preference row")
        write_records(context.folder / f"{name}.jsonl", kept)
        summary[name] = {
            "rows": len(kept),
            "rows_dropped": dict(file.dropped),
            "responses_dropped": dict(file.dropped_responses),
            "rows_with_tied_best": file.tied_best,
        }
        context.report(len(summary), 2)
    write_json(context.folder / "summary.json", summary)
