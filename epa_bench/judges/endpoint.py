"""A judge behind an endpoint: what it is asked, what of that is known already, and what the rest would cost."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TypeVar

from epa_bench.config.judge import ApiJudge
from epa_bench.judges.asking import OnAnswer, Parse, Tally
from epa_bench.judges.cache import ReplyCache
from epa_bench.judges.cost import Estimate, Ledger, dollars_of
from epa_bench.judges.owed import Owed, group_equal
from epa_bench.judges.records import JudgeDecoding, Question, StoredReply
from epa_bench.judges.retry import Clock
from epa_bench.judges.round import Round

_V = TypeVar("_V")


class EndpointJudge:
    """Implements `asking.Judge`. The cache and the ledger may be shared with other processes."""

    def __init__(self, judge: ApiJudge, cache: Path, ledger: Path, clock: Clock | None = None) -> None:
        """`cache`: folder of replies; `ledger`: file of what was spent, which is what the budget limits."""
        self.name = judge.model
        self._judge, self._cache, self._ledger, self._clock = judge, ReplyCache(cache), ledger, clock or Clock()

    def ask_all(self, questions: Sequence[Question], parse: Parse[_V], on_answer: OnAnswer[_V]) -> Tally:
        """See `asking.Judge`. A verdict is kept as soon as it is there: a killed run loses what is in flight.

        Raises JudgeError, and StoreError where the disk is full.
        """
        ledger = Ledger(self._ledger, self._judge.budget, self._judge.prices)
        round_ = Round(self._judge, self._cache, ledger, self._clock, parse, on_answer)
        round_.run(self._grouped(questions))
        return round_.tally

    def estimate(self, questions: Sequence[Question]) -> Estimate:
        """What `ask_all` would take: the dry run. Nothing is asked."""
        expected = [owed.expected for owed in self._grouped(questions) if self._cache.get(owed.key) is None]
        prices = self._judge.prices
        return Estimate(
            questions=len(questions),
            calls=len(expected),
            input_tokens=sum(usage.input_tokens for usage in expected),
            output_tokens=sum(usage.output_tokens for usage in expected),
            dollars=None if prices is None else sum(dollars_of(usage, prices) for usage in expected),
        )

    def recording(self, questions: Sequence[Question]) -> list[StoredReply]:
        """The kept replies to these questions: what a recorded judge replays."""
        kept = [self._cache.get(owed.key) for owed in self._grouped(questions)]
        return [stored for stored in kept if stored is not None]

    def _grouped(self, questions: Sequence[Question]) -> Collection[Owed]:
        return group_equal(self._judge.model, questions, self._decoding)

    def _decoding(self, asked: JudgeDecoding) -> JudgeDecoding:
        """The protocol's, where the judge's configuration does not say otherwise."""
        extra_body = {**asked.extra_body, **self._judge.extra_body}
        return asked.model_copy(update={**self._judge.decoding(), "extra_body": extra_body})
