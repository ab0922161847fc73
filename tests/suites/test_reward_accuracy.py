"""Held-out reward accuracy: strict, ties, gold ties apart."""

from collections.abc import Callable

import pytest

from epa_bench.suites.probes import ScoredItem
from epa_bench.suites.reward_accuracy import METRICS, reward_accuracy_values

ItemMaker = Callable[..., list[ScoredItem]]


def values(items: list[ScoredItem]) -> list[dict[str, float]]:
    """Metric -> value for each pair, in order of `item`."""
    pairs: dict[tuple[str, int], dict[str, float]] = {}
    for row in reward_accuracy_values(items):
        assert row.value is not None
        pairs.setdefault((row.prompt_id, row.item), {})[row.metric] = row.value
    return list(pairs.values())


def test_chosen_above_rejected(items_of: ItemMaker) -> None:
    assert values(items_of([(0.5, None), (0.25, None)])) == [
        {"accuracy": 1.0, "accuracy_tie_aware": 1.0, "margin": 0.25}
    ]


def test_a_tie_is_wrong_in_the_strict_accuracy_and_half_right_in_the_other(items_of: ItemMaker) -> None:
    assert values(items_of([(0.5, 2.0), (0.5, 1.0)])) == [
        {"accuracy": 0.0, "accuracy_tie_aware": 0.5, "margin": 0.0, "gold_accuracy": 0.0}
    ]


@pytest.mark.parametrize(("chosen", "on_ties"), [(1.0, 1.0), (0.25, 0.0), (0.5, 0.0)])
def test_gold_ties_stand_apart(chosen: float, on_ties: float, items_of: ItemMaker) -> None:
    assert values(items_of([(chosen, 3.0), (0.5, 3.0)])) == [{"accuracy_on_gold_ties": on_ties}]


def test_label_and_gold_may_disagree(items_of: ItemMaker) -> None:
    """The label prefers the first, gold the second; the reward follows the label."""
    assert values(items_of([(1.0, -2.0), (0.0, 1.0)])) == [
        {"accuracy": 1.0, "accuracy_tie_aware": 1.0, "margin": 1.0, "gold_accuracy": 0.0}
    ]


def test_one_known_gold_score_is_none(items_of: ItemMaker) -> None:
    assert "gold_accuracy" not in values(items_of([(1.0, 2.0), (0.0, None)]))[0]


def test_every_rejected_response_is_a_pair_of_its_own(items_of: ItemMaker) -> None:
    """Chosen 1 against 0, 2 and 1, whose gold is the chosen one's in the last pair."""
    pairs = values(items_of([(1.0, 4.0), (0.0, 3.0), (2.0, 5.0), (1.0, 4.0)]))
    assert pairs == [
        {"accuracy": 1.0, "accuracy_tie_aware": 1.0, "margin": 1.0, "gold_accuracy": 1.0},
        {"accuracy": 0.0, "accuracy_tie_aware": 0.0, "margin": -1.0, "gold_accuracy": 1.0},
        {"accuracy_on_gold_ties": 0.0},
    ]


def test_rows_that_share_a_prompt_stay_two_items(items_of: ItemMaker) -> None:
    items = [*items_of([(1.0, None), (0.0, None)], row=0), *items_of([(0.0, None), (1.0, None)], row=1)]
    rows = [row for row in reward_accuracy_values(items) if row.metric == "accuracy"]
    assert [(row.prompt_id, row.value) for row in rows] == [("p", 1.0), ("p", 0.0)]
    assert len({row.item for row in rows}) == 2


def test_mismatched_responses_are_no_pairs(items_of: ItemMaker) -> None:
    own = items_of([(1.0, 1.0), (0.0, 0.0)])
    with_others = items_of([(1.0, 1.0), (0.0, 0.0)], [(9.0, -4.0)])
    assert values(own) == values(with_others)


def test_every_metric_is_described(items_of: ItemMaker) -> None:
    rows = reward_accuracy_values([*items_of([(1.0, 1.0), (0.0, 0.0), (0.0, 1.0)])])
    assert {row.metric for row in rows} == set(METRICS)
