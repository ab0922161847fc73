"""Scores worked by hand, and their row form."""

import pytest

from epa_bench.judges.records import GameVerdict, MatchVerdict, RatingVerdict, Winner
from epa_bench.suites.metrics import METRICS_OF_KIND
from epa_bench.suites.mt_bench_scores import (
    outcome_values,
    outcomes,
    rating_values,
    score_difference,
    score_outcomes,
    score_ratings,
)


def _rating(question: int, turn: int, rating: float | None) -> RatingVerdict:
    return RatingVerdict(
        prompt_id=str(question), item=turn, rating=rating, error="no rating" if rating is None else None
    )


def _match(question: int, straight: Winner | None, swapped: Winner | None) -> MatchVerdict:
    games = tuple(
        GameVerdict(swapped=place, winner=winner, error="no label" if winner is None else None)
        for place, winner in ((False, straight), (True, swapped))
    )
    error = "no label" if straight is None or swapped is None else None
    winner = None if error else straight if straight == swapped else "tie"
    return MatchVerdict(prompt_id=str(question), item=1, winner=winner, error=error, games=(games[0], games[1]))


def test_average_is_over_rows_and_errors_are_counted_not_scored() -> None:
    """Turn means 4 and 8; the mean of the three rows is 16/3, not 6."""
    scores = score_ratings([_rating(81, 1, 2), _rating(81, 2, None), _rating(111, 1, 6), _rating(111, 2, 8)])
    assert scores.first_turn is not None
    assert scores.second_turn is not None
    assert scores.average is not None
    assert (scores.first_turn.value, scores.second_turn.value) == (4.0, 8.0)
    assert scores.average.value == pytest.approx(16 / 3)
    assert (scores.average.n, scores.n_errors) == (3, 1)
    # One question is not enough for an interval over questions.
    assert (scores.second_turn.low, scores.second_turn.high) == (None, None)
    assert scores.first_turn.low is not None
    writing, math = scores.categories["writing"], scores.categories["math"]
    assert writing is not None
    assert math is not None
    assert (writing.value, writing.n, math.value, math.n) == (2.0, 1, 7.0, 2)
    assert scores.categories["stem"] is None


def test_a_model_without_any_rating_has_no_score() -> None:
    row = score_ratings([_rating(81, 1, None)]).row()
    assert (row["average"], row["low"], row["n"], row["n_errors"]) == (None, None, 0, 1)


def test_both_turns_of_a_question_count_as_one_sample() -> None:
    """Two questions, both turns alike: the interval is that of two values, with one degree of freedom."""
    scores = score_ratings([_rating(81, 1, 4), _rating(81, 2, 4), _rating(82, 1, 6), _rating(82, 2, 6)])
    assert scores.average is not None
    assert scores.average.low == pytest.approx(5 - 12.706204736)
    assert scores.average.high == pytest.approx(5 + 12.706204736)


def test_difference_is_paired_by_row() -> None:
    ours = [_rating(81, 1, 5), _rating(81, 2, 7), _rating(82, 1, 9), _rating(83, 1, None)]
    theirs = [_rating(81, 1, 4), _rating(82, 1, 5), _rating(83, 1, 1), _rating(84, 1, 10)]
    found = score_difference(ours, theirs)
    assert found is not None
    assert (found.estimate, found.n, found.n_clusters) == (2.5, 2, 2)
    assert score_difference(ours[:1], theirs[:1]) is None


def test_rating_values_are_three_a_rating() -> None:
    values = list(rating_values([_rating(85, 1, 3), _rating(160, 2, None)]))
    assert [(value.metric, value.prompt_id, value.item, value.value) for value in values] == [
        ("score", "85", 1, 3.0),
        ("first_turn", "85", 1, 3.0),
        ("writing", "85", 1, 3.0),
        ("score", "160", 2, None),
        ("second_turn", "160", 2, None),
        ("humanities", "160", 2, None),
    ]
    assert {value.error for value in values} == {None, "no rating"}
    assert {value.metric for value in values} < set(METRICS_OF_KIND["mt_bench"])


def test_outcomes_of_both_sides() -> None:
    """Won, lost, a tie said twice, a tie by disagreement, an error."""
    matches = [
        _match(81, "output", "output"),
        _match(82, "baseline", "baseline"),
        _match(83, "tie", "tie"),
        _match(84, "output", "baseline"),
        _match(85, "output", None),
    ]
    ours = score_outcomes([outcomes(match)[0] for match in matches])
    theirs = score_outcomes([outcomes(match)[1] for match in matches])
    for scores in (ours, theirs):
        assert (scores.win, scores.loss, scores.tie, scores.n_errors) == (1, 1, 2, 1)
        assert scores.win_rate_adjusted is not None
        assert scores.inconsistency_rate is not None
        assert (scores.win_rate_adjusted.value, scores.inconsistency_rate.value) == (0.5, 0.25)
    more = score_outcomes([outcomes(match)[0] for match in matches[:1]])
    assert more.win_rate_adjusted is not None
    assert (more.win_rate_adjusted.value, more.win_rate_adjusted.low) == (1.0, None)


def test_an_order_that_says_tie_disagrees_with_one_that_does_not() -> None:
    scores = score_outcomes([outcomes(_match(81, "tie", "output"))[0], outcomes(_match(82, "tie", "tie"))[0]])
    assert scores.inconsistency_rate is not None
    assert (scores.tie, scores.inconsistency_rate.value) == (2, 0.5)


def test_outcome_values_number_the_pairs_of_a_question() -> None:
    values = list(outcome_values([outcomes(_match(81, "output", "baseline"))[0], outcomes(_match(81, None, "tie"))[0]]))
    assert [(value.metric, value.item, value.value) for value in values] == [
        ("win_rate_adjusted", 1, 0.5),
        ("order_inconsistency", 1, 1.0),
        ("win_rate_adjusted", 2, None),
        ("order_inconsistency", 2, None),
    ]
    assert {value.metric for value in values} < set(METRICS_OF_KIND["mt_bench"])
