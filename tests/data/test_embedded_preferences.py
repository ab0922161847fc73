"""The embedded task's rankings: Bradley-Terry marginals, and noise that belongs to the response."""

import math
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epa_bench.core.records import Preference
from epa_bench.data.embedded.gold import gold_reward
from epa_bench.data.embedded.preferences import rank_responses

PROMPT = "echo wolf ant elm oak"
EXACT, SWAPPED, DROPPED, FOREIGN = "wolf ant elm oak", "ant wolf elm oak", "wolf ant elm", "wolf ant elm urn"
FOUR = (EXACT, SWAPPED, DROPPED, FOREIGN)
SEEDS = range(4_000)


def ranking(responses: tuple[str, ...], seed: int) -> list[str]:
    preference = rank_responses(PROMPT, responses, seed)
    assert preference is not None
    return [response.text for response in preference.responses]


def test_pairwise_marginals_are_bradley_terry() -> None:
    """Within a ranking of four, each pair's order has frequency sigmoid(gold_i - gold_j)."""
    places = [{text: place for place, text in enumerate(ranking(FOUR, seed))} for seed in SEEDS]
    for first, second in permutations(FOUR, 2):
        expected = 1 / (1 + math.exp(gold_reward(PROMPT, second) - gold_reward(PROMPT, first)))
        wins = sum(place[first] < place[second] for place in places) / len(places)
        # Four standard errors; the comparisons are noisy (no expected share near 0 or 1), so this can fail.
        assert 0.05 < expected < 0.95
        assert wins == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / len(places)))


def test_best_of_four_is_plackett_luce() -> None:
    odds = {text: math.exp(gold_reward(PROMPT, text)) for text in FOUR}
    share = sum(ranking(FOUR, seed)[0] == EXACT for seed in SEEDS) / len(SEEDS)
    expected = odds[EXACT] / sum(odds.values())
    assert share == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / len(SEEDS)))


def test_gold_scores_are_recorded_without_the_noise() -> None:
    preference = rank_responses(PROMPT, FOUR, 0)
    assert preference is not None
    assert preference.prompt == PROMPT
    assert {r.text: r.gold for r in preference.responses} == {text: gold_reward(PROMPT, text) for text in FOUR}
    assert Preference.model_validate_json(preference.model_dump_json()) == preference


@given(st.permutations(FOUR), st.integers(0, 50))
def test_noise_does_not_depend_on_order_or_company(shuffled: list[str], seed: int) -> None:
    full = ranking(FOUR, seed)
    assert ranking(tuple(shuffled), seed) == full
    assert ranking(tuple(shuffled[:3]), seed) == [text for text in full if text in shuffled[:3]]


def test_another_prompt_has_other_noise() -> None:
    """Two phrasings of one task have the same gold scores; over many seeds their rankings differ."""
    orders = [
        [r.text for r in preference.responses]
        for seed in range(40)
        for prompt in (PROMPT, "say again: wolf ant elm oak")
        if (preference := rank_responses(prompt, FOUR, seed)) is not None
    ]
    assert orders[::2] != orders[1::2]


def test_repeated_responses_count_once() -> None:
    assert ranking((EXACT, DROPPED, EXACT, DROPPED, ""), 0) == ranking((EXACT, DROPPED), 0)


@pytest.mark.parametrize("responses", [(), (EXACT,), (EXACT, EXACT), (EXACT, "", "  \n"), ("", " ")])
def test_fewer_than_two_distinct_responses_are_no_preference(responses: tuple[str, ...]) -> None:
    assert rank_responses(PROMPT, responses, 0) is None
