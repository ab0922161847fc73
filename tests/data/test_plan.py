"""Properties of the plan for any data and settings, worked summaries, and what must not change it."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from epa_bench.core.errors import PlanError
from epa_bench.core.records import Candidate, Group, Message, Preference, Response
from epa_bench.data.plan import EQUALS_POSITIVE, REPEATS, Plan, build_plan, data_fingerprint
from epa_bench.data.preferences import read_preferences
from epa_bench.data.sources import read_rows


def rows(count: int, rejected: int = 1) -> list[Preference]:
    """`count` rows whose prompts and responses all differ."""
    return [
        Preference(
            prompt=f"p{i}",
            chosen=Response(text=f"c{i}"),
            rejected=tuple(Response(text=f"r{i}.{k}") for k in range(rejected)),
            source=f"f, row {i}",
        )
        for i in range(count)
    ]


DEFAULTS: dict[str, Any] = {
    "strong": 1,
    "weak": 2,
    "weak_source": "both",
    "weak_pool": "step",
    "groups_per_step": 4,
    "epochs": 1,
    "data_seed": 0,
}


def plan_of(preferences: Sequence[Preference], **changes: Any) -> Plan:
    return build_plan(preferences, **{**DEFAULTS, **changes})


def with_role(group: Group, role: str) -> list[Candidate]:
    return [candidate for candidate in group.candidates if candidate.role == role]


PREFERENCES = st.lists(
    st.builds(
        Preference,
        prompt=st.sampled_from([*"pqrstuvw", (Message(role="user", content="p"),)]),
        chosen=st.builds(Response, text=st.sampled_from("abcd")),
        rejected=st.lists(st.builds(Response, text=st.sampled_from("abcdef")), min_size=1, max_size=4).map(tuple),
        source=st.just("f"),
    ),
    min_size=1,
    max_size=16,
)
SETTINGS = st.fixed_dictionaries(
    {
        "strong": st.integers(0, 3),
        "weak": st.integers(0, 4),
        "weak_source": st.sampled_from(["chosen", "rejected", "both"]),
        "weak_pool": st.sampled_from(["step", "dataset"]),
        "groups_per_step": st.integers(1, 8),
        "epochs": st.integers(1, 3),
        "data_seed": st.integers(0, 5),
    }
).filter(lambda chosen: chosen["strong"] or chosen["weak"])


def _plan_or_reject(data: list[Preference], chosen: dict[str, Any]) -> Plan:
    try:
        return build_plan(data, **chosen)
    except PlanError:
        assume(False)
        raise


@given(PREFERENCES, SETTINGS)
def test_every_group_of_every_plan(data: list[Preference], chosen: dict[str, Any]) -> None:
    plan = _plan_or_reject(data, chosen)
    size, weak = chosen["groups_per_step"], chosen["weak"]
    for number, group in enumerate(plan.groups):
        assert group.step == number // size
        positive, *negatives = group.candidates
        assert positive == Candidate(example=group.example, response=0, role="positive")

        strong = with_role(group, "strong")
        assert len(strong) == min(chosen["strong"], len(data[group.example].rejected))
        assert all(c.example == group.example and c.response > 0 for c in strong)
        assert len({c.response for c in strong}) == len(strong)

        drawn = with_role(group, "weak")
        prompts = [data[c.example].prompt_id for c in drawn]
        assert len(set(prompts)) == len(drawn) == weak
        assert data[group.example].prompt_id not in prompts
        assert [*strong, *drawn] == negatives
        if chosen["weak_pool"] == "step":
            members = {other.example for other in plan.groups if other.step == group.step}
            assert {c.example for c in drawn} <= members
        if chosen["weak_source"] != "both":
            assert all((c.response == 0) == (chosen["weak_source"] == "chosen") for c in drawn)

        texts = [data[c.example].responses[c.response].text for c in group.candidates]
        for index, candidate in enumerate(group.candidates[1:], 1):
            if texts[index] == texts[0]:
                assert candidate.masked == EQUALS_POSITIVE
            else:
                assert candidate.masked == (REPEATS if texts[index] in texts[1:index] else None)


@given(PREFERENCES, SETTINGS)
def test_an_epoch_uses_every_example_once_but_for_an_incomplete_step(
    data: list[Preference], chosen: dict[str, Any]
) -> None:
    plan = _plan_or_reject(data, chosen)
    per_epoch = len(data) // chosen["groups_per_step"] * chosen["groups_per_step"]
    examples = [group.example for group in plan.groups]
    for epoch in range(chosen["epochs"]):
        part = examples[epoch * per_epoch : (epoch + 1) * per_epoch]
        assert len(set(part)) == len(part) == per_epoch
    assert len(examples) == chosen["epochs"] * per_epoch == plan.steps * chosen["groups_per_step"]
    masks = [c.masked for group in plan.groups for c in group.candidates if c.masked]
    summary = plan.summary
    assert summary.groups == len(examples)
    assert summary.dropped_groups == chosen["epochs"] * (len(data) - per_epoch)
    assert summary.masked == {reason: masks.count(reason) for reason in sorted(set(masks))}
    assert summary.short_rows == sum(len(row.rejected) < chosen["strong"] for row in data)
    bare = [group for group in plan.groups if not any(c.masked is None for c in group.candidates[1:])]
    assert summary.groups_without_negatives == len(bare)


@given(PREFERENCES, SETTINGS)
def test_a_smaller_request_is_a_prefix_of_a_larger_one(data: list[Preference], chosen: dict[str, Any]) -> None:
    chosen = {**chosen, "strong": max(chosen["strong"], 1)}
    full = _plan_or_reject(data, chosen)
    # Fewer negatives may leave a step without one.
    less = _plan_or_reject(data, {**chosen, "weak": chosen["weak"] // 2})
    dpo = _plan_or_reject(data, {**chosen, "weak": 0, "strong": 1})
    for whole, part, pair in zip(full.groups, less.groups, dpo.groups, strict=True):
        assert whole.example == part.example == pair.example
        assert whole.candidates[: len(part.candidates)] == part.candidates
        assert whole.candidates[:2] == pair.candidates


def drawn(candidates: Sequence[Candidate]) -> list[tuple[int, int]]:
    """Which responses, whether or not they count."""
    return [(candidate.example, candidate.response) for candidate in candidates]


@given(PREFERENCES, SETTINGS)
def test_strong_and_weak_negatives_do_not_know_of_each_other(data: list[Preference], chosen: dict[str, Any]) -> None:
    """1:S:0 and 1:0:W are 1:S:W without the others; only a mask may go with the candidate it repeats."""
    chosen = {**chosen, "strong": max(chosen["strong"], 1), "weak": max(chosen["weak"], 1)}
    full = _plan_or_reject(data, chosen)
    strong_only = _plan_or_reject(data, {**chosen, "weak": 0})
    weak_only = _plan_or_reject(data, {**chosen, "strong": 0})
    for whole, strong, weak in zip(full.groups, strong_only.groups, weak_only.groups, strict=True):
        assert whole.example == strong.example == weak.example
        assert strong.candidates == (whole.candidates[0], *with_role(whole, "strong"))
        assert drawn(weak.candidates[1:]) == drawn(with_role(whole, "weak"))
        for alone, beside in zip(weak.candidates[1:], with_role(whole, "weak"), strict=True):
            assert beside.masked == alone.masked or (alone.masked, beside.masked) == (None, REPEATS)


def test_a_weak_negative_that_repeats_a_strong_one_counts_where_that_one_is_left_out() -> None:
    """Every rejected response is the same refusal."""
    refusals = [row.model_copy(update={"rejected": (Response(text="No."),)}) for row in rows(4)]
    both = plan_of(refusals, weak=1, weak_source="rejected")
    assert {c.masked for group in both.groups for c in with_role(group, "weak")} == {REPEATS}
    alone = plan_of(refusals, weak=1, weak_source="rejected", strong=0)
    assert {c.masked for group in alone.groups for c in with_role(group, "weak")} == {None}
    assert (alone.summary.masked, alone.summary.short_rows) == ({}, 0)


def test_a_plan_without_negatives_is_a_mistake_of_the_program() -> None:
    """The configuration refuses it."""
    with pytest.raises(AssertionError, match="no loss"):
        plan_of(rows(4), strong=0, weak=0)


@given(PREFERENCES, SETTINGS)
def test_weak_source_changes_the_responses_not_the_prompts(data: list[Preference], chosen: dict[str, Any]) -> None:
    plans = [_plan_or_reject(data, {**chosen, "weak_source": s}) for s in ("chosen", "rejected", "both")]
    owners = [[[c.example for c in group.candidates] for group in plan.groups] for plan in plans]
    assert owners[0] == owners[1] == owners[2]


@settings(max_examples=25)
@given(PREFERENCES, SETTINGS)
def test_where_a_row_came_from_and_its_gold_scores_change_nothing(
    data: list[Preference], chosen: dict[str, Any]
) -> None:
    plan = _plan_or_reject(data, chosen)
    scored = [
        Preference(
            prompt=row.prompt,
            chosen=row.chosen.model_copy(update={"gold": 1.0}),
            rejected=row.rejected,
            source=f"elsewhere, row {i}",
        )
        for i, row in enumerate(data)
    ]
    assert data_fingerprint(scored) == data_fingerprint(data)
    assert build_plan(scored, **chosen) == plan


def test_the_data_seed_the_data_and_the_epoch_decide_the_order() -> None:
    def order(data: list[Preference], **changes: Any) -> tuple[int, ...]:
        return tuple(group.example for group in plan_of(data, **changes).groups)

    data = rows(40)
    other = [*data[:-1], data[-1].model_copy(update={"chosen": Response(text="another")})]
    twice = order(data, epochs=2)
    assert len({order(data), order(data, data_seed=1), order(other), twice[40:]}) == 4
    assert twice[:40] == order(data)


def test_an_epoch_repeats_the_strong_and_redraws_the_weak_negatives() -> None:
    plan = plan_of(rows(40, rejected=4), strong=2, weak=3, weak_pool="dataset", epochs=2)
    for role, repeats in [("strong", True), ("weak", False)]:
        first, second = (
            {group.example: with_role(group, role) for group in plan.groups[start : start + 40]} for start in (0, 40)
        )
        assert (first == second) is repeats


def test_draws_are_spread_evenly() -> None:
    """2000 draws of each kind; the bounds are more than five standard deviations of a fair draw away."""
    data = rows(20, rejected=4)
    plans = [plan_of(data, weak=5, groups_per_step=20, data_seed=seed) for seed in range(20)]
    weak = [c for plan in plans for group in plan.groups for c in with_role(group, "weak")]
    strong = [c for plan in plans for group in plan.groups for c in with_role(group, "strong")]
    assert len(weak) == 2000
    assert 880 < sum(c.response == 0 for c in weak) < 1120
    for example in range(20):
        assert 50 < sum(c.example == example for c in weak) < 150
    for response in range(1, 5):
        assert 190 < sum(c.response == response for c in weak) < 310
        assert 55 < sum(c.response == response for c in strong) < 145


def test_examples_that_share_a_prompt_are_one_draw() -> None:
    data = [*rows(3), *(row.model_copy(update={"chosen": Response(text=f"again {row.prompt}")}) for row in rows(3))]
    plan = plan_of(data, weak=2, weak_source="chosen", groups_per_step=6)
    for group in plan.groups:
        assert {c.example % 3 for c in with_role(group, "weak")} == {0, 1, 2} - {group.example % 3}
    owners = {c.example for group in plan.groups for c in with_role(group, "weak")}
    assert owners > {0, 1, 2}, "the second row of a prompt is drawn too"


def test_masked_candidates_are_kept_with_their_reason() -> None:
    same = [row.model_copy(update={"chosen": Response(text="Sure.")}) for row in rows(4)]
    plan = plan_of(same, weak_source="chosen")
    assert plan.summary.masked == {EQUALS_POSITIVE: 8}
    assert [c.masked for c in plan.groups[0].candidates] == [None, None, EQUALS_POSITIVE, EQUALS_POSITIVE]
    refusals = [row.model_copy(update={"rejected": (Response(text="No."),)}) for row in rows(4)]
    assert plan_of(refusals, weak_source="rejected").summary.masked == {REPEATS: 8}
    hopeless = [row.model_copy(update={"rejected": (row.chosen,)}) for row in rows(3)]
    plan = plan_of([*hopeless, rows(4)[3]], weak=0)
    assert plan.summary.groups_without_negatives == 3


def test_a_step_with_nothing_to_compare_is_an_error_that_names_its_rows() -> None:
    """Its loss would be 0 and its gradient too, and momentum would move the weights all the same."""
    hopeless = [row.model_copy(update={"rejected": (row.chosen,)}) for row in rows(6)[:5]]
    data = [*hopeless, rows(6)[5]]
    with pytest.raises(PlanError) as caught:
        plan_of(data, weak=0, groups_per_step=2, epochs=2)
    lines = str(caught.value).splitlines()
    assert lines[0] == "8 problems in the plan: steps with nothing to compare:"
    assert all("no negative is left after masking" in line for line in lines[1:9])
    named = [line.strip().partition(": ")[0] for line in lines[1:9]]
    assert set(named) <= {row.source for row in hopeless}
    assert lines[9].startswith("Remove these rows")
    # One row with a negative in every step is enough.
    assert plan_of(data, weak=0, groups_per_step=6).summary.groups_without_negatives == 5


def test_rows_with_too_few_rejected_responses_have_fewer_candidates_and_are_counted() -> None:
    data = [*rows(6)[:2], *rows(6, rejected=3)[2:]]
    plan = plan_of(data, strong=3, weak=0, groups_per_step=2)
    assert plan.summary.short_rows == 2
    assert sorted(len(group.candidates) for group in plan.groups) == [2, 2, 4, 4, 4, 4]


@pytest.mark.parametrize(
    ("data", "changes", "what"),
    [
        (rows(3), {}, "expected at least 4 rows, one optimizer step, got 3; lower `per_device_train_batch_size`"),
        ([], {}, "expected at least 4 rows, one optimizer step, got 0"),
        (rows(4, rejected=2), {"strong": 3}, "3 rejected responses (strong), no row has more than 2; lower `strong`"),
        (rows(4), {"weak": 4}, "expected 4 other prompts (weak) in an optimizer step, got 3: it has 4 distinct"),
        (rows(4), {"weak": 4}, "raise the groups of a step (batch size x accumulation), or set `weak_pool: dataset`"),
        (rows(4) * 2, {"weak": 4, "weak_pool": "dataset"}, "in the data set, got 3: it has 4 distinct prompts"),
        (rows(2) * 2, {"weak": 2}, "in an optimizer step, got 1: it has 2 distinct prompts"),
        (rows(1), {"groups_per_step": 1, "weak": 1}, "in an optimizer step, got 0"),
    ],
)
def test_an_impossible_plan_says_how_much_there_is_and_what_to_change(
    data: list[Preference], changes: dict[str, Any], what: str
) -> None:
    with pytest.raises(PlanError) as caught:
        plan_of(data, **changes)
    assert what in str(caught.value)


def test_one_poor_step_of_the_last_epoch_fails_before_training() -> None:
    """Five of twelve rows share a prompt: some steps hold four distinct prompts, some fewer."""
    data = [*rows(8), *[rows(1)[0]] * 4]
    distinct = [
        len({data[group.example].prompt_id for group in plan.groups if group.step == step})
        for plan in [plan_of(data, weak=0, epochs=3)]
        for step in range(plan.steps)
    ]
    fewest = min(distinct)
    assert fewest < max(distinct)
    assert plan_of(data, weak=fewest - 1, epochs=3).steps == 9
    with pytest.raises(PlanError, match=f"got {fewest - 1}: it has {fewest} distinct"):
        plan_of(data, weak=fewest, epochs=3)


def test_a_plan_pinned_across_machines_and_versions() -> None:
    plan = plan_of(rows(6, rejected=2), groups_per_step=3, weak=1)
    assert [drawn(group.candidates) for group in plan.groups] == [
        [(0, 0), (0, 2), (1, 0)],
        [(4, 0), (4, 1), (0, 0)],
        [(1, 0), (1, 2), (4, 2)],
        [(3, 0), (3, 1), (2, 0)],
        [(2, 0), (2, 1), (3, 2)],
        [(5, 0), (5, 2), (3, 0)],
    ]


PRINT_PLAN = """
from epa_bench.core.records import Preference, Response
from epa_bench.data.plan import build_plan
data = [Preference(prompt=f"p{i % 9}", chosen=Response(text=f"c{i % 4}"),
                   rejected=tuple(Response(text=t) for t in {f"a{i}": 0, f"b{i}": 0}), source="") for i in range(12)]
print(build_plan(data, strong=2, weak=2, weak_source="both", weak_pool="dataset", groups_per_step=5, epochs=2,
                 data_seed=7).model_dump_json())
"""


def test_the_hash_seed_changes_nothing() -> None:
    root = Path(__file__).resolve().parents[2]
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PRINT_PLAN],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    (output,) = outputs
    assert Plan.model_validate_json(output).summary.groups == 20


def test_a_real_file_plans_with_distinct_weak_prompts(shared_data: Path) -> None:
    path = shared_data / "preferences" / "ultrafeedback" / "train_clean.jsonl"
    data = read_preferences(read_rows(str(path)), invalid_rows="drop").preferences
    plan = plan_of(data, weak=6, groups_per_step=64)
    assert (plan.steps, plan.summary.groups, plan.summary.dropped_groups) == (15, 960, 34)
    assert plan.summary.short_rows == 0
    assert plan.summary.groups_without_negatives == 0
