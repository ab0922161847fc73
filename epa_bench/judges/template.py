"""Prompt templates of judges: sections with a role, and named places for texts that stay data."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from epa_bench.core.digest import digest_of
from epa_bench.core.errors import SuiteError
from epa_bench.core.records import Message

_SECTION = re.compile(r"<\|im_start\|>(\w+)\n(.*?)<\|im_end\|>", re.DOTALL)


@dataclass(frozen=True)
class PromptTemplate:
    """Messages with places such as `{instruction}`; other braces are text."""

    messages: tuple[Message, ...]
    places: tuple[str, ...]

    @cached_property
    def digest(self) -> str:
        return digest_of([[m.role, m.content] for m in self.messages])

    def fill(self, texts: Mapping[str, str]) -> tuple[Message, ...]:
        """The messages with every place filled, once: a text that holds a place or a role's mark stays as it is.

        (alpaca_eval 0.6.6 fills one place after the other and splits into roles last, so there an answer can put
        itself into another place or open a new message.)
        """
        return tuple(
            Message(role=m.role, content=self._pattern.sub(lambda found: texts[found[1]], m.content))
            for m in self.messages
        )

    @cached_property
    def frames(self) -> tuple[str, ...]:
        """What marks the end of a text: the rest of the line behind its place, where there is any."""
        found = (re.findall(self._pattern.pattern + r"([^\n{]+)", m.content) for m in self.messages)
        return tuple(dict.fromkeys(rest.strip() for matches in found for _, rest in matches if rest.strip()))

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The template's own lines, those with places left out."""
        lines = [line.strip() for m in self.messages for line in m.content.splitlines()]
        return tuple(dict.fromkeys(line for line in lines if line and not self._pattern.search(line)))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(r"\{(" + "|".join(map(re.escape, self.places)) + r")\}")


def make_template(messages: Sequence[tuple[str, str]], places: Sequence[str]) -> PromptTemplate:
    """A template of (role, text) messages. Raises SuiteError where a place is missing from all of them."""
    template = PromptTemplate(tuple(Message(role=role, content=text) for role, text in messages), tuple(places))
    missing = [place for place in places if not any(f"{{{place}}}" in m.content for m in template.messages)]
    if missing:
        raise SuiteError(f"the judge's prompt template has no place {{{missing[0]}}}; it needs {', '.join(places)}")
    return template


def parse_chatml(text: str, places: Sequence[str]) -> PromptTemplate:
    """A template of `<|im_start|>role ... <|im_end|>` sections, as alpaca_eval's prompt files are written.

    As there, blanks around a section's text do not count. Raises SuiteError where something stands outside the
    sections, or a place is missing.
    """
    sections = list(_SECTION.finditer(text))
    nested = any("<|im_start|>" in section[2] for section in sections)
    if not sections or nested or _SECTION.sub("", text).strip():
        raise SuiteError(
            "the judge's prompt template must be sections of <|im_start|>ROLE, a new line, text and <|im_end|>, with "
            f"nothing between them; found {len(sections)} sections"
        )
    return make_template([(section[1], section[2].strip()) for section in sections], places)
