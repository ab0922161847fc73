"""What answers look like."""

from typing import Literal

from epa_bench.core.records import GeneratedResponse, Prompt
from epa_bench.suites.generation import generation_values


def response(text: str, *, tokens: int = 5, finish: Literal["stop", "length"] = "stop") -> GeneratedResponse:
    return GeneratedResponse(prompt_id="p", prompt="say", text=text, tokens=tokens, finish=finish)


def values(answer: GeneratedResponse, gold: float | None = None) -> dict[str, float | str | None]:
    def reward(prompt: Prompt, text: str) -> float:
        assert (prompt, text) == (answer.prompt, answer.text)
        assert gold is not None
        return gold

    rows = generation_values([answer], None if gold is None else reward)
    return {row.metric: row.error if row.value is None else row.value for row in rows}


def test_worked_answer() -> None:
    """Bigrams of `a b a b a`: ab ba ab ba, two distinct of four."""
    assert values(response("a b a b  a", tokens=7, finish="length"), gold=-1.5) == {
        "gold_reward": -1.5,
        "length": 7.0,
        "ended": 0.0,
        "distinct_2": 0.5,
    }


def test_without_gold_there_is_no_gold_row() -> None:
    assert values(response("a b")) == {"length": 5.0, "ended": 1.0, "distinct_2": 1.0}


def test_too_short_for_a_bigram_is_an_error_not_a_one() -> None:
    assert values(response("word"))["distinct_2"] == "fewer than two words"
    assert values(response("", tokens=1)) == {"length": 1.0, "ended": 1.0, "distinct_2": "fewer than two words"}
