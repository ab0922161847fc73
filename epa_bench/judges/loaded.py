"""A judge that is a model in this process: what it is asked, and what of that is known already."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from epa_bench.config.judge import LocalJudge
from epa_bench.judges.asking import OnAnswer, Parse, Tally, answer_in
from epa_bench.judges.cache import ReplyCache
from epa_bench.judges.owed import Owed, group_equal
from epa_bench.judges.records import JudgeDecoding, Question, Reply, StoredReply

_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Replied:
    """What a model made of one question: a reply, or why there is none."""

    index: int
    reply: Reply | None = None
    error: str | None = None


class Model(Protocol):
    """A language model that can be asked."""

    def replies(self, asked: Sequence[tuple[Question, JudgeDecoding]]) -> Iterator[Replied]:
        """One for each question, in any order, as soon as it is there."""
        ...

    def close(self) -> None:
        """Frees what it holds."""
        ...


class LoadedJudge:
    """Implements `asking.Judge`. The model is loaded for the first question whose reply is not kept, if there is one.

    A reply is kept whether or not it is a verdict: the same model says the same again.
    """

    def __init__(self, name: str, identity: str, config: LocalJudge, cache: Path, load: Callable[[], Model]) -> None:
        """`identity`: what replies are kept under, a digest of all that decides them but the question and how it is
        asked; `cache`: folder of replies."""
        self.name = name
        self._identity, self._config, self._cache, self._load = identity, config, ReplyCache(cache), load

    def ask_all(self, questions: Sequence[Question], parse: Parse[_V], on_answer: OnAnswer[_V]) -> Tally:
        """See `asking.Judge`. Raises what loading and asking the model raise; replies until then are kept."""
        tally = Tally()

        def deliver(owed: Owed, reply: Reply | None, error: str | None = None) -> None:
            answer = answer_in(owed.indices[0], reply, parse, error)
            tally.count(answer.error, reply, len(owed.indices))
            for index in owed.indices:
                on_answer(replace(answer, index=index))

        groups = group_equal(self._identity, questions, self._decoding)
        unknown: list[Owed] = []
        for owed in groups:
            stored = self._cache.get(owed.key)
            if stored is None:
                unknown.append(owed)
                continue
            deliver(owed, stored.reply)
        tally.cached = len(questions) - len(unknown)
        for owed, replied in self._asked(unknown):
            if replied.reply is not None:
                self._keep(owed, replied.reply)
                tally.spend(replied.reply.usage, 0.0)
            deliver(owed, replied.reply, replied.error)
        return tally

    def _asked(self, unknown: Sequence[Owed]) -> Iterator[tuple[Owed, Replied]]:
        if not unknown:
            return
        model = self._load()
        try:
            for replied in model.replies([(owed.question, owed.decoding) for owed in unknown]):
                yield unknown[replied.index], replied
        finally:
            model.close()

    def _keep(self, owed: Owed, reply: Reply) -> None:
        asked = owed.question.asked
        self._cache.put(StoredReply(key=owed.key, asked=asked, model=self.name, decoding=owed.decoding, reply=reply))

    def _decoding(self, asked: JudgeDecoding) -> JudgeDecoding:
        """The protocol's, where the judge's configuration does not say otherwise; extra keys are an endpoint's."""
        return asked.model_copy(update={**self._config.decoding(), "extra_body": {}})
