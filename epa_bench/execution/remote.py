"""Cells on other machines: which is started when, what came of it, and which is started again.

Placing tasks on nodes is the cluster's business; it knows nothing of cells. Ray and SLURM share all of this.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from epa_bench.core.attempts import note_attempt
from epa_bench.core.cell_messages import Done, Failed, Moved, Remark, parse_message
from epa_bench.core.errors import DiskError, JudgeError, WorkerError
from epa_bench.core.progress import SweepProgress
from epa_bench.core.store import CellSpec, Store
from epa_bench.execution.cell_process import CellProcess
from epa_bench.execution.schedule import Schedule, raise_failures

RETRIES = 2
"""How often a cell is started again whose node, worker or job died. Its own errors would come again."""


@dataclass(frozen=True)
class TaskNeeds:
    """What a cell's task asks of one node."""

    cpus: int
    gpus: int

    memory_gib: float | None
    minutes: int
    """After which SLURM ends it."""


class Cluster(Protocol):
    """Where tasks run."""

    def start(self, cell: CellSpec, process: CellProcess, needs: TaskNeeds) -> None:
        """Queues a task. Raises WorkerError where the cluster refuses it."""

    def ended(self) -> Iterator[tuple[str, str]]:
        """Digests of the cells whose tasks have ended, with what the process gave or how the task died.

        Waits a second at most where there is none.
        """

    def close(self) -> None:
        """Ends the tasks that still wait or run."""


@dataclass(frozen=True)
class Orders:
    """What is asked of the cluster."""

    command: tuple[str, ...]
    """As `CellProcess.command`, but for the digest of the cell, which comes last."""

    logs: Path
    """Folder in the store."""

    needs: Mapping[str, TaskNeeds]
    threads: Mapping[str, int]
    """By digest, as `needs`."""

    alone: Collection[str]
    """Digests of cells of which one is started at a time: those that ask the judge."""

    again: Collection[str]
    """Digests of cells to compute although the store has them."""

    most: int
    """Tasks that wait or run at a time."""


def run_on_cluster(
    cells: Iterable[CellSpec],
    cluster: Cluster,
    orders: Orders,
    *,
    store: Store,
    done: Collection[str],
    progress: SweepProgress,
) -> None:
    """Runs the cells (in an order where needs come first) whose digests are not in `done`.

    A cell that fails leaves undone what needs it, and nothing else; one whose process, worker, job or node died is
    started again up to RETRIES times. Raises CellsFailedError at the end, or the bug of a cell; WorkerError where the
    cluster refuses a task.
    """
    schedule = Schedule(cells, done)
    _RemoteRun(schedule, cluster, orders, store, progress).run()
    raise_failures(schedule)


class _Task:
    """A cell that waits or runs on the cluster, and how far its log was read."""

    def __init__(self, cell: CellSpec, log: Path) -> None:
        self.cell, self._log, self._read = cell, log, 0
        self.shown = False

    def news(self) -> list[Moved | Remark | Done | Failed]:
        """Messages since the last call; a line that is being written is left for the next."""
        try:
            with self._log.open("rb") as log:
                log.seek(self._read)
                whole = log.read().rpartition(b"\n")[0]
        except FileNotFoundError:
            return []
        self._read += len(whole) + 1 if whole else 0
        messages = (parse_message(line.decode(errors="replace")) for line in whole.splitlines())
        return [message for message in messages if message is not None]

    @property
    def has_begun(self) -> bool:
        return self._log.exists()


class _RemoteRun:
    """One call of `run_on_cluster`."""

    def __init__(
        self, schedule: Schedule, cluster: Cluster, orders: Orders, store: Store, progress: SweepProgress
    ) -> None:
        self._schedule, self._cluster, self._orders, self._store = schedule, cluster, orders, store
        self._progress = progress
        self._tasks: dict[str, _Task] = {}
        self._deaths: Counter[str] = Counter()

    def run(self) -> None:
        while not self._schedule.is_over:
            self._start_ready()
            for digest, end in self._cluster.ended():
                self._ended(self._tasks.pop(digest), end)
            for task in self._tasks.values():
                self._show(task, ended=False)

    def _start_ready(self) -> None:
        orders = self._orders
        for cell in self._schedule.ready():
            waits = cell.digest in orders.alone and not self._tasks.keys().isdisjoint(orders.alone)
            if waits or len(self._tasks) >= orders.most:
                continue
            log = orders.logs / f"{cell.digest}.{self._deaths[cell.digest]}"
            needs = orders.needs[cell.digest]
            command = (*orders.command, cell.digest)
            process = CellProcess(command, str(log), orders.threads[cell.digest], gpus=needs.gpus)
            self._cluster.start(cell, process, needs)
            self._schedule.start(cell)
            self._tasks[cell.digest] = _Task(cell, log.with_name(f"{log.name}.out"))

    def _show(self, task: _Task, *, ended: bool) -> None:
        """Cells are shown as running from when they are, not from when they were queued."""
        digest = task.cell.digest
        if not task.shown and (ended or task.has_begun):
            task.shown = True
            self._progress.started(digest, task.cell.label, task.cell.step)
        for message in task.news():
            if isinstance(message, Moved):
                self._progress.moved(digest, message.done, message.total)
            elif isinstance(message, Remark):
                self._progress.notice(message.text)

    def _ended(self, task: _Task, end: str) -> None:
        """By what the cell said, and where it said nothing by what is in the store: not by the cluster's word."""
        self._show(task, ended=True)
        cell, message = task.cell, parse_message(end)
        there = self._store.has(cell) and cell.digest not in self._orders.again
        if isinstance(message, Done) or (there and not isinstance(message, Failed)):
            self._schedule.finish(cell)
            self._progress.finished(cell.digest)
        elif isinstance(message, Failed):
            self._fail(cell, message.raised())
        elif self._deaths[cell.digest] < RETRIES:
            self._deaths[cell.digest] += 1
            note_attempt(self._store.root, cell, "died", end)
            self._schedule.put_back(cell)
            self._progress.retried(cell.digest, end)
        else:
            note_attempt(self._store.root, cell, "died", end)
            self._fail(cell, WorkerError(f"died {RETRIES + 1} times; at last: {end}"))

    def _fail(self, cell: CellSpec, error: Exception) -> None:
        before = set(self._schedule.undone)
        self._schedule.fail(cell, error, lambda other: self._fails_alike(other, error))
        left = [other for digest, (other, _) in self._schedule.undone.items() if digest not in before]
        self._progress.failed(cell.digest, str(error), [("", other.step) for other in left])

    def _fails_alike(self, other: CellSpec, error: Exception) -> bool:
        """Whether a cell need not be tried: a disk fails all of them, a judge that cannot be asked all who ask it."""
        if isinstance(error, JudgeError):
            return other.digest in self._orders.alone
        return isinstance(error, DiskError)
