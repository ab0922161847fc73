"""The worker processes of this machine: one that dies takes its own cell alone with it."""

import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Self

from epa_bench.core.store import CellSpec
from epa_bench.execution.tokens import Demand, Grant
from epa_bench.execution.worker import Ended, Moved, RunCell, Said, Worker, start_worker


class Pool:
    """Started as cells come, ended with the block: then whatever still computes is killed."""

    def __init__(self, run_cell: RunCell) -> None:
        self._run_cell = run_cell
        self._workers: list[Worker] = []
        # Workers end when its other end is closed, or its holder dies.
        self._lifeline, self._held = multiprocessing.get_context("spawn").Pipe(duplex=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._held.close()
        self._end(self._workers)
        self._held.close()
        self._lifeline.close()

    def start(self, cell: CellSpec, demand: Demand, grant: Grant) -> None:
        """In an idle process of the cell's kind with the same GPUs, or in a new one."""
        idle = (w for w in self._workers if w.cell is None and (w.kind, w.gpus) == (demand.process, grant.gpus))
        worker = None if demand.fresh else next(idle, None)
        if worker is None:
            worker = start_worker(demand, grant.gpus, self._run_cell, self._lifeline)
            self._workers.append(worker)
        worker.send(cell)

    def events(self, timeout: float | None) -> Iterator[tuple[CellSpec, Moved | Said | Ended]]:
        """What running cells say next; nothing where nothing is said in `timeout` seconds."""
        pipes = {worker.pipe: worker for worker in self._workers if worker.cell is not None}
        for pipe in wait(list(pipes), timeout):
            assert isinstance(pipe, Connection)
            worker = pipes[pipe]
            cell, message = worker.cell, worker.receive()
            assert cell is not None
            if isinstance(message, Ended):
                worker.cell = None
                if worker.fresh or not worker.process.is_alive():
                    self._end([worker])
            yield cell, message

    def end_idle(self, kinds: set[str]) -> None:
        """Ends idle processes of kinds that are not among these: nothing waits for them, and they hold memory."""
        self._end([worker for worker in self._workers if worker.cell is None and worker.kind not in kinds])

    def _end(self, workers: list[Worker]) -> None:
        for worker in workers:
            worker.end()
        for worker in list(workers):
            worker.wait()
            self._workers.remove(worker)
