"""The rows on disk: exactly one of value and error, nothing that JSON loses, nothing unknown, nothing converted."""

from typing import Any

import pytest
from pydantic import ValidationError

from epa_bench.core.records import (
    Candidate,
    Message,
    Preference,
    ReferenceScore,
    Response,
    ScoreRow,
    Verdict,
    prompt_digest,
)

ROW: dict[str, Any] = {
    "suite": "generation",
    "metric": "length",
    "arm": "epa-w2",
    "method": "epa",
    "beta": 0.1,
    "learning_rate": 5e-7,
    "seed": 1,
    "prompt_id": "p",
}
VERDICT: dict[str, Any] = {"prompt_id": "p", "output": "a", "baseline": "b"}


def test_a_row_has_a_value_or_an_error() -> None:
    assert ScoreRow(**ROW, value=0.0).error is None
    assert ScoreRow(**ROW, error="judge timed out").value is None
    assert Verdict(**VERDICT, preference=1.5).error is None
    assert Verdict(**VERDICT, error="judge timed out").preference is None


@pytest.mark.parametrize("both", [{}, {"value": 1.0, "error": "x"}, {"value": None, "error": None}])
def test_a_row_with_neither_or_both_is_refused(both: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="either a value or an error"):
        ScoreRow(**ROW, **both)
    verdict = {"preference" if key == "value" else key: value for key, value in both.items()}
    with pytest.raises(ValidationError, match="either a value or an error"):
        Verdict(**VERDICT, **verdict)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_must_be_finite(number: float) -> None:
    for row in ({"value": number}, {"value": 1.0, "beta": number}):
        with pytest.raises(ValidationError, match="finite"):
            ScoreRow(**{**ROW, **row})
    with pytest.raises(ValidationError, match="finite"):
        Verdict(**VERDICT, preference=number)
    with pytest.raises(ValidationError, match="finite"):
        Response(text="a", gold=number)
    with pytest.raises(ValidationError, match="finite"):
        ReferenceScore(key="k", logp=number, tokens=1)


@pytest.mark.parametrize("text", ['{"text": "a", "gold": NaN}', '{"text": "a", "gold": 1e999}'])
def test_numbers_of_a_file_must_be_finite(text: str) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Response.model_validate_json(text)


@pytest.mark.parametrize("preference", [0.999, 2.001])
def test_a_preference_is_on_the_judges_scale(preference: float) -> None:
    for end in (1.0, 2.0):
        assert Verdict(**VERDICT, preference=end).preference == end
    with pytest.raises(ValidationError, match="than or equal to"):
        Verdict(**VERDICT, preference=preference)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1.0},
        {"seed": True},
        {"seed": "1"},
        {"beta": "0.1"},
        {"beta": True},
        {"value": "1"},
        {"suite": 1},
        {"model": "extra"},
    ],
)
def test_rows_are_strict(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ScoreRow(**{**ROW, "value": 1.0, **change})


def test_rows_are_frozen() -> None:
    row = ScoreRow(**ROW, value=1.0)
    with pytest.raises(ValidationError, match="frozen"):
        row.value = 2.0


def test_a_candidate_has_a_known_role() -> None:
    with pytest.raises(ValidationError, match="'positive', 'strong' or 'weak'"):
        Candidate(example=0, response=0, role="negative")  # type: ignore[arg-type]


def preference_of(**changes: Any) -> Preference:
    row = {"prompt": "q", "chosen": Response(text="a"), "rejected": (Response(text="b"),), "source": "f, row 1"}
    return Preference(**{**row, **changes})


def test_a_preference_has_something_rejected() -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        preference_of(rejected=())


def test_responses_start_with_the_chosen() -> None:
    row = preference_of(rejected=(Response(text="b"), Response(text="c")))
    assert [response.text for response in row.responses] == ["a", "b", "c"]


def test_prompt_id_is_the_prompts_alone() -> None:
    row = preference_of()
    assert row.prompt_id == prompt_digest("q")
    assert preference_of(source="g, row 2", chosen=Response(text="z")).prompt_id == row.prompt_id
    assert preference_of(prompt="q ").prompt_id != row.prompt_id


def test_prompt_digests_tell_turns_and_roles_apart() -> None:
    def turns(*messages: tuple[str, str]) -> str:
        return prompt_digest(tuple(Message(role=role, content=content) for role, content in messages))

    digests = [
        prompt_digest("q"),
        turns(("user", "q")),
        turns(("system", "q")),
        turns(("user", "q"), ("assistant", "a")),
        turns(("assistant", "a"), ("user", "q")),
        turns(("user", ""), ("", "q")),
    ]
    assert len(set(digests)) == len(digests)
