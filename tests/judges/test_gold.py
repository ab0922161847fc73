"""The gold judge: Bradley-Terry on the gold reward, on AlpacaEval's scale."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit  # type: ignore[import-untyped]

from epa_bench.core.records import GeneratedResponse, Message, Prompt, prompt_digest
from epa_bench.data.embedded.families import make_prompts
from epa_bench.data.embedded.gold import gold_reward
from epa_bench.judges.gold import judge_by_gold

TASKS = make_prompts(30, 0, "evaluation")
PROMPT = next(task for task in TASKS if task.family == "reverse" and len(task.words) == 4)


def said(text: str, prompt: Prompt = PROMPT.text) -> GeneratedResponse:
    return GeneratedResponse(prompt_id=prompt_digest(prompt), prompt=prompt, text=text, tokens=1, finish="stop")


def preference(output: str, baseline: str, prompt: Prompt = PROMPT.text) -> float:
    found = judge_by_gold(said(output, prompt), said(baseline, prompt)).preference
    assert found is not None
    return found


texts = st.one_of(
    st.text(max_size=20),
    st.lists(st.sampled_from([*PROMPT.words, "two", "hot"]), max_size=6).map(" ".join),
    st.just(PROMPT.answer),
)


@given(texts)
def test_equal_texts_are_a_draw(text: str) -> None:
    assert preference(text, text) == 1.5


@given(texts, texts)
def test_it_is_one_plus_the_sigmoid_of_the_gap_in_gold(output: str, baseline: str) -> None:
    gap = gold_reward(PROMPT.text, output) - gold_reward(PROMPT.text, baseline)
    assert preference(output, baseline) == pytest.approx(1 + expit(gap), abs=1e-12)


@given(texts, texts)
def test_exchanged_answers_mirror(output: str, baseline: str) -> None:
    assert preference(output, baseline) + preference(baseline, output) == pytest.approx(3, abs=1e-12)


@given(texts, texts, texts)
def test_more_gold_is_preferred_more(first: str, second: str, baseline: str) -> None:
    golds = gold_reward(PROMPT.text, first), gold_reward(PROMPT.text, second)
    preferences = preference(first, baseline), preference(second, baseline)
    assert (golds[0] < golds[1]) == (preferences[0] < preferences[1])


def test_worked_number() -> None:
    """The right answer has gold 4, an empty one 4 - 1 - 1.5 - 1.5 - 3 - 0.5 - 0.5 = -4."""
    assert preference(PROMPT.answer, "") == pytest.approx(1 + 1 / (1 + 2.718281828459045**-8), abs=1e-12)
    assert preference(PROMPT.answer, "") == pytest.approx(1.9996646498695336, abs=1e-12)


def test_a_verdict_carries_both_texts() -> None:
    verdict = judge_by_gold(said(PROMPT.answer), said("two"))
    assert (verdict.output, verdict.baseline, verdict.error) == (PROMPT.answer, "two", None)
    assert verdict.prompt_id == prompt_digest(PROMPT.text)


def test_of_messages_the_last_turn_is_judged() -> None:
    messages = (
        Message(role="system", content="be brief"),
        Message(role="user", content=TASKS[0].text),
        Message(role="assistant", content=TASKS[0].answer),
        Message(role="user", content=PROMPT.text),
    )
    assert preference(PROMPT.answer, "two", messages) == preference(PROMPT.answer, "two")
    assert preference(PROMPT.answer, "two", messages) > 1.9


def test_nothing_is_known_of_other_prompts() -> None:
    assert preference("yes", "no", "Is water wet?") == 1.5


def test_judging_needs_no_torch() -> None:
    program = "import sys, epa_bench.judges.gold; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
