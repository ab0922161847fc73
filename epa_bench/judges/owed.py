"""Questions without a verdict yet: equal ones are asked once."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from epa_bench.judges.cache import reply_key
from epa_bench.judges.records import JudgeDecoding, Question, Usage
from epa_bench.judges.wire import estimated_usage


@dataclass(slots=True)
class Owed:
    """A question to ask, once for everyone who asks it."""

    key: str
    question: Question
    decoding: JudgeDecoding
    indices: list[int] = field(default_factory=list)

    tries: int = 0
    """Replies that were no verdict."""

    @property
    def expected(self) -> Usage:
        return estimated_usage(self.question, self.decoding)


def group_equal(
    judge: str, questions: Sequence[Question], decoding: Callable[[JudgeDecoding], JudgeDecoding]
) -> Collection[Owed]:
    """`judge`: what its replies are kept under; `decoding`: what a protocol asks for -> what the judge is asked."""
    groups: dict[str, Owed] = {}
    for index, question in enumerate(questions):
        asked = decoding(question.decoding)
        key = reply_key(judge, asked, question)
        groups.setdefault(key, Owed(key, question, asked)).indices.append(index)
    return groups.values()
