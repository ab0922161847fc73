"""The whole pipeline over a slice of real preference data, from a reference made here and from one on disk."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

if TYPE_CHECKING:
    from tests.conftest import Workplace

TRAIN, EVAL = 32, 24


@pytest.fixture
def ultrafeedback(shared_data: Path) -> tuple[Path, Path]:
    folder = shared_data / "preferences" / "ultrafeedback"
    (train,), (held_out,) = folder.glob("train_clean.*"), folder.glob("eval_clean.*")
    return train, held_out


@pytest.fixture
def real_sweep(ultrafeedback: tuple[Path, Path]) -> dict[str, Any]:
    train, held_out = ultrafeedback
    return {
        "data": {
            "kind": "files",
            "train": str(train),
            "eval": str(held_out),
            "invalid_rows": "drop",
            "train_limit": TRAIN,
            "eval_limit": EVAL,
            "max_length": 256,
        },
        "reference.model.vocab_size": 600,
        # Room for an answer to the longest prompt.
        "reference.model.max_position_embeddings": 288,
        "methods.dpo-nll": None,
        "seeds": [1],
        "suites.embedded_pairwise": None,
        "suites.linearity": None,
        "suites.generation.limit": 4,
    }


def rows_of(place: "Workplace") -> pd.DataFrame:
    lines = (place.folder / "runs" / "mini" / "rows.jsonl").read_text().splitlines()
    return pd.DataFrame([json.loads(line) for line in lines])


def eval_rows(place: "Workplace") -> list[dict[str, Any]]:
    """The evaluation rows that fit, as the sweep kept them."""
    (file,) = place.store.glob("cells/fit/*/eval.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def assert_reward_accuracy_adds_up(place: "Workplace") -> None:
    kept = eval_rows(place)
    ties = sum(row["chosen"]["gold"] == row["rejected"][0]["gold"] for row in kept)
    against = sum(row["chosen"]["gold"] < row["rejected"][0]["gold"] for row in kept)
    rows = rows_of(place)
    accuracy = rows[rows["suite"] == "reward_accuracy"]
    for _, arm in accuracy.groupby("arm"):
        counts = arm.groupby("metric").size()
        assert counts["accuracy"] == counts["margin"] == counts["gold_accuracy"] == len(kept) - ties
        assert counts.get("accuracy_on_gold_ties", 0) == ties
        wide = arm.pivot(index=["prompt_id", "item"], columns="metric", values="value")
        decided = wide.dropna(subset="margin")
        assert (decided["accuracy"] == (decided["margin"] > 0)).all()
        # Where gold and label agree the two accuracies are one; they differ exactly where the label is against gold.
        assert (decided["accuracy"] != decided["gold_accuracy"]).sum() == against
    assert set(accuracy["arm"]) == {"dpo", "epa-1-1-2"}


def test_from_a_reference_made_here(workplace: "Workplace", real_sweep: dict[str, Any]) -> None:
    workplace.write(real_sweep)
    workplace.finish()
    assert_reward_accuracy_adds_up(workplace)
    assert "accuracy_on_gold_ties" in set(rows_of(workplace)["metric"])
    (summary,) = workplace.store.glob("cells/fit/*/summary.json")
    counts = json.loads(summary.read_text())
    for split, limit in (("train", TRAIN), ("eval", EVAL)):
        assert counts[split]["rows"] + counts[split]["prompts_too_long"] == limit
        assert counts[split]["prompts_too_long"] > 0
    table = (workplace.folder / "leaderboards" / "mini.md").read_text()
    assert f"prompts too long {counts['train']['prompts_too_long']}" in table
    rows = rows_of(workplace)
    lengths = rows[rows["metric"] == "length"]
    assert (lengths.groupby("arm").size() == 4).all()
    assert set(lengths["arm"]) == {"reference", "dpo", "epa-1-1-2"}


def test_from_a_checkpoint_on_disk(
    workplace: "Workplace", real_sweep: dict[str, Any], save_checkpoint: Callable[..., Path]
) -> None:
    folder = save_checkpoint(positions=288)
    of_scratch = ("reference.model.vocab_size", "reference.model.max_position_embeddings")
    sweep = {key: value for key, value in real_sweep.items() if key not in of_scratch}
    sweep["reference"] = {"kind": "checkpoint", "path": "my-sft"}
    workplace.write(sweep)
    workplace.finish()
    assert_reward_accuracy_adds_up(workplace)
    assert not list(workplace.store.glob("cells/reference"))
    cells = workplace.cells()

    # By content: the same checkpoint elsewhere is the same reference.
    folder.rename(workplace.folder / "moved")
    workplace.finish("mini.yaml", "--set", "reference.path=moved")
    assert workplace.cells() == cells
