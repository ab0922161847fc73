"""The reference model's corpus: the shares asked for, and that each kind of response is what it says."""

from collections import Counter
from random import Random

import pytest

from epa_bench.core.errors import ConfigError
from epa_bench.data.embedded.corpus import near_miss, sft_corpus
from epa_bench.data.embedded.families import make_prompts, parse
from epa_bench.data.embedded.gold import kind_of

PROMPTS = make_prompts(3_000, 0, "sft")


def test_shares_of_the_kinds() -> None:
    corpus = sft_corpus(PROMPTS, 0, correct=0.6, off_topic=0.15)
    assert [prompt for prompt, _ in corpus] == [prompt.text for prompt in PROMPTS]
    kinds = Counter(kind_of(prompt, response) for prompt, (_, response) in zip(PROMPTS, corpus, strict=True))
    # Three standard errors of a share at n = 3000 are at most 0.027.
    assert kinds["exact"] / 3_000 == pytest.approx(0.6, abs=0.027)
    assert kinds["off_topic"] / 3_000 == pytest.approx(0.15, abs=0.02)
    assert kinds["near_miss"] / 3_000 == pytest.approx(0.25, abs=0.024)


@pytest.mark.parametrize(
    ("correct", "off_topic", "kind"), [(1.0, 0.0, "exact"), (0.0, 1.0, "off_topic"), (0.0, 0.0, "near_miss")]
)
def test_pure_corpora(correct: float, off_topic: float, kind: str) -> None:
    corpus = sft_corpus(PROMPTS[:600], 1, correct=correct, off_topic=off_topic)
    assert {kind_of(p, response) for p, (_, response) in zip(PROMPTS[:600], corpus, strict=True)} == {kind}


def test_off_topic_responses_are_answers_of_the_other_prompts() -> None:
    corpus = sft_corpus(PROMPTS, 2, correct=0.0, off_topic=1.0)
    assert {response for _, response in corpus} <= {prompt.answer for prompt in PROMPTS}


def test_every_corruption_occurs() -> None:
    prompt = parse("echo wolf ant elm")
    assert prompt is not None
    drawn = {near_miss(prompt, Random(seed)) for seed in range(400)}
    assert {"ant elm", "wolf elm", "wolf ant"} <= drawn
    assert {"ant wolf elm", "wolf elm ant"} <= drawn
    assert {"wolf wolf ant elm", "wolf ant ant elm", "wolf ant elm elm"} <= drawn
    assert any(set(response.split()) - {"wolf", "ant", "elm"} for response in drawn)
    assert prompt.answer not in drawn


def test_a_one_word_answer_is_doubled_or_mistaken() -> None:
    prompt = parse("longest of: wolf feather elm")
    assert prompt is not None
    assert {near_miss(prompt, Random(seed)) for seed in range(100)} == {"feather feather", "wolf", "elm"}


def test_deterministic_by_seed() -> None:
    first = sft_corpus(PROMPTS[:200], 3, correct=0.5, off_topic=0.2)
    assert first == sft_corpus(PROMPTS[:200], 3, correct=0.5, off_topic=0.2)
    assert first != sft_corpus(PROMPTS[:200], 4, correct=0.5, off_topic=0.2)


@pytest.mark.parametrize(("correct", "off_topic"), [(0.7, 0.4), (-0.1, 0.5), (0.5, -0.1), (float("nan"), 0.1)])
def test_impossible_shares_are_refused(correct: float, off_topic: float) -> None:
    with pytest.raises(ConfigError, match=r"expected correct >= 0.*got correct"):
        sft_corpus(PROMPTS[:10], 0, correct=correct, off_topic=off_topic)


def test_prompts_without_a_foreign_answer_are_refused() -> None:
    with pytest.raises(ConfigError, match="none of 1 prompts"):
        sft_corpus(PROMPTS[:1], 0, correct=0.0, off_topic=1.0)
