"""lm-eval's tasks in a sweep: rows of every checkpoint's own, paired margins, and failures that cost no other task."""

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from epa_bench.suites.registry import shipped_suites
from tests.suites.mirrored import write_task

if TYPE_CHECKING:
    from tests.conftest import Workplace

FEWER = {"seeds": [1], "methods.dpo-nll": None}
"""Three checkpoints are left: each task of each has a process of its own."""


@pytest.fixture(scope="module")
def puzzled(finished: "Workplace", tmp_path_factory: pytest.TempPathFactory) -> "Workplace":
    """The finished sweep's checkpoints on the word puzzles, the mirror of nothing else in reach."""
    place = finished.copy(tmp_path_factory.mktemp("puzzled"))
    place.write({"suites": {"word_puzzles": {}}})
    place.finish()
    return place


def rows_of(place: "Workplace", suite: str = "word_puzzles") -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (place.folder / "runs/mini/rows.jsonl").read_text().splitlines()]
    return [row for row in rows if row["suite"] == suite]


def documents(place: "Workplace", task: str) -> dict[str, list[dict[str, Any]]]:
    """Cell -> the documents of a task."""
    found = {}
    for path in sorted(place.store.glob("cells/lm_eval/*/documents.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        if rows[0]["task"] == task:
            found[path.parent.name] = rows
    return found


def test_the_table_has_each_task_with_paired_margins(puzzled: "Workplace") -> None:
    board = json.loads((puzzled.folder / "leaderboards" / "mini.json").read_text())
    tables = {table["metric"]: table for table in board["tables"]}
    assert set(tables) == {"word_answer", "word_choice"}
    assert board["versions"]["lm_eval"] == "0.4.13"
    for name, table in tables.items():
        assert table["info"]["unit"] == "%"
        rows = [row for row in rows_of(puzzled) if row["metric"] == name]
        assert len(rows) == 7 * 48
        for arm in table["arms"]:
            own = [row["value"] for row in rows if row["arm"] == arm["arm"]]
            assert arm["score"]["value"] == pytest.approx(sum(own) / len(own))
            if arm["arm"] in ("dpo-nll", "epa-1-1-2"):
                assert (arm["margin"]["n_prompts"], arm["margin"]["n_left_out"]) == (48, 0)
    assert any('"num_fewshot": 0' in note and '"chat_template": true' in note for note in board["notes"])


def test_lm_evals_version_is_in_the_cells_address(puzzled: "Workplace") -> None:
    recipes = [json.loads(path.read_text())["recipe"] for path in puzzled.store.glob("cells/lm_eval/*/cell.json")]
    assert {recipe["versions"]["lm_eval"] for recipe in recipes} == {"0.4.13"}
    assert all("datasets" in recipe["versions"] for recipe in recipes)


def test_rows_are_paired_by_the_documents_hash(puzzled: "Workplace") -> None:
    by_arm: dict[tuple[str, int], list[str]] = {}
    for row in rows_of(puzzled):
        if row["metric"] == "word_choice":
            by_arm.setdefault((row["arm"], row["seed"]), []).append(row["prompt_id"])
    hashes = [row["doc_hash"] for row in next(iter(documents(puzzled, "word_choice").values()))]
    assert len(by_arm) == 7
    assert all(sorted(found) == sorted(hashes) for found in by_arm.values())
    assert len(set(hashes)) == 48


def test_each_checkpoint_has_its_own_numbers(puzzled: "Workplace") -> None:
    """lm-eval's own cache would give the second checkpoint the first one's."""
    scores = [json.dumps([row["responses"] for row in rows]) for rows in documents(puzzled, "word_choice").values()]
    assert len(scores) == len(set(scores)) == 7


def test_how_tasks_were_asked_is_kept(puzzled: "Workplace") -> None:
    kept = [json.loads(path.read_text()) for path in puzzled.store.glob("cells/lm_eval/*/settings.json")]
    assert len(kept) == 14
    digests = {settings.pop("chat_template_digest") for settings in kept}
    assert None not in digests
    assert len(digests) == 1
    expected = {
        "chat_template": True,
        "fewshot_as_multiturn": False,
        "fewshot_seed": 1234,
        "num_fewshot": 0,
        "positions": 128,
        "truncated_prompts": 0,
    }
    assert all(settings == expected for settings in kept)


def test_what_changes_a_task_makes_its_cells_owed_alone(puzzled: "Workplace", tmp_path: Path) -> None:
    place = puzzled.copy(tmp_path)
    place.write({"suites": {"word_puzzles": {}}, **FEWER})
    place.finish("mini.yaml", "--set", "suites.word_puzzles.tasks.word_answer.num_fewshot=1")
    new = place.cells().keys() - puzzled.cells().keys()
    assert sorted(step for step, _ in new) == ["lm_eval"] * 3 + ["values"] * 3
    for _, digest in (cell for cell in new if cell[0] == "lm_eval"):
        rows = (place.store / "cells/lm_eval" / digest / "documents.jsonl").read_text().splitlines()
        assert json.loads(rows[0])["task"] == "word_answer"
    shown = place.run("table", "mini.yaml", "--set", "suites.word_puzzles.tasks.word_answer.better=lower")
    assert shown.returncode == 0, shown.stderr


def test_a_task_that_raises_costs_only_its_own_cell(puzzled: "Workplace", tmp_path: Path) -> None:
    """The word puzzles as a user's own suite, one of them broken."""
    place = puzzled.copy(tmp_path)
    shutil.copytree(shipped_suites() / "word_puzzles", place.folder / "mine" / "puzzles")
    definition = place.folder / "mine" / "puzzles" / "word_choice" / "task.yaml"
    definition.write_text(definition.read_text().replace("{{question}}", "{{nonesuch}}"))
    place.write({"suites": {"puzzles": {"limit": 9}}, **FEWER})
    place.finish("mini.yaml", "--suites", "mine")
    rows = rows_of(place, "puzzles")
    failed = [row for row in rows if row["metric"] == "word_choice"]
    assert len(failed) == 3 * 9
    assert {row["error"] for row in failed} == {"the task raised UndefinedError: 'nonesuch' is undefined"}
    answered = [row for row in rows if row["metric"] == "word_answer"]
    assert len(answered) == 3 * 9
    assert all(row.get("error") is None for row in answered)
    assert "Failed rows" in (place.folder / "leaderboards" / "mini.md").read_text()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"suites.alignment_tax": {}},
            [
                "7 problems in the data of lm-eval tasks",
                "gsm8k: no data of gsm8k",
                "epa-bench suites mirror mmlu arc_chal",
            ],
        ),
        ({"suites.word_puzzles.tasks.word_choice": {"metric": 3}}, ["suites.word_puzzles.tasks.word_choice.metric"]),
        (
            {"suites.word_puzzles": {}, "reference": {"kind": "checkpoint", "path": ".", "template": "plain"}},
            ["`suites.word_puzzles.tasks.word_choice.chat_template`: true, but `reference.template` is plain"],
        ),
        ({"suites.word_puzzles": {}, "engine.script": "script.jsonl"}, ["a script (`engine.script`) has no prob"]),
    ],
)
def test_what_cannot_be_asked_is_found_before_anything_runs(
    changes: dict[str, Any], words: list[str], workplace: "Workplace"
) -> None:
    workplace.write(changes)
    environment = {**os.environ, "EPA_BENCH_CACHE": str(workplace.folder / "cache")}
    done = workplace.run("run", "mini.yaml", env=environment)
    assert done.returncode in (3, 9), done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    assert not workplace.cells()


def test_a_task_that_lm_eval_does_not_ship_is_found_before_training(workplace: "Workplace") -> None:
    write_task(workplace.folder / "mirror" / "t", {"test": [{"n": 1}]}, evaluated="test", definition="x/nonesuch.yaml")
    suite = workplace.folder / "more" / "mine" / "suite.yaml"
    suite.parent.mkdir(parents=True)
    suite.write_text("kind: lm_eval\ndescription: mine\ntasks:\n  t: {metric: acc, chat_template: false}\n")
    workplace.write({"suites": {"mine": {}}})
    environment = {**os.environ, "EPA_BENCH_MIRROR": str(workplace.folder / "mirror")}
    done = workplace.run("run", "mini.yaml", "--suites", "more", env=environment)
    assert done.returncode == 9, done.stderr
    assert "lm-eval ships no x/nonesuch.yaml; mirror t again" in done.stderr
    assert not workplace.cells()
