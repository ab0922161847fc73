"""A sweep with held-out rows: the same ones for every arm, the best checkpoint on disk, the step said everywhere."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import Workplace

VALIDATION = {"rows": 6, "eval_steps": 1, "metric_for_best_model": "rewards/margins"}


@pytest.fixture(scope="module")
def trained(finished: "Workplace", tmp_path_factory: pytest.TempPathFactory) -> "Workplace":
    """The mini sweep's two arms and seeds trained with six rows held out: two steps each."""
    place = finished.copy(tmp_path_factory.mktemp("held-out"))
    place.write({"training.validation": VALIDATION, "methods.dpo-nll": None, "training.save_steps": None})
    done = place.run("train", "mini.yaml", "--json", "shown.json")
    assert done.returncode == 0, done.stderr
    return place


def new_cells(finished: "Workplace", place: "Workplace", step: str) -> list[Path]:
    before = finished.cells()
    return [
        place.store / "cells" / step / digest
        for at, digest in place.cells()
        if at == step and (at, digest) not in before
    ]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_arm_and_seed_holds_out_the_same_rows(finished: "Workplace", trained: "Workplace") -> None:
    plans = new_cells(finished, trained, "plan")
    assert len(plans) == 4
    pairs = {(plan / "validation.jsonl").read_bytes() for plan in plans}
    assert len(pairs) == 1
    held_out = {json.loads(line)["example"] for line in pairs.pop().splitlines()}
    assert len(held_out) == 6
    for plan in plans:
        used = {c["example"] for group in lines(plan / "plan.jsonl") for c in group["candidates"]}
        assert not used & held_out
        assert json.loads((plan / "summary.json").read_text())["validation_rows"] == 6


def test_the_reference_scores_no_row_anew(finished: "Workplace", trained: "Workplace") -> None:
    """Every response of the training rows was scored under its own prompt already; weak negatives are other draws."""
    plans = {path.name for path in new_cells(finished, trained, "plan")}
    for cell in new_cells(finished, trained, "reference_scores"):
        recipe = json.loads((cell / "cell.json").read_text())["recipe"]
        assert recipe["inputs"]["plan"] in plans


def test_the_chosen_step_is_in_the_checkpoint_the_log_the_card_and_the_summary(
    finished: "Workplace", trained: "Workplace"
) -> None:
    shown = {row["checkpoint"]: row for row in json.loads((trained.folder / "shown.json").read_text())}
    cells = new_cells(finished, trained, "train")
    assert len(cells) == 4
    for cell in cells:
        log = lines(cell / "validation_log.jsonl")
        assert [entry["step"] for entry in log] == [1, 2]
        (chosen,) = (entry for entry in log if entry.get("chosen"))
        margin = chosen["eval_rewards/margins"]
        assert margin == max(entry["eval_rewards/margins"] for entry in log)
        expected = {"step": chosen["step"], "metric": "eval_rewards/margins", "value": margin}
        assert json.loads((cell / "model" / "epa_bench.json").read_text())["chosen"] == expected
        assert f"| value | {margin} |" in (cell / "model" / "README.md").read_text()
        label = json.loads((cell / "cell.json").read_text())["label"].removeprefix("train ")
        assert shown[label]["chosen_step"] == chosen["step"]
        assert not (cell / "checkpoints").exists()


def test_the_table_says_what_was_held_out_and_why(trained: "Workplace") -> None:
    trained.finish("mini.yaml")
    text = (trained.folder / "leaderboards" / "mini.md").read_text()
    assert "Held out of the training rows, never of the evaluation rows: 6 or more" in text
    assert "keeps its checkpoint of the best rewards/margins on them" in text
