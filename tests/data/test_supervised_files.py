"""Files of the supervised stage: layouts, and what is refused of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epa_bench.core.errors import DataError
from epa_bench.core.records import Message
from epa_bench.data.supervised_files import SupervisedFile, read_supervised


def read(*rows: dict[str, Any], invalid_rows: Any = "error") -> SupervisedFile:
    return read_supervised(((f"file, row {i + 1}", row) for i, row in enumerate(rows)), invalid_rows=invalid_rows)


def turns(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in pairs]


CONVERSATION = turns(("user", "one?"), ("assistant", "1"), ("user", "two?"), ("assistant", "2"))
BEFORE = tuple(Message(**turn) for turn in CONVERSATION[:-1])


@pytest.mark.parametrize(
    ("row", "prompt", "response"),
    [
        ({"prompt": "a?", "response": "b"}, "a?", "b"),
        ({"prompt": "a?", "completion": "b", "id": 3}, "a?", "b"),
        ({"instruction": "a?", "input": "", "output": "b"}, "a?", "b"),
        ({"messages": CONVERSATION}, BEFORE, "2"),
        # UltraChat's: the text of the first turn stands beside.
        ({"prompt": "one?", "prompt_id": "x", "messages": CONVERSATION}, BEFORE, "2"),
        # TRL's conversational prompt and completion.
        ({"prompt": CONVERSATION[:-1], "completion": CONVERSATION[-1:]}, BEFORE, "2"),
    ],
)
def test_layouts(row: dict[str, Any], prompt: Any, response: str) -> None:
    (found,) = read(row).rows
    assert (found.prompt, found.response, found.source) == (prompt, response, "file, row 1")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "a"}, "expected the columns prompt and response, or messages, got text; rename the columns"),
        ({"response": "b"}, "expected the columns prompt and response"),
        ({"instruction": "a", "input": "c", "output": "b"}, "got input beside it; join them"),
        ({"messages": CONVERSATION[:-1]}, "messages: expected a last message of role assistant, got 'user'"),
        ({"messages": "a"}, "messages: expected a list of messages, got a string"),
        ({"prompt": "other?", "messages": CONVERSATION}, "whose beginning is not the prompt column"),
        ({"prompt": "a?", "response": 3}, "response: expected a string or a list of messages, got int 3"),
        ({"prompt": "a?", "response": " "}, "empty response: the response has no text"),
        ({"prompt": "", "response": "b"}, "empty prompt: the prompt has no text"),
        ({"messages": CONVERSATION[-1:]}, "empty prompt: the prompt has no text"),
    ],
)
def test_what_is_no_supervised_row_is_refused_by_row(row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        read({"prompt": "a?", "response": "b"}, row)
    assert "1 problem in the supervised data:\n  file, row 2: " in str(caught.value)
    assert message in str(caught.value)


def test_rows_that_teach_nothing_can_be_dropped_and_are_counted_but_malformed_ones_cannot() -> None:
    good, empty, bare = (
        {"prompt": "a?", "response": "b"},
        {"prompt": "a?", "response": ""},
        {"prompt": "", "output": "c"},
    )
    found = read(good, empty, empty, bare, invalid_rows="drop")
    assert len(found.rows) == 1
    assert found.dropped == {"empty response": 2, "empty prompt": 1}
    with pytest.raises(DataError, match=r"`reference\.sft\.data\.invalid_rows: drop` drops and counts 2 of them"):
        read(good, empty, bare)
    with pytest.raises(DataError, match="1 problem"):
        read(good, empty, {"text": "a"}, invalid_rows="drop")


_WORDS = st.text(alphabet="ab \n", max_size=4)


@given(st.lists(st.tuples(_WORDS, _WORDS), max_size=8))
def test_every_row_is_kept_or_counted(pairs: list[tuple[str, str]]) -> None:
    found = read(*({"prompt": prompt, "response": response} for prompt, response in pairs), invalid_rows="drop")
    assert len(found.rows) + sum(found.dropped.values()) == len(pairs)
    assert [(row.prompt, row.response) for row in found.rows] == [p for p in pairs if p[0].strip() and p[1].strip()]
