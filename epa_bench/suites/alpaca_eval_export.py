"""Writing annotations as alpaca_eval reads them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from epa_bench.core.errors import DataError
from epa_bench.core.files import atomic_write_text
from epa_bench.suites.alpaca_eval_layout import ANNOTATIONS, OUTPUTS
from epa_bench.suites.annotations import Annotation

REFERENCE = "reference_outputs.json"


def write_results(folder: Path, annotations: Iterable[Annotation]) -> list[tuple[Path, int]]:
    """Writes MODEL/model_outputs.json, MODEL/JUDGE/annotations.json and reference_outputs.json; gives each path with
    its number of rows.

    Annotations and reference carry `index`, so that alpaca_eval joins difficulties by prompt, not by position. Raises
    DataError for rows without texts, before anything is written, and StoreError where the folder cannot be written.
    """
    of_model: dict[tuple[str, str], list[Annotation]] = {}
    references: dict[str, Annotation] = {}
    for row in annotations:
        if row.output is None or row.reference is None:
            raise DataError(f"{row.model}: compact annotations hold no texts, so alpaca_eval's files cannot be written")
        of_model.setdefault((row.model, row.annotator or "judge"), []).append(row)
        references.setdefault(row.prompt_id, row)
    written = [_write(folder / REFERENCE, map(_reference_row, references.values()))]
    for (model, judge), rows in of_model.items():
        written.append(_write(folder / model / OUTPUTS, map(_output_row, rows)))
        written.append(_write(folder / model / judge / ANNOTATIONS, map(_annotation_row, rows)))
    return written


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> tuple[Path, int]:
    listed = list(rows)
    atomic_write_text(path, json.dumps(listed, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return path, len(listed)


def _reference_row(row: Annotation) -> dict[str, Any]:
    return {
        "dataset": row.dataset,
        "instruction": row.instruction,
        "output": row.reference,
        "generator": row.reference_generator,
        "index": row.index,
    }


def _output_row(row: Annotation) -> dict[str, Any]:
    return {
        "dataset": row.dataset,
        "instruction": row.instruction,
        "output": row.output,
        "generator": row.generator or row.model,
    }


def _annotation_row(row: Annotation) -> dict[str, Any]:
    top = [{"token": token, "logprob": logprob} for token, logprob in row.top_logprobs or ()]
    completion = {"logprobs": {"content": [{"top_logprobs": top}]}, "total_tokens": row.tokens} if top else None
    return {
        "instruction": row.instruction,
        "output_1": row.reference,
        "generator_1": row.reference_generator,
        "dataset": row.dataset,
        "output_2": row.output,
        "generator_2": row.generator or row.model,
        "annotator": row.annotator,
        "preference": row.preference,
        "price_per_example": row.price,
        "time_per_example": row.seconds,
        "raw_completion": completion,
        "index": row.index,
    }
