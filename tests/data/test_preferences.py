"""All layouts, every defect, and the real files with their known edges."""

import itertools
import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epa_bench.core.errors import DataError
from epa_bench.core.records import Message, Preference, Response
from epa_bench.data.preferences import PreferenceFile, read_preferences
from epa_bench.data.sources import read_rows
from epa_bench.data.turns import ANSWER_MARKER, split_implicit

USER = {"role": "user", "content": "Why?"}
YES, NO = ({"role": "assistant", "content": text} for text in ("Yes", "No"))
WHY = (Message(role="user", content="Why?"),)


def read(*rows: dict[str, Any], drop: bool = False) -> PreferenceFile:
    numbered = [(f"f.jsonl, row {number}", row) for number, row in enumerate(rows, 1)]
    return read_preferences(numbered, invalid_rows="drop" if drop else "error")


def read_one(row: dict[str, Any]) -> Preference:
    (preference,) = read(row).preferences
    return preference


def error(*rows: dict[str, Any], drop: bool = False) -> str:
    with pytest.raises(DataError) as caught:
        read(*rows, drop=drop)
    return str(caught.value)


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"prompt": "Why?", "chosen": "Yes", "rejected": "No"}, "Why?"),
        ({"instruction": "Why?", "chosen": "Yes", "rejected": "No"}, "Why?"),
        ({"prompt": "Why?", "chosen": [YES], "rejected": [NO]}, "Why?"),
        ({"prompt": [USER], "chosen": [YES], "rejected": [NO]}, WHY),
        ({"prompt": [USER], "chosen": "Yes", "rejected": "No"}, WHY),
        ({"prompt": [USER], "chosen": [USER, YES], "rejected": [USER, NO]}, WHY),
        ({"prompt": "Why?", "chosen": [USER, YES], "rejected": [USER, NO]}, WHY),
        ({"chosen": [USER, YES], "rejected": [USER, NO]}, WHY),
        ({"prompt": None, "chosen": "Why? Yes", "rejected": "Why? No"}, "Why?"),
        ({"prompt": "Why?", "responses": [{"text": "No", "score": 1}, {"text": "Yes", "score": 2}]}, "Why?"),
        ({"prompt": [USER], "completions": ["Yes", "No"], "scores": [0.5, -3]}, WHY),
    ],
)
def test_every_layout_gives_the_same_record(row: dict[str, Any], prompt: object) -> None:
    preference = read_one(row)
    assert preference.prompt == prompt
    assert [response.text.strip() for response in preference.responses] == ["Yes", "No"]
    assert preference.source == "f.jsonl, row 1"


def test_null_columns_of_a_message_are_absent_ones() -> None:
    user = {**USER, "name": None, "tool_calls": None}
    assert read_one({"chosen": [user, YES], "rejected": [user, NO]}).prompt == WHY


def test_several_rejected_responses_keep_their_order_and_scores() -> None:
    row = {"prompt": "p", "chosen": "a", "rejected": ["b", "c"], "score_chosen": 9, "score_rejected": [3, 5]}
    assert read_one(row).responses == (
        Response(text="a", gold=9.0),
        Response(text="b", gold=3.0),
        Response(text="c", gold=5.0),
    )
    conversations = {"chosen": [USER, YES], "rejected": [[USER, NO], [USER, {**NO, "content": "Never"}]]}
    assert [response.text for response in read_one(conversations).rejected] == ["No", "Never"]


@pytest.mark.parametrize("columns", [{"score_chosen": 8, "score_rejected": 2.5}, {"score_rejected": 2.5}, {}])
@pytest.mark.parametrize("inside", [True, False])
def test_gold_scores_stand_at_top_level_or_inside_metadata(columns: dict[str, float], inside: bool) -> None:
    row = {"prompt": "p", "chosen": "a", "rejected": "b", **({"metadata": columns} if inside else columns)}
    golds = [response.gold for response in read_one(row).responses]
    assert golds == [columns.get("score_chosen"), columns.get("score_rejected")]


def test_scored_responses_are_sorted_and_ties_at_the_top_counted() -> None:
    responses = [
        {"response": "c", "overall_score": 5},
        {"response": "a", "overall_score": 7},
        {"response": "b", "overall_score": 7},
        {"response": "d", "overall_score": -1.5},
    ]
    found = read({"instruction": "p", "completions": responses}, {"instruction": "q", "completions": responses[:2]})
    assert found.preferences[0].responses == (
        Response(text="a", gold=7),
        Response(text="b", gold=7),
        Response(text="c", gold=5),
        Response(text="d", gold=-1.5),
    )
    assert found.tied_best == 1


# Malformed rows: errors under both settings


@pytest.mark.parametrize("drop", [True, False])
@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"prompt": "p", "rejected": "b"}, "chosen missing; got prompt, rejected"),
        ({"prompt": "p", "chosen": "a", "rejected": None}, "rejected missing"),
        ({"prompt": "p", "chosen": "a", "rejected": []}, "at least one response in rejected, got an empty list"),
        ({"text": "a"}, "expected the columns prompt, chosen, rejected (or prompt, responses), got text"),
        ({}, "got none"),
        ({"prompt": "p", "chosen": 3, "rejected": "b"}, "chosen: expected a string or a list of messages, got int 3"),
        ({"prompt": "p", "chosen": "a", "rejected": ["b", None]}, "rejected[1]: expected a string or a list of"),
        ({"prompt": [], "chosen": "a", "rejected": "b"}, "prompt: expected a string or a list of messages, got list"),
        ({"chosen": [USER, YES], "rejected": [USER, USER]}, "expected a last message of role assistant, got 'user'"),
        ({"chosen": [USER, YES], "rejected": "b"}, "both as strings or both as messages"),
        ({"prompt": [USER], "chosen": [USER, YES, USER, NO], "rejected": [NO]}, "chosen: expected exactly one assist"),
        ({"prompt": "p", "chosen": [USER, YES], "rejected": [USER, NO]}, "whose beginning is not the prompt column"),
        ({"prompt": [USER, YES], "chosen": "a", "rejected": "b"}, "a prompt that ends before the assistant's turn"),
        ({"prompt": [{"role": "user"}], "chosen": "a", "rejected": "b"}, "prompt[0]: expected a message with role"),
        ({"chosen": [USER, {**YES, "tool_calls": [1]}], "rejected": [USER, NO]}, "chosen[1]: expected only role and"),
        ({"question": "p", "chosen": "a", "rejected": "b"}, "rename question to prompt"),
        ({"system": "s", "prompt": "p", "chosen": "a", "rejected": "b"}, "got system beside it; join them"),
        ({"prompt": "p", "chosen": "a", "rejected": "b", "score_chosen": True}, "score_chosen: expected a finite num"),
        ({"prompt": "p", "chosen": "a", "rejected": "b", "score_chosen": "9"}, "got str '9'"),
        ({"prompt": "p", "chosen": "a", "rejected": "b", "score_rejected": float("nan")}, "got float nan"),
        ({"prompt": "p", "chosen": "a", "rejected": ["b", "c"], "score_rejected": 1}, "expected 2 scores"),
        ({"responses": [{"text": "a", "score": 1}] * 2}, "expected a column prompt or instruction beside responses"),
        ({"prompt": "p", "responses": "a"}, "responses: expected a list of responses, got str 'a'"),
        ({"prompt": "p", "responses": None}, "responses: expected a list of responses, got nothing"),
        (
            {"prompt": "p", "responses": [{"text": "a", "score": 1}, {"text": "b", "overall_score": 1}]},
            "responses: expected one kind of score for all responses, got [['score'], ['overall_score']]",
        ),
        ({"prompt": "p", "responses": [{"text": "a", "score": 1}, {"text": "b"}]}, "responses[1]: expected a text (re"),
        ({"prompt": "p", "responses": [{"text": "a", "score": 1}, "b"]}, "responses[1]: expected an object like"),
        ({"prompt": "p", "responses": ["a", "b"]}, "scores: expected a list of 2 numbers, got nothing"),
        ({"prompt": "p", "responses": ["a", "b"], "scores": [1]}, "scores: expected a list of 2 numbers, got list [1]"),
        ({"prompt": "p", "responses": ["a", "b"], "scores": [1, None]}, "responses[1]: expected a text and a score"),
        ({"prompt": "p", "responses": ["a", 5], "scores": [1, 2]}, "responses[1]: expected a text and a score"),
    ],
)
def test_a_malformed_row_is_always_an_error(row: dict[str, Any], what: str, drop: bool) -> None:
    good = {"prompt": "p", "chosen": "a", "rejected": "b"}
    message = error(good, row, drop=drop)
    assert "f.jsonl, row 2: " in message
    assert what in message
    assert "invalid_rows" not in message


# Rows that teach nothing

DEFECTS: list[tuple[dict[str, Any], str]] = [
    ({"prompt": "p", "chosen": "a", "rejected": "a"}, "identical responses"),
    ({"chosen": "p a", "rejected": "p a"}, "identical responses"),
    ({"chosen": [USER, YES], "rejected": [USER, YES]}, "identical responses"),
    ({"prompt": "p", "chosen": "a", "rejected": ["a", " "]}, "identical responses"),
    ({"prompt": "p", "chosen": " \n", "rejected": "b"}, "empty response"),
    ({"prompt": "p", "chosen": "a", "rejected": ""}, "empty response"),
    ({"chosen": "Why? Yes", "rejected": "Why? Yes, sir"}, "empty response"),
    ({"prompt": " ", "chosen": "a", "rejected": "b"}, "empty prompt"),
    ({"prompt": [{"role": "user", "content": ""}], "chosen": "a", "rejected": "b"}, "empty prompt"),
    ({"chosen": [YES], "rejected": [NO]}, "empty prompt"),
    ({"chosen": "a", "rejected": "b"}, "empty prompt"),
    ({"chosen": [USER, YES], "rejected": [{**USER, "content": "How?"}, NO]}, "prompts differ"),
    ({"chosen": [USER, YES], "rejected": [USER, NO, USER, NO]}, "prompts differ"),
    ({"chosen": f"a{ANSWER_MARKER} x", "rejected": f"b{ANSWER_MARKER} y"}, "prompts differ"),
    ({"chosen": f"a{ANSWER_MARKER} x", "rejected": "a"}, "prompts differ"),
    ({"prompt": "p", "responses": ["a", "b"], "scores": [2, 2.0]}, "equal scores"),
    ({"prompt": "p", "responses": ["", "b"], "scores": [2, 1]}, "empty response"),
    ({"prompt": "p", "responses": [{"text": "a", "score": 1}]}, "too few responses"),
    ({"prompt": "p", "responses": [], "scores": []}, "too few responses"),
]


@pytest.mark.parametrize(("row", "reason"), DEFECTS)
def test_a_defect_is_an_error_that_names_the_setting_or_a_counted_drop(row: dict[str, Any], reason: str) -> None:
    message = error(row)
    assert f"f.jsonl, row 1: {reason}" in message
    assert "`data.invalid_rows: drop` drops and counts 1 of them" in message
    found = read(row, drop=True)
    assert (found.preferences, found.dropped, found.dropped_responses) == ((), {reason: 1}, {})


def test_all_problems_of_all_kinds_are_listed_together() -> None:
    message = error({"prompt": "p"}, {"prompt": "p", "chosen": "a", "rejected": "b"}, *[row for row, _ in DEFECTS])
    lines = message.splitlines()
    assert lines[0] == f"{len(DEFECTS) + 1} problems in the preference data:"
    assert len(lines) == len(DEFECTS) + 3
    assert lines[-1].endswith(f"counts {len(DEFECTS)} of them.")


def test_of_several_rejected_responses_only_the_bad_ones_are_dropped() -> None:
    row = {"prompt": "p", "chosen": "a", "rejected": ["a", "b", "", "c"], "score_rejected": [1, 2, 3, 4]}
    assert "rejected response 1 equals the chosen one" in error(row)
    found = read(row, drop=True)
    assert found.preferences[0].rejected == (Response(text="b", gold=2), Response(text="c", gold=4))
    assert found.dropped_responses == {"identical responses": 1, "empty response": 1}
    assert found.dropped == {}


# Where the prompt ends

WORDS = st.text(st.sampled_from("ab \n:"), max_size=8)


@given(WORDS, WORDS, WORDS)
def test_strings_are_cut_at_their_common_prefix_less_one_space(prompt: str, one: str, other: str) -> None:
    chosen, rejected = prompt + one + "!", prompt + other + "?"
    (shared, answer), (same, against) = split_implicit([chosen, rejected])
    assert isinstance(shared, str)
    assert same == shared
    assert (shared + answer, shared + against) == (chosen, rejected)
    # The longest such prefix: beyond the one space given back, the answers differ at once.
    if answer[0] == against[0]:
        assert answer[0] == " "
        assert answer[1] != against[1]
    assert not shared.endswith(" ") or answer[0] == against[0] == " "


TRANSCRIPT = st.text(st.sampled_from("ab \n:"), max_size=12).map(lambda text: f"\n\nHuman: {text}{ANSWER_MARKER}")


@given(st.lists(TRANSCRIPT, min_size=1, max_size=3), WORDS, WORDS)
def test_transcripts_are_cut_after_the_last_marker(turns: list[str], one: str, other: str) -> None:
    prompt = "".join(turns)
    chosen, rejected = prompt + one + "!", prompt + other + "?"
    assert split_implicit([chosen, rejected]) == [(prompt, one + "!"), (prompt, other + "?")]


MESSAGES = st.lists(st.builds(Message, role=st.sampled_from(["user", "system"]), content=WORDS), min_size=1, max_size=4)


@given(MESSAGES, WORDS, WORDS)
def test_conversations_are_cut_before_the_last_message(prompt: list[Message], one: str, other: str) -> None:
    answers = [Message(role="assistant", content=text) for text in (one, other)]
    parts = split_implicit([(*prompt, answer) for answer in answers])
    assert parts == [(tuple(prompt), one), (tuple(prompt), other)]


def test_a_transcript_keeps_the_words_its_answers_share() -> None:
    dialogue = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Thanks\n\nAssistant:"
    preference = read_one({"chosen": dialogue + " You are welcome", "rejected": dialogue + " You are wrong"})
    assert preference.prompt == dialogue
    assert [response.text for response in preference.responses] == [" You are welcome", " You are wrong"]


# Real files


@pytest.mark.parametrize(
    ("name", "rows", "dropped"),
    [
        ("ultrafeedback/train_clean.jsonl", 1000, {"empty response": 2, "identical responses": 4}),
        ("ultrafeedback/label_flip_20.jsonl", 1000, {"empty response": 2, "identical responses": 4}),
        ("ultrafeedback/eval_clean.jsonl", 200, {"identical responses": 1}),
        ("hh_rlhf/harmless-base.test.jsonl.gz", 2312, {"prompts differ": 5, "empty response": 4}),
        (
            "hh_rlhf/helpful-base.test.jsonl.gz",
            2354,
            {"prompts differ": 9, "empty response": 4, "identical responses": 2},
        ),
    ],
)
def test_real_files(shared_data: Path, name: str, rows: int, dropped: dict[str, int]) -> None:
    path = str(shared_data / "preferences" / name)
    found = read_preferences(read_rows(path), invalid_rows="drop")
    assert found.dropped == dropped
    assert len(found.preferences) == rows - sum(dropped.values())
    with pytest.raises(DataError, match=f"^{sum(dropped.values())} problem"):
        read_preferences(read_rows(path), invalid_rows="error")


def test_ultrafeedback_scores_are_read(shared_data: Path) -> None:
    path = shared_data / "preferences" / "ultrafeedback" / "train_clean.jsonl"
    found = read_preferences(read_rows(str(path)), invalid_rows="drop")
    assert [response.gold for response in found.preferences[0].responses] == [9.0, 8.0]
    gaps = [p.chosen.gold - p.rejected[0].gold for p in found.preferences if p.chosen.gold and p.rejected[0].gold]
    assert len(gaps) == 994
    assert sum(gap <= 0 for gap in gaps) == 111 - 1  # of the 6 dropped rows only 307 has no gap


def test_scored_rows_of_a_real_file(shared_data: Path) -> None:
    path = shared_data / "preferences" / "prometheus_multi" / "vicuna_4responses_3xgpt4.jsonl"
    found = read_preferences(read_rows(str(path)), invalid_rows="drop")
    assert found.dropped == {"equal scores": 6}
    assert found.tied_best == 37
    for preference in found.preferences:
        golds = [response.gold for response in preference.responses]
        assert all(a is not None and b is not None and a >= b for a, b in itertools.pairwise(golds))
    raw = {row["responses"][0]["context"]: row for row in map(json.loads, path.read_text().splitlines())}
    for preference in found.preferences:
        row = raw[str(preference.prompt)]
        means = sorted((statistics.fmean(each["gold_scores"]) for each in row["responses"]), reverse=True)
        assert [response.gold for response in preference.responses] == means


def test_scored_rows_that_answer_different_contexts_compare_nothing(shared_data: Path) -> None:
    """Second turns: what was said before differs from model to model."""
    path = shared_data / "preferences" / "prometheus_multi" / "mt_bench_4responses_3xgpt4.jsonl"
    found = read_preferences(read_rows(str(path)), invalid_rows="drop")
    assert (found.preferences, found.dropped) == ((), {"prompts differ": 80})


def test_ratings_are_averaged() -> None:
    def row(*ratings: Any) -> dict[str, Any]:
        return {"responses": [{"context": "q", "response": f"r{i}", "gold_scores": r} for i, r in enumerate(ratings)]}

    (preference,) = read(row([1, 2], [5, 4, 3])).preferences
    assert [(each.text, each.gold) for each in preference.responses] == [("r1", 4.0), ("r0", 1.5)]
    for bad in ([], [1, None], [1, "2"]):
        with pytest.raises(DataError, match=r"score of responses\[0\]: expected (a finite number|finite numbers)"):
            read(row(bad, [1]))
    with pytest.raises(DataError, match="or a context in each of its responses"):
        read({"responses": [{"response": "a", "score": 1}, {"response": "b", "score": 2}]})
