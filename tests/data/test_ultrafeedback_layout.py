"""UltraFeedback in full, four completions a prompt: rows written by hand in its layout, from JSON lines to the plan.

The layout is that of the data set's card and README (github.com/OpenBMB/UltraFeedback).
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from epa_bench.core.errors import DataError
from epa_bench.core.records import Response
from epa_bench.data.plan import build_plan
from epa_bench.data.preferences import PreferenceFile, read_preferences
from epa_bench.data.sources import read_rows


def completion(model: str, response: str, overall: float | None, fine: float | None) -> dict[str, Any]:
    rating = {"Rating": "4", "Rationale": "It does as asked."}
    typed = {"Type": ["1"], "Rationale": "No error.", "Rating": "4", "Rationale For Rating": "It is right."}
    return {
        "annotations": {
            "helpfulness": typed,
            "honesty": rating,
            "instruction_following": rating,
            "truthfulness": typed,
        },
        "critique": "Name one more bird.",
        "custom_system_prompt": f"You are {model}, and helpful.",
        "fine-grained_score": fine,
        "model": model,
        "overall_score": overall,
        "principle": "helpfulness",
        "response": response,
    }


def row(instruction: str, *completions: dict[str, Any]) -> dict[str, Any]:
    return {
        "source": "evol_instruct",
        "instruction": instruction,
        "models": [each["model"] for each in completions],
        "completions": list(completions),
        "correct_answers": ["None"],
        "incorrect_answers": ["None"],
    }


FOUR = row(
    "Name a bird.",
    completion("alpaca-7b", "Stone", 2.0, 1.25),
    completion("gpt-4", "The wren", 8.5, 4.75),
    completion("bard", "A bird", 5.0, 3.5),
    completion("starchat", "The owl", 7.5, 5.0),
)
OTHER = row(
    "Name a tree.",
    completion("gpt-4", "The elm", 9.0, 5.0),
    completion("mpt-30b-chat", "A tree", 6.0, 3.0),
    completion("bard", "The wren", 3.0, 1.0),
    completion("alpaca-7b", "Stone", 1.0, 1.0),
)


def written(folder: Path, *rows: dict[str, Any], parquet: bool = False, drop: bool = False) -> PreferenceFile:
    path = folder / ("uf.parquet" if parquet else "uf.jsonl")
    if parquet:
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    else:
        path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return read_preferences(read_rows(str(path)), invalid_rows="drop" if drop else "error")


@pytest.mark.parametrize("parquet", [False, True])
def test_the_best_overall_score_is_chosen_and_the_others_follow(tmp_path: Path, parquet: bool) -> None:
    (found, _) = written(tmp_path, FOUR, OTHER, parquet=parquet).preferences
    assert found.prompt == "Name a bird."
    # By overall_score: the owl has the better fine-grained one.
    assert found.responses == (
        Response(text="The wren", gold=8.5),
        Response(text="The owl", gold=7.5),
        Response(text="A bird", gold=5.0),
        Response(text="Stone", gold=2.0),
    )


def test_without_overall_scores_the_fine_grained_ones_order(tmp_path: Path) -> None:
    """Both scales in one row would put 5.0 of 5 below 7.5 of 10."""
    fine = row("p", completion("a", "x", None, 1.25), completion("b", "y", 7.5, 4.0), completion("c", "z", None, 5.0))
    (found,) = written(tmp_path, fine).preferences
    assert [(response.text, response.gold) for response in found.responses] == [("z", 5.0), ("y", 4.0), ("x", 1.25)]


def test_rows_with_fewer_completions(tmp_path: Path) -> None:
    rows = (FOUR, row("Name a fish."), row("Name a cat.", completion("gpt-4", "Tom", 8.0, 4.0)))
    with pytest.raises(DataError, match="too few responses: completions has 0 of the two or more") as caught:
        written(tmp_path, *rows)
    assert "drops and counts 2 of them" in str(caught.value)
    found = written(tmp_path, *rows, row("q", *FOUR["completions"][:3]), drop=True)
    assert found.dropped == {"too few responses": 2}
    assert [len(preference.rejected) for preference in found.preferences] == [3, 2]


def test_all_four_responses_are_one_group_with_three_strong_negatives(tmp_path: Path) -> None:
    """1:3:1: the weak negative is the other row's."""
    preferences = written(tmp_path, FOUR, OTHER).preferences
    plan = build_plan(
        preferences,
        strong=3,
        weak=1,
        weak_source="both",
        weak_pool="step",
        groups_per_step=2,
        epochs=1,
        data_seed=0,
    )
    for group in plan.groups:
        strong = [c.response for c in group.candidates if c.role == "strong"]
        assert sorted(strong) == [1, 2, 3]
        (weak,) = (c for c in group.candidates if c.role == "weak")
        assert weak.example == 1 - group.example
    assert plan.summary.short_rows == 0
