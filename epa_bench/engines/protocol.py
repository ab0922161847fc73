"""What an engine is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from pydantic import Field, JsonValue

from epa_bench.core.records import Finite, Prompt, Record

if TYPE_CHECKING:
    from typing_extensions import TypeIs


class Decoding(Record):
    """How answers are drawn; recorded with every result."""

    temperature: Finite = Field(default=1.0, ge=0)
    """0 is greedy."""

    max_new_tokens: int = Field(default=128, ge=1)

    seed: int = 0
    """With the prompt, decides the draw: neither the batch nor the other prompts do."""

    # Left out of what is recorded where there is none, so that it is not in the address of cells that never had it.
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field(default=(), exclude_if=lambda stop: not stop)
    """An answer ends before the first of these texts in it."""

    def before_stop(self, text: str) -> str | None:
        """The text before the first stop text in it, or None where it has none."""
        starts = [start for start in (text.find(stop) for stop in self.stop) if start >= 0]
        return text[: min(starts)] if starts else None


@dataclass(frozen=True, slots=True)
class Request:
    """One answer wanted."""

    prompt: Prompt | tuple[int, ...]
    """Token ids where the prompt was rendered elsewhere."""

    seed: int
    """Of this request's own random stream."""

    def prompt_ids(self, render: Callable[[Prompt], list[int]]) -> list[int]:
        """The prompt as token ids: as they came, or by `render`. Raises what that raises."""
        return list(self.prompt) if is_rendered(self.prompt) else render(self.prompt)


def is_rendered(prompt: Prompt | tuple[int, ...]) -> "TypeIs[tuple[int, ...]]":
    """Whether a prompt is token ids."""
    return not isinstance(prompt, str) and all(isinstance(part, int) for part in prompt)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said."""

    text: str

    tokens: int
    """Drawn, with the EOS or the stop text that ended the answer."""

    finish: Literal["stop", "length", "error"]

    error: str | None = None
    """Why there is no answer, where `finish` says so; the text is empty then."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """Tokens to score after others. Ids, not text: what is scored must be what was encoded, cut in one place."""

    context: tuple[int, ...]
    """At least one token."""

    tokens: tuple[int, ...]
    """At least one token."""


@dataclass(frozen=True, slots=True)
class TokenScores:
    """What a model makes of a `Continuation`."""

    logps: tuple[float, ...]
    """log p of each token given all before it, nats, in fp32."""

    greedy: bool
    """Whether every token is the most probable one at its place."""


TokenChance = tuple[str, float]
"""A token's text, and its log p in nats, in fp32."""


class Engine(Protocol):
    """Anything that answers prompts, a batch at a time."""

    def plan(self, requests: Sequence[Request]) -> list[list[int]]:
        """Indices of the requests that share a batch, batch by batch.

        Depends on the requests alone, so that a resumed run asks for the same batches and gets the same answers.
        """
        ...

    def answer(self, batch: Sequence[Request], decoding: Decoding) -> list[Answer]:
        """The answers to one batch, in its order."""
        ...

    def first_tokens(self, batch: Sequence[Request], count: int) -> list[list[TokenChance]]:
        """The `count` most probable first tokens of an answer to each prompt, most probable first.

        What temperature and seed would make of them does not count. For a batch of `plan`.
        """
        ...

    def score(self, batch: Sequence[Continuation]) -> list[TokenScores]:
        """The scores of any number of continuations, in their order; the engine cuts them into what it can hold.

        Raises DataError for one that is longer than the model's positions.
        """
        ...

    def record(self, decoding: Decoding) -> dict[str, JsonValue]:
        """What its answers come from beside the prompt and the seed: written beside them."""
        ...

    def close(self) -> None:
        """Frees what the engine holds."""
        ...
