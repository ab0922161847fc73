"""What is asked of a judge and what comes back: questions, replies and verdicts, as rows on disk."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from epa_bench.core.digest import digest_of
from epa_bench.core.records import Finite, Message, Record, Verdict

_Tokens = Annotated[int, Field(ge=0)]


def without_surrogates(text: str) -> str:
    """Halves of surrogate pairs, which a JSON escape can write and UTF-8 cannot, replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


Text = Annotated[str, AfterValidator(without_surrogates)]
"""Text that can be sent and stored, whatever a file of answers held."""


def _sendable(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    return tuple(Message(role=m.role, content=without_surrogates(m.content)) for m in messages)


class JudgeDecoding(Record):
    """How the judge writes its reply."""

    temperature: Annotated[Finite, Field(ge=0)]
    max_tokens: Annotated[int, Field(ge=1)]

    top_logprobs: Annotated[int, Field(ge=1, le=20)] | None = None
    """Most probable tokens to report at every position; None asks for no log-probs."""

    extra_body: dict[str, JsonValue] = Field(default_factory=dict)
    """Further keys of the request."""


class Question(Record):
    """One call to a judge."""

    template: str
    """Digest of the prompt template the messages were made from."""

    messages: Annotated[tuple[Message, ...], Field(min_length=1), AfterValidator(_sendable)]
    decoding: JudgeDecoding

    @property
    def asked(self) -> str:
        """Digest of what is asked, whoever is: template and both texts, in the order they are shown."""
        return digest_of([self.template, [[m.role, m.content] for m in self.messages]])


class Usage(Record):
    """Tokens the judge's provider counts."""

    input_tokens: _Tokens
    output_tokens: _Tokens

    estimated: bool = False
    """The server did not say; a token is taken for four bytes."""


class Reply(Record):
    """What a judge answered."""

    text: str

    refusal: str | None = None
    """The server's own field for it; a refusal in plain words is only text."""

    finish: str | None = None
    """Why it ended: stop, length, content_filter."""

    top_logprobs: tuple[tuple[str, Finite], ...] | None = None
    """(token, natural log-probability) of the most probable first tokens; None where there are no log-probs."""

    usage: Usage

    model: str | None = None
    """As the server names it: tells when a name has come to mean another model."""


class StoredReply(Record):
    """A reply as it is kept: found by `key` in the cache, by `asked` in a recording."""

    key: str
    asked: str
    model: str
    decoding: JudgeDecoding
    reply: Reply


class _Judged(Record):
    """A value or an error, and the reply either was read from."""

    value_field: ClassVar[str]

    error: str | None = None
    reply: Reply | None = None

    @model_validator(mode="after")
    def _value_or_error(self) -> Self:
        if (getattr(self, self.value_field) is None) == (self.error is None):
            raise ValueError("a row has either a value or an error")
        return self


class OrderVerdict(_Judged):
    """One call of a pairwise judge."""

    value_field = "preference"

    swapped: bool
    """The model's output was shown first."""

    preference: Annotated[Finite, Field(ge=1, le=2)] | None = None
    """1 the baseline wins, 2 the model wins, whatever the order."""

    outside: Annotated[Finite, Field(ge=0, le=1)] | None = None
    """Probability mass outside the labels, of a judge read by log-probs."""


class PairwiseVerdict(Verdict):
    """A verdict with the calls it is the mean of. None of them for identical outputs: 1.5 without a call."""

    orders: tuple[OrderVerdict, ...] = ()

    intrusions: tuple[str, ...] = ()
    """What in the model's output speaks to the judge or breaks the frame of its prompt. Judged all the same."""


class RatingVerdict(_Judged):
    """A judge's rating of one answer."""

    value_field = "rating"

    prompt_id: str

    item: int = 0
    """Distinguishes several items that share a prompt, such as turns."""

    rating: Annotated[Finite, Field(ge=1, le=10)] | None = None


Winner = Literal["output", "baseline", "tie"]


class GameVerdict(_Judged):
    """One order of a match."""

    value_field = "winner"

    swapped: bool
    """The model's output was assistant A."""

    winner: Winner | None = None


class MatchVerdict(_Judged):
    """MT-Bench's pair verdict: both orders are played, and a disagreement is a tie."""

    value_field = "winner"

    prompt_id: str
    item: int = 0
    winner: Winner | None = None
    games: tuple[GameVerdict, GameVerdict]

    @property
    def consistent(self) -> bool:
        """Both orders name the same winner."""
        return self.error is None and self.games[0].winner == self.games[1].winner
