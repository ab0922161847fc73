"""This machine: worker processes, each cell in one of them as soon as what it needs is done and what it takes is free.

On CPU workers live for many cells, because importing torch takes longer than most of them; a cell that takes a GPU gets
a process of its own.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from epa_bench.core.attempts import note_attempt
from epa_bench.core.errors import DiskError, JudgeError, WorkerError
from epa_bench.core.files import storage_errors
from epa_bench.core.lock import CellLock, Owner
from epa_bench.core.progress import SweepProgress
from epa_bench.core.store import CellSpec, Store
from epa_bench.execution.pool import Pool
from epa_bench.execution.schedule import Schedule, raise_failures
from epa_bench.execution.tokens import Demand, Grant, Tokens
from epa_bench.execution.worker import Moved, RunCell, Said

Stamp = tuple[int, int] | None
"""Of a cell in the store."""

RETRIES = 2
"""How often a cell is started again whose process died. Its own errors would come again."""

_LOOK = 1.0
"""Seconds between two looks at cells that other processes compute."""


def run_cells(
    cells: Iterable[CellSpec],
    run_cell: RunCell,
    *,
    store: Store,
    done: Collection[str],
    again: Mapping[str, Stamp] | None = None,
    demands: Mapping[str, Demand],
    tokens: Tokens,
    progress: SweepProgress,
) -> None:
    """Runs the cells (in an order where needs come first) whose digests are not in `done`.

    `again`: digest of a cell to run although the store has it -> its stamp; `demands`: by digest. What another process
    computes is waited for. A cell that fails leaves undone what needs it, and nothing else; one whose process died is
    started again up to RETRIES times. Raises CellsFailedError at the end, or the bug of a cell.
    """
    schedule = Schedule(cells, done)
    if schedule.is_over:
        return
    with Pool(run_cell) as pool:
        _LocalRun(schedule, pool, store, again or {}, demands, tokens, progress).run()
    raise_failures(schedule)


class _LocalRun:
    """One call of `run_cells`."""

    def __init__(
        self,
        schedule: Schedule,
        pool: Pool,
        store: Store,
        again: Mapping[str, Stamp],
        demands: Mapping[str, Demand],
        tokens: Tokens,
        progress: SweepProgress,
    ) -> None:
        self._schedule, self._pool, self._store, self._again = schedule, pool, store, again
        self._demands, self._tokens, self._progress = demands, tokens, progress
        self._grants: dict[str, Grant] = {}
        self._deaths: Counter[str] = Counter()
        self._elsewhere: dict[str, CellLock] = {}
        """By digest, the locks of cells that other processes compute."""

    def run(self) -> None:
        while not self._schedule.is_over:
            while self._start_ready():
                continue
            if self._schedule.is_over:
                return
            assert self._grants or self._elsewhere, "cells wait, and nothing runs that they could wait for"
            for cell, message in self._pool.events(_LOOK if self._elsewhere else None):
                if isinstance(message, Moved):
                    self._progress.moved(cell.digest, message.done, message.total)
                elif isinstance(message, Said):
                    self._progress.notice(message.notice)
                else:
                    self._ended(cell, message.error)

    def _start_ready(self) -> bool:
        """Starts what can be started; True where another process finished a cell, so that there may be more."""
        finished = False
        for cell in self._schedule.ready():
            demand = self._demands[cell.digest]
            grant = self._tokens.take(demand) if self._schedule.has_ended(demand.after) else None
            if grant is None:
                continue
            if self._is_done(cell) or self._is_elsewhere(cell):
                self._tokens.give(grant)
                if cell.digest not in self._elsewhere:
                    finished = True
                    self._schedule.finish(cell)
                    self._progress.found(cell.label, cell.step, demand.process)
                    self._end_idle()
                continue
            self._schedule.start(cell)
            self._grants[cell.digest] = grant
            self._progress.started(cell.digest, cell.label, cell.step, demand.process)
            self._pool.start(cell, demand, grant)
        return finished

    def _is_done(self, cell: CellSpec) -> bool:
        """Whether another process finished it since this one looked first."""
        stamp = self._store.stamp(cell)
        if stamp is None or stamp == self._again.get(cell.digest):
            return False
        self._elsewhere.pop(cell.digest, None)
        return True

    def _is_elsewhere(self, cell: CellSpec) -> bool:
        with storage_errors(self._store.root):
            lock = self._elsewhere.get(cell.digest) or self._store.lock(cell)
            owner: Owner | None = lock.holder()
        if owner is None:
            self._elsewhere.pop(cell.digest, None)
            return False
        if cell.digest not in self._elsewhere:
            self._progress.say(f"{cell.label or cell.step} is being computed by {owner}; waiting for it")
        self._elsewhere[cell.digest] = lock
        return True

    def _ended(self, cell: CellSpec, error: Exception | None) -> None:
        self._tokens.give(self._grants.pop(cell.digest))
        if error is None:
            self._schedule.finish(cell)
            self._progress.finished(cell.digest)
        elif isinstance(error, WorkerError) and self._deaths[cell.digest] < RETRIES:
            self._deaths[cell.digest] += 1
            note_attempt(self._store.root, cell, "died", str(error))
            self._schedule.put_back(cell)
            self._progress.retried(cell.digest, str(error), self._demands[cell.digest].process)
        else:
            if isinstance(error, WorkerError):
                note_attempt(self._store.root, cell, "died", str(error))
            before = set(self._schedule.undone)
            self._schedule.fail(cell, error, lambda other: self._fails_alike(other, cell, error))
            left = [other for digest, (other, _) in self._schedule.undone.items() if digest not in before]
            undone = [(self._demands[other.digest].process, other.step) for other in left]
            self._progress.failed(cell.digest, str(error), undone)
        self._end_idle()

    def _end_idle(self) -> None:
        self._pool.end_idle({self._demands[waiting.digest].process for waiting in self._schedule.waiting})

    def _fails_alike(self, other: CellSpec, cell: CellSpec, error: Exception) -> bool:
        """Whether a cell need not be tried: a disk fails all of them, a judge that cannot be asked all who ask it."""
        if isinstance(error, JudgeError):
            return self._demands[other.digest].process == self._demands[cell.digest].process
        return isinstance(error, DiskError)
