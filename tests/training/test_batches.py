"""From groups to tensors: what each slot holds, masked candidates left out, the width fixed."""

import pytest
import torch

from epa_bench.config.schema import WeakPrompt
from epa_bench.core.errors import PlanError, StoreError
from epa_bench.core.records import Candidate, Group, Preference, ReferenceScore, Response
from epa_bench.data.chat import EncodedResponse
from epa_bench.losses.scores import GroupScores
from epa_bench.losses.table import get_loss
from epa_bench.models.scoring import sequence_key
from epa_bench.training.batches import GroupCollator, GroupDataset, check_gold, encoder_of

PREFERENCES = [
    Preference(prompt="a", chosen=Response(text="A"), rejected=(Response(text="xx"),), source="0"),
    Preference(prompt="bb", chosen=Response(text="BB"), rejected=(Response(text="yyy"),), source="1"),
]
POSITIVE = Candidate(example=0, response=0, role="positive")
STRONG = Candidate(example=0, response=1, role="strong")
WEAK = Candidate(example=1, response=1, role="weak")
MASKED = Candidate(example=1, response=0, role="weak", masked="repeats a candidate")


def spell(prompt: str, response: str) -> EncodedResponse:
    """One token a character, and 9 for EOS."""
    return EncodedResponse([ord(c) for c in prompt], [*(ord(c) for c in response), 9], truncated=False)


def reference_of(*pairs: tuple[str, str]) -> dict[str, ReferenceScore]:
    keys = [sequence_key(spell(*pair)) for pair in pairs]
    return {key: ReferenceScore(key=key, logp=-10.0 - i, tokens=1) for i, key in enumerate(keys)}


# Every response under the prompt of the group's example, also another prompt's.
REFERENCE = reference_of(("a", "A"), ("a", "xx"), ("a", "yyy"), ("bb", "BB"), ("bb", "yyy"))


def dataset(*candidates: tuple[Candidate, ...], weak_prompt: WeakPrompt = "this") -> GroupDataset:
    groups = [Group(step=0, example=row[0].example, candidates=row) for row in candidates]
    return GroupDataset(groups, PREFERENCES, encoder_of(PREFERENCES, spell), REFERENCE, weak_prompt)


ALONE = Candidate(example=1, response=0, role="positive")


def test_an_item_is_a_group_with_its_reference_scores() -> None:
    data = dataset((POSITIVE, STRONG, WEAK), (ALONE,))
    assert len(data) == 2
    assert [(c.sequence, c.ref_logp, c.strong) for c in data[0]] == [
        (spell("a", "A"), -10.0, False),
        (spell("a", "xx"), -11.0, True),
        (spell("a", "yyy"), -12.0, False),
    ]
    assert [(c.sequence, c.ref_logp) for c in data[1]] == [(spell("bb", "BB"), -13.0)]


def test_own_prompts_change_weak_negatives_alone() -> None:
    assert [(c.sequence, c.ref_logp, c.strong) for c in dataset((POSITIVE, STRONG, WEAK), weak_prompt="own")[0]] == [
        (spell("a", "A"), -10.0, False),
        (spell("a", "xx"), -11.0, True),
        (spell("bb", "yyy"), -14.0, False),
    ]
    without_weak = [dataset((POSITIVE, STRONG), weak_prompt=prompt)[0] for prompt in ("this", "own")]
    assert without_weak[0] == without_weak[1]


@pytest.mark.parametrize(("weak_prompt", "loss"), [("this", 0.551445), ("own", 0.861995)])
def test_the_loss_under_either_prompt_by_hand(weak_prompt: WeakPrompt, loss: float) -> None:
    """beta .5 and log-probs of -9, -12, -13 make scores .5, -.5 and, against -12 or -14, -.5 or .5.

    The loss is log(1 + e^-1 + e^-1) or log(1 + e^-1 + e^0).
    """
    batch = GroupCollator(3)([dataset((POSITIVE, STRONG, WEAK), weak_prompt=weak_prompt)[0]])
    scores = GroupScores(
        logps_GK=torch.tensor([[-9.0, -12.0, -13.0]]),
        ref_logps_GK=batch["ref_logps_GK"],
        tokens_GK=torch.ones_like(batch["ref_logps_GK"], dtype=torch.long),
        mask_GK=batch["mask_GK"],
        strong_GK=batch["strong_GK"],
        beta=0.5,
    )
    assert float(get_loss("epa").load()(scores)) == pytest.approx(loss, abs=1e-6)


def test_collated() -> None:
    data = dataset((POSITIVE, STRONG, WEAK), (ALONE,))
    batch = GroupCollator(3)([data[0], data[1]])
    # Each prompt once, responses without their last token.
    assert batch["sequences"].ids_T.tolist() == [ord(letter) for letter in "aAxxyyybbBB"]
    assert batch["sequences"].tokens_N.tolist() == [2, 3, 4, 3]
    assert batch["mask_GK"].tolist() == [[True, True, True], [True, False, False]]
    assert batch["strong_GK"].tolist() == [[False, True, False], [False, False, False]]
    assert batch["ref_logps_GK"].tolist() == [[-10, -11, -12], [-13, 0, 0]]
    assert batch["row_GK"][batch["mask_GK"]].tolist() == [0, 1, 2, 3]
    assert batch["ref_logps_GK"].dtype == torch.float32


def test_masked_candidates_cost_no_sequence_and_the_width_stays() -> None:
    data = dataset((POSITIVE, MASKED, STRONG))
    batch = GroupCollator(3)([data[0]])
    assert batch["sequences"].size == 2
    assert batch["mask_GK"].tolist() == [[True, True, False]]
    # The strong one moved up with its role and its score.
    assert batch["strong_GK"].tolist() == [[False, True, False]]
    assert batch["ref_logps_GK"].tolist() == [[-10, -11, 0]]


def test_a_missing_reference_score_says_what_to_delete() -> None:
    other = Candidate(example=0, response=1, role="weak")
    data = dataset((ALONE, other))
    with pytest.raises(StoreError, match="a reference log-prob is missing; delete the store's cells/reference_scores"):
        data[0]


def test_a_masked_candidate_needs_no_reference_score() -> None:
    other = Candidate(example=0, response=1, role="weak", masked="equals the positive")
    assert len(dataset((ALONE, other))[0]) == 1


def test_gold_scores_come_with_their_responses_and_are_nan_where_none_is_known() -> None:
    scored = [
        PREFERENCES[0].model_copy(update={"chosen": Response(text="A", gold=0.7)}),
        PREFERENCES[1].model_copy(update={"rejected": (Response(text="yyy", gold=-2.0),)}),
    ]
    group = Group(step=0, example=0, candidates=(POSITIVE, STRONG, WEAK))
    data = GroupDataset([group], scored, encoder_of(scored, spell), REFERENCE)
    gold_GK = GroupCollator(4)([data[0]])["gold_GK"]
    torch.testing.assert_close(gold_GK, torch.tensor([[0.7, torch.nan, -2.0, torch.nan]]), equal_nan=True)


def test_responses_without_a_gold_score_are_listed_once_by_row() -> None:
    scored = [
        Preference(
            prompt="a", chosen=Response(text="A", gold=1.0), rejected=(Response(text="x"),), source="f.jsonl, row 1"
        )
    ]
    group = Group(step=0, example=0, candidates=(POSITIVE, STRONG))
    with pytest.raises(PlanError, match="1 problem in the training data for the infonca loss") as caught:
        check_gold("infonca", [group, group], scored)
    assert "f.jsonl, row 1: response 2 has no gold score" in str(caught.value)
    check_gold("infonca", [group.model_copy(update={"candidates": (POSITIVE,)})], scored)


def test_each_pair_is_encoded_once() -> None:
    calls: list[tuple[str, str]] = []

    def count(prompt: str, response: str) -> EncodedResponse:
        calls.append((prompt, response))
        return spell(prompt, response)

    encode = encoder_of(PREFERENCES, count)
    assert encode(0, 1, 1) is encode(0, 1, 1)
    assert encode(1, 1, 1) != encode(0, 1, 1)
    assert calls == [("a", "yyy"), ("bb", "yyy")]
