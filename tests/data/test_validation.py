"""Held-out rows: whole prompts, the same for every method, nothing of them in the plan of the rest."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from epa_bench.core.errors import PlanError
from epa_bench.core.records import Group, Preference, Response
from epa_bench.data.plan import build_plan
from epa_bench.data.validation import hold_out, plan_of_rest, validation_pairs


def rows(prompts: list[int], rejected: int = 2) -> list[Preference]:
    """A row for each entry, its prompt named by the entry; all responses differ."""
    return [
        Preference(
            prompt=f"prompt {prompt}",
            chosen=Response(text=f"chosen {i}"),
            rejected=tuple(Response(text=f"rejected {i}.{k}") for k in range(rejected)),
            source=f"f, row {i}",
        )
        for i, prompt in enumerate(prompts)
    ]


SETTINGS: dict[str, Any] = {
    "strong": 1,
    "weak": 2,
    "weak_source": "both",
    "weak_pool": "dataset",
    "groups_per_step": 4,
    "epochs": 2,
    "data_seed": 0,
}

PROMPTS = st.lists(st.integers(0, 12), min_size=2, max_size=30)


@given(PROMPTS, st.integers(1, 12), st.integers(0, 3))
def test_rows_are_split_by_whole_prompts(prompts: list[int], count: int, seed: int) -> None:
    data = rows(prompts)
    try:
        held_out = hold_out(data, rows=count, seed=seed)
    except PlanError:
        # Only where no choice of prompts could leave anything: the last prompt drawn may take the rest with it.
        assert len(data) - count < max(Counter(prompts).values())
        return
    assert sorted(held_out.training + held_out.validation) == list(range(len(data)))
    assert {prompts[i] for i in held_out.training}.isdisjoint(prompts[i] for i in held_out.validation)
    assert count <= len(held_out.validation) < count + max(Counter(prompts).values())
    assert hold_out(data, rows=count, seed=seed) == held_out


def test_the_seed_draws_the_prompts() -> None:
    data = rows(list(range(40)))
    drawn = {seed: hold_out(data, rows=10, seed=seed).validation for seed in range(5)}
    assert len(set(drawn.values())) == 5
    assert all(len(found) == 10 for found in drawn.values())


def test_more_rows_asked_hold_out_the_same_and_more() -> None:
    data = rows(list(range(40)))
    assert set(hold_out(data, rows=5, seed=0).validation) < set(hold_out(data, rows=9, seed=0).validation)


@given(PROMPTS, st.integers(1, 6))
def test_nothing_held_out_is_in_the_plan_of_the_rest(prompts: list[int], count: int) -> None:
    data = rows(prompts)
    try:
        held_out = hold_out(data, rows=count, seed=0)
        plan = plan_of_rest(data, held_out, **SETTINGS)
    except PlanError:
        assume(False)
        return
    used = {c.example for group in plan.groups for c in group.candidates} | {group.example for group in plan.groups}
    assert used <= set(held_out.training)
    # It is the plan of those rows, under the numbers they have among all rows.
    alone = build_plan([data[i] for i in held_out.training], **SETTINGS)
    assert plan.summary == alone.summary
    assert [held_out.training[group.example] for group in alone.groups] == [group.example for group in plan.groups]


def test_validation_pairs_are_each_held_out_row_once() -> None:
    data = rows([*range(10), 3], rejected=3)
    held_out = hold_out(data, rows=4, seed=1)
    pairs = validation_pairs(data, held_out, seed=1)
    assert sorted(group.example for group in pairs) == list(held_out.validation)
    for group in pairs:
        assert [(c.example, c.role) for c in group.candidates] == [
            (group.example, "positive"),
            (group.example, "strong"),
        ]
        assert group.candidates[0].response == 0
        assert group.candidates[1].response in (1, 2, 3)
    assert len({group.candidates[1].response for group in pairs}) > 1, "a seeded choice, not always the first"


def test_held_out_rows_do_not_depend_on_the_method() -> None:
    data = rows(list(range(20)))
    held_out = hold_out(data, rows=4, seed=0)

    def of(**changes: Any) -> set[int]:
        groups: tuple[Group, ...] = plan_of_rest(data, held_out, **{**SETTINGS, **changes}).groups
        return {group.example for group in groups}

    assert of(weak=0) == of(weak=3) == of(data_seed=5) == set(held_out.training)


@pytest.mark.parametrize(
    ("prompts", "count"),
    [
        ([0, 1, 2], 3),  # nothing is left
        ([0, 1, 2], 9),
        ([0, 0, 0], 1),  # all rows share the prompt
    ],
)
def test_nothing_left_to_train_on_is_an_error(prompts: list[int], count: int) -> None:
    with pytest.raises(PlanError, match=r"lower `training.validation.rows`, or give more data"):
        hold_out(rows(prompts), rows=count, seed=0)


def test_too_few_rows_for_a_step_say_how_many_are_held_out() -> None:
    data = rows(list(range(9)))
    held_out = hold_out(data, rows=6, seed=0)
    with pytest.raises(PlanError) as caught:
        plan_of_rest(data, held_out, **SETTINGS)
    assert "expected at least 4 rows, one optimizer step, got 3" in str(caught.value)
    assert "6 of the 9 training rows are held out (`training.validation.rows`)" in str(caught.value)
