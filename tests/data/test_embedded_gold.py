"""The embedded task's gold reward: worked numbers, bounds, and the order the preferences rest on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epa_bench.data.embedded.families import NUMBERS, OPPOSITE, THINGS, TaskPrompt, make_prompts, parse
from epa_bench.data.embedded.gold import (
    GOLD_MAX,
    GOLD_MIN,
    UNKNOWN_PROMPT_GOLD,
    Kind,
    gold_reward,
    kind_of,
    off_topic_share,
)

PROMPTS = make_prompts(300, 1, "evaluation")
ECHO = "echo wolf ant elm oak"
LONGEST = "longest of: wolf feather elm"

words = st.sampled_from([*THINGS, *OPPOSITE, *NUMBERS.values()])
responses = st.one_of(st.text(), st.lists(words, max_size=8).map(" ".join))


@pytest.mark.parametrize(
    ("prompt", "response", "gold", "kind"),
    [
        # LCS, overlap, share off topic, distinct share and length excess, each worked by hand from the formula.
        (ECHO, "wolf ant elm oak", 4.0, "exact"),
        (ECHO, "  wolf ant\telm oak\n", 4.0, "exact"),
        (ECHO, "ant wolf elm oak", 4 - 1 - 1.5 / 4, "near_miss"),
        (ECHO, "wolf ant elm", 4 - 1 - 1.5 / 4 - 1.5 / 7 - 0.5 / 4, "near_miss"),
        (ECHO, "wolf ant elm urn", 4 - 1 - 1.5 / 4 - 1.5 / 4 - 3 / 4, "near_miss"),
        (ECHO, "wolf ant elm oak oak", 4 - 1 - 1.5 / 5 - 1.5 / 9 - 0.5 / 5 - 0.5 / 4, "near_miss"),
        (ECHO, "urn jar ink salt", 4 - 1 - 1.5 - 1.5 - 3, "off_topic"),
        (ECHO, "urn urn urn urn", 4 - 1 - 1.5 - 1.5 - 3 - 0.5 * 3 / 4, "off_topic"),
        (ECHO, "", 4 - 1 - 1.5 - 1.5 - 3 - 0.5 - 0.5, "off_topic"),
        (LONGEST, "feather", 4.0, "exact"),
        (LONGEST, "wolf", 4 - 1 - 1.5 - 1.5, "near_miss"),
        (LONGEST, "two", -3.0, "off_topic"),
        ("count wolf ant", "three", 0.0, "near_miss"),
        ("contrary to hot near", "hot near", 0.0, "near_miss"),
    ],
)
def test_worked_rewards(prompt: str, response: str, gold: float, kind: Kind) -> None:
    task = parse(prompt)
    assert task is not None
    assert gold_reward(prompt, response) == pytest.approx(gold, abs=1e-12)
    assert kind_of(task, response) == kind


@given(st.sampled_from(PROMPTS), responses)
def test_bounded_and_highest_only_for_the_right_words(prompt: TaskPrompt, response: str) -> None:
    gold = gold_reward(prompt.text, response)
    assert GOLD_MIN <= gold <= GOLD_MAX
    if kind_of(prompt, response) == "exact":
        assert gold == GOLD_MAX
    else:
        assert gold <= GOLD_MAX - 1


@given(st.text(), st.text())
def test_defined_for_any_two_strings(prompt_text: str, response: str) -> None:
    assert GOLD_MIN <= gold_reward(prompt_text, response) <= GOLD_MAX


@pytest.mark.parametrize("response", ["", "wolf ant elm oak", "\ud800 \u202e \x00", "wolf " * 1_000_000])
def test_an_unknown_prompt_prefers_nothing(response: str) -> None:
    assert gold_reward("tell me a story", response) == UNKNOWN_PROMPT_GOLD


@pytest.mark.parametrize("response", ["\ud800 \u202e \x00", "\u4e8c", "urn" * 1_000_000])
def test_odd_strings_are_off_topic(response: str) -> None:
    assert gold_reward(ECHO, response) <= -2.5


def test_a_huge_response_is_worse_than_a_doubled_word() -> None:
    assert gold_reward(ECHO, "wolf ant elm oak " * 200_000) < 0 < gold_reward(ECHO, "wolf ant elm oak oak")


def test_the_answer_of_another_prompt_is_about_the_worst_there_is() -> None:
    """Every off-topic answer is below every response whose words are all on topic, and near the floor."""
    for prompt in PROMPTS[:60]:
        others = [other.answer for other in PROMPTS if off_topic_share(prompt, other.answer) == 1]
        assert len(others) > 100
        worst_attempt = gold_reward(prompt.text, " ".join([min(prompt.topic)] * 9))
        assert max(gold_reward(prompt.text, answer) for answer in others) == -3.0 < worst_attempt


@given(st.sampled_from([p for p in PROMPTS if len(p.answer.split()) > 1]), st.data())
def test_one_foreign_word_costs_more_than_one_swap(prompt: TaskPrompt, data: st.DataObject) -> None:
    answer = prompt.answer.split()
    at = data.draw(st.integers(0, len(answer) - 2))
    swapped = [*answer[:at], answer[at + 1], answer[at], *answer[at + 2 :]]
    replaced = [*answer[:at], "foreign", *answer[at + 1 :]]
    right, swap, foreign = (gold_reward(prompt.text, " ".join(w)) for w in (answer, swapped, replaced))
    assert right > swap > foreign
