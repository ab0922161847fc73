"""Many questions to one judge: what is known already, what is owed, and when to stop."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from epa_bench.judges.records import Question, Reply, Usage

_V = TypeVar("_V")


class UnparsedError(Exception):
    """A reply that is no verdict; the message says why."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[_V]):
    """What came of one question: a value, or an error and the reply, if any, that it was found in."""

    index: int
    """Of the question, in the order they were given."""

    value: _V | None = None
    error: str | None = None
    reply: Reply | None = None


Parse = Callable[[Reply], _V]
"""Reads a verdict from a reply, or raises UnparsedError."""

OnAnswer = Callable[[Answer[_V]], None]
"""Called once for every question that was answered or failed, in any order."""


@dataclass
class Tally:
    """What asking came to."""

    asked: int = 0
    """Replies of this run, verdicts or not."""

    cached: int = 0
    """Questions that needed no call: replies of earlier runs, and repeats of a question."""

    retries: int = 0
    """Attempts that were followed by another."""

    errors: Counter[str] = field(default_factory=Counter)
    """Kind of reason -> questions without a verdict."""

    models: Counter[str] = field(default_factory=Counter)
    """The judge's name in the replies: more than one, and the judge has changed."""

    input_tokens: int = 0
    output_tokens: int = 0
    dollars: float = 0.0
    """Of this run's calls."""

    def spend(self, usage: Usage, dollars: float) -> None:
        self.asked += 1
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        self.dollars += dollars

    def count(self, error: str | None, reply: Reply | None, questions: int) -> None:
        """An answer to some equal questions."""
        if error is not None:
            self.errors[error_kind(error)] += questions
        if reply is not None and reply.model is not None:
            self.models[reply.model] += questions


def error_kind(reason: str) -> str:
    """What reasons are counted by: they begin alike, and after a colon say what is special to the case."""
    return reason.partition(":")[0]


def read_reply(reply: Reply, parse: Parse[_V]) -> _V:
    """The verdict in a reply. Raises UnparsedError, also for what the server itself marks as a refusal."""
    if reply.refusal is not None or reply.finish == "content_filter":
        raise UnparsedError("the judge refused")
    return parse(reply)


def answer_in(index: int, reply: Reply | None, parse: Parse[_V], missing: str | None) -> Answer[_V]:
    """What a reply says; `missing`: why, where there is none."""
    if reply is None:
        return Answer(index, error=missing)
    try:
        return Answer(index, value=read_reply(reply, parse), reply=reply)
    except UnparsedError as error:
        return Answer(index, error=str(error), reply=reply)


class Judge(Protocol):
    """Answers questions."""

    @property
    def name(self) -> str:
        """For tables."""
        ...

    def ask_all(self, questions: Sequence[Question], parse: Parse[_V], on_answer: OnAnswer[_V]) -> Tally:
        """Every question is answered once, through `on_answer`, or an error says why not all are.

        Raises JudgeError where the judge cannot be asked or the budget is spent; what was answered before is kept.
        """
        ...


Report = Callable[[int, int], None]
"""report(done, total): how many questions are answered."""


def silent(done: int, total: int) -> None:
    """A report to nobody."""


def ask_in_order(
    judge: Judge, questions: Sequence[Question], parse: Parse[_V], report: Report
) -> tuple[list[Answer[_V]], Tally]:
    """The answers in the order of the questions. Raises what `judge.ask_all` raises."""
    answers: dict[int, Answer[_V]] = {}

    def keep(answer: Answer[_V]) -> None:
        answers[answer.index] = answer
        report(len(answers), len(questions))

    tally = judge.ask_all(questions, parse, keep)
    return [answers[index] for index in range(len(questions))], tally
