"""Training data, preferences and supervised rows, without the rows that a suite asks as well."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from epa_bench.core.errors import DataError
from epa_bench.core.files import write_json, write_records
from epa_bench.core.records import Preference
from epa_bench.data.contamination import Overlap, find_overlaps
from epa_bench.data.supervised import SupervisedRow
from epa_bench.steps.context import StepContext
from epa_bench.steps.supervised import ROWS, supervised_rows
from epa_bench.suites.asked import asked_by_suites

_Row = TypeVar("_Row", Preference, SupervisedRow)


def run(context: StepContext) -> None:
    """Writes `train.jsonl`, `eval.jsonl`, `overlaps.jsonl` and `summary.json`, and `rows.jsonl` where the supervised
    stage has rows of its own. Raises DataError if no row is left.
    """
    train, held_out = context.preferences("train"), context.preferences("eval")
    kinds = context.config["suites"]
    asked = asked_by_suites(held_out, kinds, {name: context.inputs[f"texts {name}"] for name in kinds})
    summary = json.loads(context.inputs["preferences"].file("summary.json").read_text())
    kept, overlaps = _without(train, asked, summary["train"])
    write_records(context.folder / "train.jsonl", kept)
    write_records(context.folder / "eval.jsonl", held_out)
    if "supervised" in context.inputs:
        summary |= json.loads(context.inputs["supervised"].file("summary.json").read_text())
        rows, others = _without(supervised_rows(context), asked, summary["supervised"])
        write_records(context.folder / ROWS, rows)
        overlaps += others
    write_records(context.folder / "overlaps.jsonl", overlaps)
    write_json(context.folder / "summary.json", summary)


def _without(
    rows: Sequence[_Row], asked: Mapping[str, Iterable[str]], summary: dict[str, Any]
) -> tuple[list[_Row], list[Overlap]]:
    """The rows that no suite asks, counted in the summary, and the overlaps of the others."""
    overlaps = find_overlaps(rows, asked)
    dropped = {overlap.index for overlap in overlaps}
    kept = [row for index, row in enumerate(rows) if index not in dropped]
    if not kept:
        raise DataError("every training row overlaps with a prompt that a suite asks; see `epa-bench contamination`")
    counts = Counter(f"{overlap.suite} {overlap.kind}" for overlap in overlaps)
    summary |= {"rows": len(kept), "rows_overlapping": len(dropped), "overlaps": dict(counts)}
    return kept, overlaps
