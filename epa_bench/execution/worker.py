"""A worker process: takes cells from its pipe until the pipe is closed, and says how they end."""

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from epa_bench.core.errors import EpaBenchError, WorkerError
from epa_bench.core.notices import forward_notices
from epa_bench.core.store import CellSpec
from epa_bench.execution.device import worker_threads
from epa_bench.execution.launcher import forget_launcher
from epa_bench.execution.lifeline import end_with_parent
from epa_bench.execution.tokens import Demand

RunCell = Callable[[CellSpec, Callable[[int, int], None]], None]
"""Computes one cell, in a worker process; picklable."""


@dataclass(frozen=True)
class Moved:
    done: int
    total: int


@dataclass(frozen=True)
class Said:
    notice: str


@dataclass(frozen=True)
class Ended:
    error: Exception | None
    """RuntimeError with the worker's traceback for a bug, WorkerError where the process died."""


@dataclass
class Worker:
    """The driver's side. Idle where `cell` is None."""

    kind: str
    gpus: tuple[str, ...]
    fresh: bool
    """For one cell."""

    process: BaseProcess
    pipe: Connection
    cell: CellSpec | None = None

    def send(self, cell: CellSpec) -> None:
        """A worker that died meanwhile is found where its messages are read."""
        self.cell = cell
        try:
            self.pipe.send(cell)
        except (BrokenPipeError, ConnectionResetError):
            return

    def receive(self) -> Moved | Said | Ended:
        """The next message, waited for."""
        try:
            message: Moved | Said | Ended = self.pipe.recv()
        except Exception:
            # The pipe is closed, or what came was torn by a kill.
            self.process.kill()
            self.process.join()
            return Ended(WorkerError(_death(self.process.exitcode or 0)))
        return message

    def end(self) -> None:
        """Kills one that computes; an idle one leaves by itself, and ends the processes it started."""
        if self.cell is not None:
            self.process.kill()
        self.pipe.close()

    def wait(self) -> None:
        """Until it has ended."""
        self.process.join(timeout=10)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()


def start_worker(demand: Demand, gpus: tuple[str, ...], run_cell: RunCell, lifeline: Connection) -> Worker:
    """Spawned, not forked: CUDA and threads do not survive a fork."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    arguments = (run_cell, theirs, lifeline, gpus, worker_threads())
    process = context.Process(target=_work, args=arguments, name=f"epa-bench {demand.process}")
    process.start()
    # The worker now has the only other end, which closes with it.
    theirs.close()
    return Worker(demand.process, gpus, demand.fresh, process, ours)


def _death(code: int) -> str:
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"a worker process died ({how}; the system kills where memory runs out)"


def _work(run_cell: RunCell, pipe: Connection, lifeline: Connection, gpus: tuple[str, ...], threads: int) -> None:
    # Ctrl-C is the driver's to handle.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(lifeline)
    forget_launcher()
    # Before torch is imported. Two processes with a thread for every core each are many times slower than one.
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Notices and reports may come from any thread of a step.
    lock = threading.Lock()

    def tell(message: Any) -> None:
        with lock:
            pipe.send(message)

    forward_notices(lambda text: tell(Said(text)))
    while (cell := _next(pipe)) is not None:
        tell(Ended(_compute(run_cell, cell, tell)))


def _next(pipe: Connection) -> CellSpec | None:
    try:
        cell: CellSpec = pipe.recv()
    except EOFError:
        return None
    return cell


def _compute(run_cell: RunCell, cell: CellSpec, tell: Callable[[Any], None]) -> Exception | None:
    try:
        run_cell(cell, lambda done, total: tell(Moved(done, total)))
    except EpaBenchError as error:
        return error
    except Exception:
        return RuntimeError(f"{cell.label or cell.step}:\n{traceback.format_exc()}")
    return None
