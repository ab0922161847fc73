"""Scores of aligned models: joined by prompt and response, filtered, and shuffled, whatever the order of the rows."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epa_bench.core.errors import DataError
from epa_bench.core.records import Message
from epa_bench.data.supervised import (
    AlignedScore,
    SupervisedRow,
    best_rows,
    join_scores,
    order_of_rows,
    shuffled_scores,
)

ROWS = [
    SupervisedRow(prompt=f"prompt {i}", response=f"response {i % 3}", source=f"file, row {i + 1}") for i in range(12)
]
MEANS = [(-float(i % 5), -1.0) for i in range(12)]
ORDERS = st.permutations(range(12))


def scores(rows: list[SupervisedRow] = ROWS) -> list[AlignedScore]:
    return [
        AlignedScore(prompt=row.prompt, response=row.response, logp=-float(i + 1), tokens=i + 2)
        for i, row in enumerate(rows)
    ]


@given(ORDERS, ORDERS)
def test_scores_are_joined_by_key_not_by_position(of_rows: list[int], of_scores: list[int]) -> None:
    given_scores = [scores()[i] for i in of_scores]
    joined = join_scores([ROWS[i] for i in of_rows], given_scores, "m")
    assert [(score.prompt, score.response) for score in joined] == [(ROWS[i].prompt, ROWS[i].response) for i in of_rows]
    assert [score.mean for score in joined] == [-(i + 1) / (i + 2) for i in of_rows]


def test_a_row_that_occurs_twice_has_its_score_twice_and_further_scores_are_left_out() -> None:
    joined = join_scores([ROWS[3], ROWS[3]], scores(), "m")
    assert [score.tokens for score in joined] == [5, 5]


def test_a_conversation_is_another_prompt_than_its_text() -> None:
    row = SupervisedRow(prompt=(Message(role="user", content="prompt 0"),), response="response 0", source="file, row 1")
    with pytest.raises(DataError, match="1 of 1 supervised rows"):
        join_scores([row], scores(), "m")


def test_scores_of_other_data_are_refused_by_row() -> None:
    other = [score.model_copy(update={"response": score.response + " "}) for score in scores()[:4]]
    with pytest.raises(DataError) as caught:
        join_scores(ROWS, [*other, *scores()[4:]], "scores.jsonl")
    message = str(caught.value)
    assert "scores of scores.jsonl" in message
    assert "file, row 4" in message
    assert "file, row 5" not in message
    assert "4 of 12 supervised rows have no score: these are scores of other data" in message


def test_two_scores_of_one_row_are_refused_and_two_equal_ones_are_not() -> None:
    assert join_scores(ROWS[:1], [scores()[0], scores()[0]], "m") == scores()[:1]
    other = scores()[0].model_copy(update={"logp": -7.0})
    with pytest.raises(DataError, match=r"m has two scores for the response 'response 0': -1 over 2 tokens, and -7"):
        join_scores(ROWS[:1], [scores()[0], other], "m")


@given(ORDERS, st.floats(0.01, 1))
def test_the_filter_keeps_the_best_rows_whatever_their_order(order: list[int], share: float) -> None:
    kept = best_rows([ROWS[i] for i in order], [MEANS[i] for i in order], share)
    assert len(kept) == math.ceil(share * 12)
    assert all(one < other for one, other in pairwise(kept))
    found = {order[i] for i in kept}
    assert found == set(best_rows(ROWS, MEANS, share))
    assert min(MEANS[i] for i in found) >= max((MEANS[i] for i in range(12) if i not in found), default=(-9.0,))


@given(ORDERS)
def test_the_placebo_gives_every_row_the_scores_of_another_one(order: list[int]) -> None:
    distinct = [(-float(i),) for i in range(12)]
    given_to = shuffled_scores(ROWS, distinct, 0)
    assert {*map(tuple, given_to)} == set(distinct)
    assert all(one != other for one, other in zip(given_to, distinct, strict=True))
    again = shuffled_scores([ROWS[i] for i in order], [distinct[i] for i in order], 0)
    assert again == [given_to[i] for i in order]
    assert shuffled_scores(ROWS, distinct, 1) != given_to


@given(
    rows=st.integers(1, 30),
    rows_per_step=st.integers(1, 12),
    epochs=st.integers(1, 4),
    seed=st.integers(0, 3),
)
def test_the_order_of_a_training_takes_every_row_once_an_epoch(
    rows: int, rows_per_step: int, epochs: int, seed: int
) -> None:
    """But for what does not fill the last step."""
    if rows * epochs < rows_per_step:
        with pytest.raises(DataError, match=f"{rows} supervised rows in {epochs} epoch"):
            order_of_rows(rows, rows_per_step=rows_per_step, epochs=epochs, seed=seed)
        return
    order = order_of_rows(rows, rows_per_step=rows_per_step, epochs=epochs, seed=seed)
    assert len(order) == rows * epochs - rows * epochs % rows_per_step
    for start in range(0, len(order), rows):
        epoch = order[start : start + rows]
        assert len(set(epoch)) == len(epoch)
        assert set(epoch) <= set(range(rows))
    # The size of a step decides only where the order ends.
    assert order == order_of_rows(rows, rows_per_step=1, epochs=epochs, seed=seed)[: len(order)]


def test_the_seed_draws_the_order_and_every_epoch_has_its_own() -> None:
    first, again, other = (order_of_rows(20, rows_per_step=4, epochs=2, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert first[:20] != first[20:] != list(range(20))
