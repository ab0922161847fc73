"""Annotations as alpaca_eval writes them, by hand."""

import json
from pathlib import Path
from typing import Any

from epa_bench.core.records import prompt_digest
from epa_bench.suites.annotations import Annotation, Located

JUDGE = "weighted_alpaca_eval_gpt4_turbo"


def upstream_row(instruction: str, /, **changes: Any) -> dict[str, Any]:
    """One row of annotations.json; a key set to `...` is left out."""
    row = {
        "instruction": instruction,
        "output_1": f"the reference's answer to {instruction}",
        "generator_1": "gpt4_1106_preview",
        "dataset": "helpful_base",
        "output_2": f"an answer to {instruction}",
        "generator_2": "mine",
        "annotator": JUDGE,
        "preference": 1.25,
        "price_per_example": 0.01,
        "time_per_example": 0.2,
        "raw_completion": None,
        **changes,
    }
    return {key: value for key, value in row.items() if value is not ...}


def write_model(folder: Path, rows: list[dict[str, Any]], *, judge: str = JUDGE, outputs: bool = False) -> Path:
    """A model's folder in alpaca_eval's layout."""
    (folder / judge).mkdir(parents=True, exist_ok=True)
    (folder / judge / "annotations.json").write_text(json.dumps(rows))
    if outputs:
        answers = [{"instruction": row["instruction"], "output": row["output_2"]} for row in rows]
        (folder / "model_outputs.json").write_text(json.dumps(answers))
    return folder


def annotation(prompt: str, /, **changes: Any) -> Annotation:
    fields: dict[str, Any] = {
        "model": "mine",
        "prompt_id": prompt_digest(prompt),
        "index": None,
        "instruction": prompt,
        "output": "an answer",
        "reference": "the reference",
        "length": 9,
        "reference_length": 13,
        "identical": False,
        "annotator": JUDGE,
        "preference": 1.25,
    }
    return Annotation.model_validate({**fields, **changes})


def located(*annotations: Annotation) -> list[Located]:
    return [Located(f"f.json, row {number}", row) for number, row in enumerate(annotations, 1)]
