"""One cell on several processes (ranks), each running the same body.

Ranks find in their environment what torchrun would give them (RANK, WORLD_SIZE, ...), with a file to meet at in place
of a port: between choosing a free port and using it, another process may take it. torchrun itself is not used because
only its log says which rank died and how, and because it takes over the signals of the process it runs in.
"""

import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from epa_bench.core.errors import EpaBenchError, WorkerError
from epa_bench.core.notices import forward_notices, notice
from epa_bench.execution.device import worker_threads
from epa_bench.execution.lifeline import end_with_parent

Body = Callable[[Callable[[int, int], None]], None]
"""body(report): the work of a rank; picklable."""

_GRACE = 5.0
"""Seconds in which the death of another rank can still explain an error: those left behind find a broken connection."""


@dataclass(frozen=True)
class _Notice:
    text: str


@dataclass(frozen=True)
class _Bug:
    traceback: str


@dataclass(frozen=True)
class _Rank:
    number: int
    process: BaseProcess
    inbox: Connection

    def receive(self) -> Any:
        """A message; None when the process has ended."""
        try:
            return self.inbox.recv()
        except (EOFError, OSError):
            self.process.join()
            return None


def run_on_ranks(body: Body, count: int, report: Callable[[int, int], None]) -> None:
    """Runs the body on `count` ranks side by side; the first one's reports reach `report`, its notices are given here.

    A rank that fails or dies ends the others. Raises what it raised, WorkerError where it was killed, RuntimeError
    with its traceback for a bug.
    """
    context = multiprocessing.get_context("spawn")
    lifeline, held = context.Pipe(duplex=False)
    ranks: list[_Rank] = []
    with TemporaryDirectory(prefix="epa-bench-ranks-") as folder:
        try:
            for number in range(count):
                inbox, outbox = context.Pipe(duplex=False)
                environment = _environment(number, count, Path(folder))
                process = context.Process(target=_run_rank, args=(body, environment, lifeline, outbox))
                process.start()
                # The rank now has the only other end, which closes with it.
                outbox.close()
                ranks.append(_Rank(number, process, inbox))
            _follow(ranks, report)
        finally:
            # After a failure the others wait for messages that will not come. What they wrote is sealed or worthless.
            for rank in ranks:
                rank.process.kill()
                rank.process.join()
                rank.inbox.close()
            held.close()
            lifeline.close()


def _environment(number: int, count: int, folder: Path) -> dict[str, str]:
    return {
        "RANK": str(number),
        "LOCAL_RANK": str(number),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        # Read by training/distributed.py, which cannot be imported here without torch.
        "EPA_BENCH_RENDEZVOUS": str(folder / "rendezvous"),
        # Ranks of one machine; its name may resolve to nothing, or to a network that is filtered.
        "GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME", "lo"),
        "OMP_NUM_THREADS": str(worker_threads(count)),
    }


def _follow(ranks: Sequence[_Rank], report: Callable[[int, int], None]) -> None:
    """Until all have ended, or the first has failed."""
    waiting = {rank.inbox: rank for rank in ranks}
    bug: RuntimeError | None = None
    while waiting and (ready := wait(list(waiting), timeout=None if bug is None else _GRACE)):
        for rank in [waiting[inbox] for inbox in ready if isinstance(inbox, Connection)]:
            message = rank.receive()
            if isinstance(message, EpaBenchError):
                raise message
            if isinstance(message, _Bug):
                bug = bug or RuntimeError(f"rank {rank.number} of {len(ranks)}:\n{message.traceback}")
            elif isinstance(message, _Notice):
                notice(message.text)
            elif message is not None:
                report(*message)
            else:
                del waiting[rank.inbox]
                code = rank.process.exitcode or 0
                if code < 0 or (code > 0 and bug is None):
                    raise _death(rank.number, len(ranks), code)
    if bug is not None:
        raise bug


def _death(number: int, count: int, code: int) -> WorkerError:
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return WorkerError(
        f"rank {number} of {count} died ({how}). Finished cells and the training's last checkpoint are kept: run the "
        "same command again, with a smaller batch if memory ran out."
    )


def _run_rank(body: Body, environment: dict[str, str], lifeline: Connection, outbox: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(lifeline)
    os.environ.update(environment)
    first = environment["RANK"] == "0"
    forward_notices(lambda text: outbox.send(_Notice(text)) if first else None)
    try:
        body(lambda done, total: outbox.send((done, total)) if first else None)
    except EpaBenchError as error:
        outbox.send(error)
        sys.exit(1)
    except Exception:
        # It may be a bug or the echo of another rank's death: the parent knows, and tells.
        outbox.send(_Bug(traceback.format_exc()))
        sys.exit(1)
