"""Overlaps are found in the run's own cells."""

import json
from pathlib import Path

from epa_bench.core.files import write_records
from epa_bench.core.records import Preference, Response
from epa_bench.core.store import CellSpec, Store
from epa_bench.report.contamination import contamination
from epa_bench.report.loaded import load_run
from tests.report.handmade import Judged, write_handmade


def _preference(prompt: str, number: int) -> Preference:
    return Preference(
        prompt=prompt,
        chosen=Response(text="good"),
        rejected=(Response(text="bad"),),
        source=f"train.jsonl, row {number}",
    )


def test_rows_that_evaluation_asks_are_listed(tmp_path: Path) -> None:
    run = write_handmade(tmp_path / "runs", {"q": {("dpo", 1): Judged("a")}})
    train = [_preference(prompt, n) for n, prompt in enumerate(["What is <b>?", "apart", "WHAT IS B"], start=1)]
    spec = CellSpec("preferences_files", {}, {}, {"code": "0"}, "data")

    def work(folder: Path) -> None:
        write_records(folder / "train.jsonl", train)
        write_records(folder / "eval.jsonl", [_preference("What is <b>?", 1)])

    Store(run.parent / "store").compute(spec, work)
    cells = json.loads((run / "cells.json").read_text())
    cells["table"][spec.digest] = spec.step
    (run / "cells.json").write_text(json.dumps(cells))
    sweep = json.loads((run / "sweep.yaml").read_text())
    (run / "sweep.yaml").write_text(json.dumps({**sweep, "data": {"kind": "files", "train": "t", "eval": "e"}}))
    section = contamination((load_run(run, run.parent),))
    assert section.missing == ()
    (found,) = section.data.runs
    assert found.sentence == "2 rows overlap with prompts that suites ask, of 3 training rows."
    assert found.counts.rows == (("data.eval", "exact", "1"), ("data.eval", "normalised", "1"))
    assert [row[0] for row in found.rows.rows] == ["train.jsonl, row 1", "train.jsonl, row 3"]


def test_the_embedded_task_says_why_there_is_nothing(tmp_path: Path) -> None:
    run = write_handmade(tmp_path / "runs", {"q": {("dpo", 1): Judged("a")}})
    assert "draws its own prompts" in contamination((load_run(run, run.parent),)).missing[0]
