"""An engine that says what a script says, so that everything after generation runs without a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from epa_bench.core.errors import ConfigError, DataError
from epa_bench.core.files import read_records
from epa_bench.core.records import Prompt, Record, prompt_digest
from epa_bench.engines.protocol import Answer, Continuation, Decoding, Request, TokenChance, TokenScores, is_rendered


class ScriptLine(Record):
    """One line of a script."""

    prompt: Prompt
    response: str


class ScriptedEngine:
    """`Engine` whose answers are given by prompt digest. Its tokens are words."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        self._answers = answers

    def plan(self, requests: Sequence[Request]) -> list[list[int]]:
        """One batch."""
        return [list(range(len(requests)))]

    def answer(self, batch: Sequence[Request], decoding: Decoding) -> list[Answer]:
        """See `Engine.answer`. Raises DataError for a prompt that is not in the script."""
        return [self._read(request.prompt, decoding) for request in batch]

    def first_tokens(self, batch: Sequence[Request], count: int) -> list[list[TokenChance]]:
        """Raises ConfigError: a script has no probabilities."""
        raise _no_probabilities()

    def score(self, batch: Sequence[Continuation]) -> list[TokenScores]:
        """Raises ConfigError: a script has no probabilities."""
        raise _no_probabilities()

    def record(self, decoding: Decoding) -> dict[str, JsonValue]:
        """See `Engine.record`: a script draws nothing."""
        return {"engine": "script", "max_new_words": decoding.max_new_tokens}

    def close(self) -> None:
        """Nothing is held."""

    def _read(self, prompt: Prompt | tuple[int, ...], decoding: Decoding) -> Answer:
        text = None if is_rendered(prompt) else self._answers.get(prompt_digest(prompt))
        if text is None:
            raise DataError(f"the script has no answer to {str(prompt)[:80]!r}; add a line with this prompt")
        cut = decoding.before_stop(text)
        text = text if cut is None else cut
        words, most = text.split(), decoding.max_new_tokens
        if len(words) > most:
            return Answer(" ".join(words[:most]), most, "length")
        return Answer(text, len(words), "stop")


def _no_probabilities() -> ConfigError:
    return ConfigError(
        "a script answers prompts and has no probabilities; leave `engine.script` out of a sweep whose suites score "
        "continuations"
    )


def read_script(path: Path) -> ScriptedEngine:
    """Reads a JSON-lines script of {prompt, response}. Raises DataError, also where a prompt has two responses."""
    answers: dict[str, str] = {}
    for row, line in enumerate(read_records(path, ScriptLine), start=1):
        if answers.setdefault(prompt_digest(line.prompt), line.response) != line.response:
            raise DataError(
                f"{path}, row {row}: expected one response a prompt, got another one to {str(line.prompt)[:80]!r}; "
                "remove one of the two"
            )
    return ScriptedEngine(answers)
