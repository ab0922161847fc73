"""Scores that an aligned model gave elsewhere: those of the supervised rows, checked."""

from pathlib import Path

from epa_bench.core.files import read_records, write_json, write_records
from epa_bench.data.supervised import AlignedScore, join_scores
from epa_bench.steps.context import StepContext
from epa_bench.steps.supervised import SCORES, supervised_rows


def run(context: StepContext) -> None:
    """Writes `scores.jsonl`, a row a supervised row, and `summary.json`.

    Raises DataError for damaged rows (no finite log-prob, no token, an empty response) and for rows without a score.
    """
    rows, path = supervised_rows(context), Path(context.hints["path"])
    given = read_records(path, AlignedScore)
    write_records(context.folder / SCORES, join_scores(rows, given, str(path)))
    write_json(context.folder / "summary.json", {"rows": len(rows), "scores in the file": len(given)})
