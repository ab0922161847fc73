"""Aligned models from elsewhere, over files: a checkpoint, or scores; and what is refused of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Workplace

FileSweep = dict[str, Any]


@pytest.fixture
def with_aligned(file_sweep: FileSweep, write_rows: Callable[..., None]) -> Callable[[dict[str, Any]], FileSweep]:
    """A sweep over files whose reference is made by PoFT."""
    write_rows()

    def sweep(aligned: dict[str, Any]) -> FileSweep:
        return {
            **file_sweep,
            "reference.sft": {"num_train_epochs": 1, "batch_size": 8, "objective": "poft"},
            "aligned": aligned,
        }

    return sweep


def score_rows(place: Workplace) -> list[dict[str, Any]]:
    """A score for every chosen response of train.jsonl."""
    rows = [json.loads(line) for line in (place.folder / "train.jsonl").read_text().splitlines()]
    return [
        {"prompt": row["prompt"], "response": row["chosen"], "logp": -1.5 * (i + 1), "tokens": i + 2}
        for i, row in enumerate(rows)
    ]


def write_scores(place: Workplace, rows: list[dict[str, Any]]) -> None:
    (place.folder / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def refused(place: Workplace, code: int, *words: str) -> None:
    done = place.run("train", "mini.yaml")
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def test_a_checkpoint_and_a_score_file_in_any_order_of_rows(
    workplace: Workplace, with_aligned: Callable[..., FileSweep], save_checkpoint: Callable[..., Path]
) -> None:
    save_checkpoint()
    workplace.write(
        with_aligned(
            {"mine": {"kind": "checkpoint", "path": "my-sft"}, "theirs": {"kind": "scores", "path": "scores.jsonl"}}
        )
    )
    write_scores(workplace, score_rows(workplace))
    done = workplace.run("train", "mini.yaml")
    assert done.returncode == 0, done.stderr
    (reference,) = workplace.store.glob("cells/reference/*")
    log, weights = (reference / "training_log.jsonl").read_text(), (reference / "model/model.safetensors").read_bytes()
    assert "tau/q50" in log
    write_scores(workplace, score_rows(workplace)[::-1])
    done = workplace.run("train", "mini.yaml")
    assert done.returncode == 0, done.stderr
    # The turned file is another file, so it makes other cells; the reference they make is the same.
    (again,) = set(workplace.store.glob("cells/reference/*")) - {reference}
    assert (again / "training_log.jsonl").read_text() == log
    assert (again / "model/model.safetensors").read_bytes() == weights


def test_a_model_without_a_chat_template(
    workplace: Workplace, with_aligned: Callable[..., FileSweep], save_checkpoint: Callable[..., Path]
) -> None:
    save_checkpoint(chat_template=False)
    workplace.write(with_aligned({"mine": {"kind": "checkpoint", "path": "my-sft"}}))
    refused(workplace, 5, "my-sft: expected a chat template", "set `aligned.mine.template: plain`")


def test_a_model_that_is_not_there(workplace: Workplace, with_aligned: Callable[..., FileSweep]) -> None:
    workplace.write(with_aligned({"mine": {"kind": "checkpoint", "path": "./nowhere"}}))
    refused(workplace, 5, "`aligned.mine.path`: no checkpoint folder at ./nowhere")


def test_a_score_file_of_other_data(workplace: Workplace, with_aligned: Callable[..., FileSweep]) -> None:
    workplace.write(with_aligned({"theirs": {"kind": "scores", "path": "scores.jsonl"}}))
    write_scores(workplace, [row | {"prompt": f"other {i}"} for i, row in enumerate(score_rows(workplace))])
    refused(
        workplace, 4, "train.jsonl, row 3", "24 of 24 supervised rows have no score: these are scores of other data"
    )


def test_a_score_file_that_is_not_there(workplace: Workplace, with_aligned: Callable[..., FileSweep]) -> None:
    workplace.write(with_aligned({"theirs": {"kind": "scores", "path": "scores.jsonl"}}))
    refused(workplace, 4, "scores.jsonl")
