"""Telling people how far long work is: a live view on a terminal, plain lines elsewhere. All of it on stderr."""

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

_PLAIN_INTERVAL = 30.0
"""Seconds between two lines about the same cell where there is no live view."""


@dataclass(slots=True)
class _Running:
    label: str
    task: TaskID
    since: float = field(default_factory=time.monotonic)
    spoken: float = field(default_factory=time.monotonic)


class SweepProgress:
    """The cells of a sweep: how many are done, which are running and how far each is.

    Cells are known by their digest: two of them may have the same label.
    """

    def __init__(self, total: int, cached: int) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._live = self._console.is_terminal
        self._total, self._done = total, cached
        self._running: dict[str, _Running] = {}
        self._said: set[str] = set()
        # Reports come from a thread of their own, the last ones of a cell often after its end.
        self._lock = threading.Lock()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._live,
        )
        self._overall = self._progress.add_task("cells", total=total, completed=cached)

    def __enter__(self) -> Self:
        self._progress.start()
        if self._done:
            self._print(f"{self._done} of {self._total} cells are in the store already")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def started(self, digest: str, label: str, step: str = "") -> None:
        with self._lock:
            self._running[digest] = _Running(label, self._progress.add_task(f"  {label}", total=None))

    def moved(self, digest: str, done: int, total: int) -> None:
        """A report of a cell that is not running any more is ignored."""
        with self._lock:
            cell = self._running.get(digest)
            if cell is None:
                return
            self._progress.update(cell.task, completed=done, total=total)
            if not self._live and time.monotonic() - cell.spoken > _PLAIN_INTERVAL:
                cell.spoken = time.monotonic()
                self._print(f"    {cell.label}: {done} of {total}")

    def finished(self, digest: str) -> None:
        with self._lock:
            cell = self._running.pop(digest)
            self._progress.remove_task(cell.task)
            self._done += 1
            self._progress.update(self._overall, completed=self._done)
        self._print(f"[{self._done}/{self._total}] {cell.label}: {time.monotonic() - cell.since:.1f} s")

    def found(self, digest: str, label: str) -> None:
        """Another process finished it."""
        with self._lock:
            self._done += 1
            self._progress.update(self._overall, completed=self._done)
        self._print(f"[{self._done}/{self._total}] {label}: computed by another process")

    def retried(self, digest: str, reason: str) -> None:
        """Its process died; it will be started again."""
        self._print(f"again: {self._dropped(digest).label}: {reason}")

    def failed(self, digest: str, reason: str, undone: int) -> None:
        """For good; `undone`: how many cells are left undone because of it."""
        left = f" ({undone} cells that need it are left undone)" if undone else ""
        self._print(f"failed: {self._dropped(digest).label}: {reason.splitlines()[0]}{left}")

    def _dropped(self, digest: str) -> _Running:
        with self._lock:
            cell = self._running.pop(digest)
            self._progress.remove_task(cell.task)
            return cell

    def say(self, line: str) -> None:
        """A line of information."""
        self._print(line)

    def notice(self, message: str) -> None:
        """A remark of a worker, above the live view. Several cells may find the same: it is shown once."""
        with self._lock:
            if message in self._said:
                return
            self._said.add(message)
        self._print(f"warning: {message}")

    def _print(self, line: str) -> None:
        self._progress.console.print(line, markup=False, soft_wrap=True)
