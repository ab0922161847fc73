"""One run of questions to an endpoint: as many calls at a time and as costly as allowed, and when to stop."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

from epa_bench.config.judge import ApiJudge
from epa_bench.core.errors import JudgeError
from epa_bench.judges.asking import Answer, OnAnswer, Parse, Tally, UnparsedError, read_reply
from epa_bench.judges.cache import ReplyCache
from epa_bench.judges.client import ChatClient, GaveUpError, StoppedError
from epa_bench.judges.cost import Ledger, dollars_of
from epa_bench.judges.owed import Owed
from epa_bench.judges.records import Reply, StoredReply
from epa_bench.judges.retry import Clock, Gate
from epa_bench.judges.secret import read_secret
from epa_bench.judges.wire import request_body

_V = TypeVar("_V")

_UNREACHABLE = 8
"""Questions in a row, each given up after all its attempts, that show the judge to be out of order."""

_AGAIN = "Finished verdicts are kept; a rerun asks only for the rest."

_TRIES = 2
"""Replies a question may have in one run until one is a verdict."""

_USELESS = 20
"""Replies and refusals without one verdict among them that show the judge to be the wrong one, such as one without
log-probs."""


class Round(Generic[_V]):
    """Every question ends as a verdict, as an error, or owed; where some are owed, `run` raises."""

    def __init__(
        self, judge: ApiJudge, cache: ReplyCache, ledger: Ledger, clock: Clock, parse: Parse[_V], tell: OnAnswer[_V]
    ) -> None:
        self.tally = Tally()
        self._judge, self._cache, self._ledger, self._clock = judge, cache, ledger, clock
        self._parse, self._tell = parse, tell
        self._owed: deque[Owed] = deque()
        self._stopped_by: JudgeError | None = None
        self._verdicts = self._failures = self._given_up_in_a_row = 0

    def run(self, questions: Iterable[Owed]) -> None:
        """Answers what the cache knows, then asks. Raises JudgeError where the judge or the budget stopped it."""
        for owed in questions:
            if not self._answer_from_cache(owed):
                self._owed.append(owed)
        if not self._owed:
            return
        asyncio.run(self._ask())
        if self._stopped_by is not None:
            raise self._stopped_by
        if self._owed:
            raise self._out_of_budget()

    def _answer_from_cache(self, owed: Owed) -> bool:
        stored = self._cache.get(owed.key)
        if stored is None:
            return False
        try:
            value = read_reply(stored.reply, self._parse)
        except UnparsedError:
            # It was a verdict to another parser.
            return False
        self.tally.cached += len(owed.indices)
        self._deliver(owed, stored.reply, value=value)
        return True

    async def _ask(self) -> None:
        self._gate = Gate(self._clock)
        async with ChatClient(self._judge, read_secret(self._judge), self._gate, self._clock) as client:
            workers = min(self._judge.concurrency, len(self._owed))
            try:
                await asyncio.gather(*(self._work(client) for _ in range(workers)))
            finally:
                self.tally.retries = client.retries

    async def _work(self, client: ChatClient) -> None:
        """One of the calls that are in flight at a time.

        Where the budget has no room it ends; the others go on, and find what their own calls did not use of it.
        """
        while self._owed and not self._gate.stopped:
            owed = self._owed.popleft()
            reserved = self._ledger.reserve(owed.expected)
            if reserved is None:
                self._owed.appendleft(owed)
                return
            reply = await self._reply(client, owed)
            self._ledger.settle(reserved, None if reply is None else reply.usage)
            if reply is not None:
                self._read(owed, reply)

    async def _reply(self, client: ChatClient, owed: Owed) -> Reply | None:
        body = request_body(self._judge.model, owed.question, owed.decoding)
        try:
            reply = await client.ask(owed.key, owed.question, body)
        except StoppedError:
            self._owed.appendleft(owed)
        except JudgeError as error:
            self._owed.appendleft(owed)
            self._stop(error)
        except GaveUpError as failure:
            self._given_up_in_a_row = self._given_up_in_a_row + 1 if failure.passing else 0
            self._fail(owed, str(failure))
        else:
            self._given_up_in_a_row = 0
            return reply
        return None

    def _read(self, owed: Owed, reply: Reply) -> None:
        self.tally.spend(reply.usage, dollars_of(reply.usage, self._judge.prices))
        try:
            value = read_reply(reply, self._parse)
        except UnparsedError as error:
            owed.tries += 1
            # Often a slip of the judge or its server; not worth waiting for the next run.
            if owed.tries < _TRIES:
                self._owed.append(owed)
            else:
                self._deliver(owed, reply, error=str(error))
            self._stop_if_useless(str(error))
            return
        kept = StoredReply(
            key=owed.key, asked=owed.question.asked, model=self._judge.model, decoding=owed.decoding, reply=reply
        )
        self._cache.put(kept)
        self.tally.cached += len(owed.indices) - 1
        self._deliver(owed, reply, value=value)

    def _fail(self, owed: Owed, reason: str) -> None:
        """A question that got no reply."""
        self._deliver(owed, None, error=reason)
        if self._given_up_in_a_row >= _UNREACHABLE:
            self._stop(
                JudgeError(
                    f"{self._judge.base_url} is out of order: {_UNREACHABLE} questions in a row went without a reply, "
                    f"the last one with: {reason}. {_AGAIN}"
                )
            )
        self._stop_if_useless(reason)

    def _stop_if_useless(self, reason: str) -> None:
        self._failures += 1
        if self._verdicts == 0 and self._failures >= _USELESS:
            self._stop(
                JudgeError(
                    f"not one of the first {self._failures} replies of {self._judge.model} is a verdict. The last "
                    f"one: {reason}. Choose another judge, or a protocol that it can follow. {_AGAIN}"
                )
            )

    def _deliver(self, owed: Owed, reply: Reply | None, *, value: _V | None = None, error: str | None = None) -> None:
        self._verdicts += error is None
        self.tally.count(error, reply, len(owed.indices))
        for index in owed.indices:
            self._tell(Answer(index, value, error, reply))

    def _stop(self, error: JudgeError) -> None:
        self._stopped_by = self._stopped_by or error
        self._gate.stop()

    def _out_of_budget(self) -> JudgeError:
        rest = [owed.expected for owed in self._owed]
        cost = (
            f", about ${sum(dollars_of(usage, self._judge.prices) for usage in rest):.4f}" if self._judge.prices else ""
        )
        return JudgeError(
            f"the judge's budget is reached ({self._ledger}): {len(rest)} calls are owed{cost}. Finished verdicts are "
            "kept. Raise it (--set judge.budget.dollars=... or --set judge.budget.calls=...) and run again to go on."
        )
