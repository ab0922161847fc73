"""Waiting: how long, and that a stop ends it."""

import asyncio
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from epa_bench.judges.retry import LONGEST_WAIT, Clock, Gate, backoff, retry_after
from tests.judging import FakeClock


@given(st.text(max_size=5), st.integers(0, 2000))
def test_backoff_doubles_up_to_the_longest_wait(key: str, attempt: int) -> None:
    whole = min(LONGEST_WAIT, 0.5 * 2.0 ** min(attempt, 20))
    assert whole / 2 <= backoff(key, attempt) <= whole


def test_backoff_is_the_same_in_every_process_and_differs_between_questions() -> None:
    program = "from epa_bench.judges.retry import backoff; print(repr(backoff('a', 3)))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert float(done.stdout) == backoff("a", 3)
    assert len({backoff(str(i), 3) for i in range(20)}) == 20


@given(st.text(max_size=30), st.floats(0, 4e9))
def test_whatever_a_server_sends_the_wait_is_bounded(header: str, now: float) -> None:
    seconds = retry_after(header, now)
    assert seconds is None or 0 <= seconds <= LONGEST_WAIT


def test_a_stop_ends_every_wait() -> None:
    """With the real clock: the waits would take an hour."""

    async def run() -> bool:
        gate = Gate(Clock())
        gate.hold(3600)
        waiting = [asyncio.create_task(gate.passed()), asyncio.create_task(gate.rest(3600))]
        await asyncio.sleep(0)
        gate.stop()
        passed, _ = await asyncio.gather(*waiting)
        return bool(passed)

    assert asyncio.run(run()) is False


def test_a_hold_during_a_wait_lengthens_it(fake_clock: FakeClock) -> None:
    async def run() -> None:
        gate = Gate(fake_clock.clock)
        gate.hold(5)
        gate.hold(2)
        waiting = asyncio.create_task(gate.passed())
        await asyncio.sleep(0)
        gate.hold(8)
        assert await waiting

    start = fake_clock.time
    asyncio.run(run())
    assert fake_clock.time - start >= 8
