"""Answers that speak to the judge. They are judged as they are; that they do is counted."""

import re

from epa_bench.judges.template import PromptTemplate

_CHAT_MARK = re.compile(r"<\|\w{1,30}\|>|\[/?INST\]|<</?SYS>>|</?s>")
"""Marks of roles and turns in common chat templates."""

_VERDICT = re.compile(r"\[\[\s*(?:[ABC]|\d{1,2}(?:\.\d+)?)\s*\]\]")
"""The verdict a judge in MT-Bench's manner is told to write."""

_ORDER = re.compile(
    r"(?i)\b(?:ignore|disregard|forget)\b[^.\n]{0,40}\b(?:above|previous|prior|earlier|instructions?|prompts?)\b"
)

_SHORTEST_LINE = 12
"""Characters; shorter lines of a template (`{`, `},`) stand in any code."""


def intrusions(text: str, template: PromptTemplate) -> tuple[str, ...]:
    """Which of these the text holds, in a fixed order; words that come by chance count too.

    `chat mark`, `verdict`, `order` (to ignore what it was told), `frame` (what ends a text in this template) and
    `template` (a whole line of it).
    """
    own_lines = (line for line in template.lines if len(line) >= _SHORTEST_LINE)
    found = {
        "chat mark": _CHAT_MARK.search(text) is not None,
        "verdict": _VERDICT.search(text) is not None,
        "order": _ORDER.search(text) is not None,
        "frame": any(frame in text for frame in template.frames),
        "template": any(line in text for line in own_lines),
    }
    return tuple(name for name, holds in found.items() if holds)
