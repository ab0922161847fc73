"""Scores that an aligned model gave elsewhere: which files can be used, and what is said of the others."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from epa_bench.config.schema import EmbeddedData
from epa_bench.core.errors import DataError
from epa_bench.steps import aligned_file
from epa_bench.steps.context import StepContext
from epa_bench.steps.supervised import supervised_rows

TASK = EmbeddedData(kind="embedded", sft_prompts=20, swapped=0.5).corpus_recipe()

Rows = list[dict[str, Any]]


@pytest.fixture
def read(tmp_path: Path) -> Callable[[Callable[[Rows], object]], Rows]:
    """Writes a score of every supervised row, changed by a function, and runs the step; gives the rows it wrote."""

    def run(change: Callable[[Rows], object]) -> Rows:
        (tmp_path / "cell").mkdir()
        file = tmp_path / "scores.jsonl"
        context = StepContext(
            {"task": TASK}, {"path": str(file)}, {}, tmp_path / "cell", "cpu", lambda done, total: None
        )
        rows: Rows = [
            {"prompt": row.prompt, "response": row.response, "logp": -float(i), "tokens": i + 1}
            for i, row in enumerate(supervised_rows(context))
        ]
        change(rows)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        aligned_file.run(context)
        return [json.loads(line) for line in (tmp_path / "cell/scores.jsonl").read_text().splitlines()]

    return run


def test_scores_come_in_the_rows_order_whatever_the_files(read: Callable[..., Rows]) -> None:
    written = read(lambda rows: rows.reverse())
    assert [row["tokens"] for row in written] == list(range(1, 21))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("logp", float("nan"), r"scores.jsonl, row 3: logp: Input should be a finite number"),
        ("logp", None, r"scores.jsonl, row 3: logp: Input should be a valid number"),
        ("logp", 12.5, r"scores.jsonl, row 3: logp: Input should be less than or equal to 0"),
        ("tokens", 0, r"scores.jsonl, row 3: tokens: Input should be greater than or equal to 1"),
        ("response", " ", r"scores.jsonl, row 3: response"),
        ("prompt", "of other data", r"1 of 20 supervised rows have no score: these are scores of other data"),
    ],
)
def test_scores_that_cannot_be_used(read: Callable[..., Rows], key: str, value: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(lambda rows: rows[2].update({key: value}))


def test_a_row_without_a_score_is_named(read: Callable[..., Rows]) -> None:
    with pytest.raises(DataError, match=r"embedded task, prompt .*: no score"):
        read(lambda rows: rows.pop(7))
