"""When to ask again: how long to wait after which answer, and one gate that all calls wait at."""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from epa_bench.core.digest import stable_seed

LONGEST_WAIT = 60.0
"""Seconds; also where a server asks for more."""

_FIRST_WAIT = 0.5
"""Seconds after the first failed attempt; doubles with each further one."""


@dataclass(frozen=True)
class Clock:
    """Time, so that a test can have its own."""

    now: Callable[[], float] = time.time
    """Seconds since 1970."""

    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep


class PassingError(Exception):
    """An attempt that failed for a reason that may pass."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        """Seconds the server asks to wait."""


def backoff(key: str, attempt: int) -> float:
    """Seconds to wait after attempt number `attempt` (from 0): exponential with jitter, seeded by the question.

    Between half of and the whole of 0.5 s * 2^attempt, so that calls which failed together do not return together.
    """
    whole = min(LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(attempt, 10))
    return whole * (0.5 + random.Random(stable_seed("judge backoff", key, attempt)).random() / 2)


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3: seconds or a date), 0 to LONGEST_WAIT.

    None where there is no header or it makes no sense. Fractions, which the RFC does not have, are taken too.
    """
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            date = parsedate_to_datetime(header)
        except ValueError:
            return None
        seconds = date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now
    return None if math.isnan(seconds) else min(LONGEST_WAIT, max(0.0, seconds))


class Gate:
    """All calls of a client wait here: a server that asks to wait means everyone, and a stop ends every wait."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._opens = 0.0
        self._stop = asyncio.Event()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def stop(self) -> None:
        """Ends all waiting, for good."""
        self._stop.set()

    def hold(self, seconds: float) -> None:
        """Nobody passes before `seconds` from now."""
        self._opens = max(self._opens, self._clock.now() + seconds)

    async def passed(self) -> bool:
        """Waits until the gate is open; False where it was stopped."""
        while not self.stopped and (left := self._opens - self._clock.now()) > 0:
            await self.rest(left)
        return not self.stopped

    async def rest(self, seconds: float) -> None:
        """Waits `seconds`, or until the stop."""
        waiting = {asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(self._stop.wait())}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
