"""An answer, or a prompt with its answer, as text or as messages; where the prompt ends and the answer begins."""

import os
from collections.abc import Mapping
from typing import Any

from epa_bench.core.records import Message, Prompt

ANSWER_MARKER = "\n\nAssistant:"
"""Begins an answer in the transcripts of Anthropic's HH-RLHF."""

Turns = str | tuple[Message, ...]


class MalformedRowError(ValueError):
    """The row does not have the layout: always an error."""


class DefectiveRowError(ValueError):
    """The row has the layout, but nothing can be learned from it."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


def parse_turns(value: Any, column: str) -> Turns:
    """Raises MalformedRowError for anything but a string or a list of messages; `column` names it in the message."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(message, Mapping) for message in value):
        return tuple(_message(message, f"{column}[{index}]") for index, message in enumerate(value))
    raise MalformedRowError(f"{column}: expected a string or a list of messages, got {describe(value)}")


def _message(message: Mapping[str, Any], column: str) -> Message:
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str) or not isinstance(content, str):
        raise MalformedRowError(
            f"{column}: expected a message with role and content as strings, got {describe(dict(message))}"
        )
    # Parquet gives every message every column: null means absent. Anything else would be lost, tool calls for one.
    unknown = sorted(key for key, value in message.items() if key not in ("role", "content") and value is not None)
    if unknown:
        raise MalformedRowError(
            f"{column}: expected only role and content, got also {', '.join(unknown)}; remove them if they may be lost"
        )
    return Message(role=role, content=content)


def split_explicit(prompt: Turns, turns: Turns, column: str) -> tuple[Prompt, str]:
    """(prompt, answer). A conversation may be the answer alone, or repeat the prompt before it."""
    if isinstance(turns, str):
        return prompt, turns
    before, answer = split_conversation(turns, column)
    if not before:
        return prompt, answer
    # Zephyr's layout: the prompt column is the text of one message of the conversation.
    agrees = any(m.content == prompt for m in before) if isinstance(prompt, str) else before == prompt
    if not agrees:
        raise MalformedRowError(
            f"{column}: expected exactly one assistant message after the prompt (which may be repeated), "
            f"got {len(turns)} messages whose beginning is not the prompt column"
        )
    return before, answer


def split_conversation(turns: tuple[Message, ...], column: str) -> tuple[tuple[Message, ...], str]:
    """(what stands before the last message, the text of that one, which is the assistant's)."""
    *before, last = turns
    if last.role != "assistant":
        raise MalformedRowError(f"{column}: expected a last message of role assistant, got {last.role!r}")
    return tuple(before), last.content


def split_implicit(all_turns: list[Turns]) -> list[tuple[Prompt, str]]:
    """(prompt, answer) of each.

    Conversations are cut before their last message. Strings that contain HH-RLHF's `ANSWER_MARKER` are cut after its
    last occurrence, each by itself: the common prefix would run into answers with the same first words, and would hide
    that two dialogues differ. Other strings are cut at their common prefix, less one final space, like TRL's
    `extract_prompt`.
    """
    texts = [turns for turns in all_turns if isinstance(turns, str)]
    if not texts:
        return [split_conversation(turns, "chosen or rejected") for turns in all_turns if not isinstance(turns, str)]
    if len(texts) < len(all_turns):
        raise MalformedRowError("expected chosen and rejected both as strings or both as messages, got one of each")
    if any(text == texts[0] for text in texts[1:]):
        raise DefectiveRowError("identical responses", "chosen and rejected are the same string")
    if any(ANSWER_MARKER in text for text in texts):
        cuts = [text.rfind(ANSWER_MARKER) + len(ANSWER_MARKER) if ANSWER_MARKER in text else 0 for text in texts]
        return [(text[:cut], text[cut:]) for text, cut in zip(texts, cuts, strict=True)]
    prefix = os.path.commonprefix(texts)  # noqa: RUF071 - characters are meant, these are no paths
    cut = len(prefix) - prefix.endswith(" ")
    return [(text[:cut], text[cut:]) for text in texts]


def check_prompt(prompt: Prompt) -> None:
    """Raises DefectiveRowError for a prompt without text, MalformedRowError for one that ends in an answer."""
    contents = [prompt] if isinstance(prompt, str) else [message.content for message in prompt]
    if not any(content.strip() for content in contents):
        raise DefectiveRowError("empty prompt", "the prompt has no text")
    if not isinstance(prompt, str) and prompt[-1].role == "assistant":
        raise MalformedRowError("expected a prompt that ends before the assistant's turn, its last message is one")


def describe(value: Any) -> str:
    """What came, short enough for a message."""
    if value is None:
        return "nothing"
    shown = repr(value)
    return f"{type(value).__name__} {shown if len(shown) <= 60 else shown[:57] + '...'}"
