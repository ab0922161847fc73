"""What each stage verb prints: one line a checkpoint (and suite), from the stage's cells."""

import json
from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from epa_bench.core.cell import Cell
from epa_bench.core.files import read_records
from epa_bench.core.records import GeneratedResponse
from epa_bench.pipeline.judged import judged_summary
from epa_bench.pipeline.run import Run, Stage
from epa_bench.suites.definitions import AnsweredSuite, JudgedSuite
from epa_bench.suites.values import Value


def stage_summary(run: Run, stage: Stage) -> list[dict[str, Any]]:
    """Rows for the terminal and `--json`."""
    return {"train": _trained, "generate": _generated, "judge": _judged, "score": _scored}[stage](run)


def _trained(run: Run) -> list[dict[str, Any]]:
    rows = []
    for checkpoint in run.cells.checkpoints:
        if checkpoint.cell is None:
            continue
        cell = run.store.open(checkpoint.cell)
        log = [json.loads(line) for line in cell.file("training_log.jsonl").read_text().splitlines()]
        last = log[-1]
        rows.append(
            {
                "checkpoint": checkpoint.label,
                "steps": len(log),
                **_chosen(cell),
                "first_loss": log[0]["loss"],
                "last_loss": last["loss"],
                "rewards/accuracies": last.get("rewards/accuracies"),
                "rewards/margins": last.get("rewards/margins"),
                "seconds": cell.manifest.seconds,
                "folder": str(cell.folder / "model"),
            }
        )
    return rows


def _chosen(cell: Cell) -> dict[str, Any]:
    """The step whose weights were kept, where held-out rows decide that."""
    if "validation_log.jsonl" not in cell.manifest.outputs:
        return {}
    log = [json.loads(line) for line in cell.file("validation_log.jsonl").read_text().splitlines()]
    return {"chosen_step": next((entry["step"] for entry in log if entry.get("chosen")), None)}


def _generated(run: Run) -> list[dict[str, Any]]:
    return [
        {
            "suite": name,
            "checkpoint": checkpoint.label,
            "n": len(responses) - ends["error"],
            "mean_tokens": fmean(tokens) if tokens else None,
            "cut_by_limit": ends["length"],
            "failed": ends["error"],
        }
        for name, suite in run.cells.suites.items()
        if isinstance(suite, AnsweredSuite)
        for checkpoint in run.cells.checkpoints
        for responses in [
            read_records(
                run.store.open(run.cells.responses(checkpoint, suite)).file("responses.jsonl"), GeneratedResponse
            )
        ]
        for ends in [Counter(response.finish for response in responses)]
        for tokens in [[response.tokens for response in responses if response.error is None]]
    ]


def _judged(run: Run) -> list[dict[str, Any]]:
    return [
        {"suite": name, "checkpoint": checkpoint.label, **judged_summary(run, checkpoint, suite)}
        for name, suite in run.cells.suites.items()
        if isinstance(suite, JudgedSuite)
        for checkpoint in run.cells.evaluated(suite)
    ]


def _scored(run: Run) -> list[dict[str, Any]]:
    rows = []
    for result in run.cells.results:
        values = read_records(run.store.open(result.cell).file("values.jsonl"), Value)
        for metric in sorted({value.metric for value in values}):
            of_metric = [value for value in values if value.metric == metric]
            rows.append({"suite": result.suite, "checkpoint": result.checkpoint.label, **_mean(metric, of_metric)})
    return rows


def _mean(metric: str, values: Sequence[Value]) -> dict[str, Any]:
    numbers = [value.value for value in values if value.value is not None]
    failed = len(values) - len(numbers)
    return {"metric": metric, "n": len(numbers), "failed": failed, "mean": fmean(numbers) if numbers else None}
