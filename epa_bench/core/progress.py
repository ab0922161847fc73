"""Telling people how far long work is: a live view on a terminal, plain lines elsewhere. All of it on stderr."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from epa_bench.core.sweep_status import Lane, SweepStatus, time_left

_PLAIN_INTERVAL = 30.0
"""Seconds between two lines about the same cell, or the whole, where there is no live view."""


@dataclass(slots=True)
class _Running:
    label: str
    step: str
    task: TaskID
    since: float = field(default_factory=time.monotonic)
    spoken: float = field(default_factory=time.monotonic)


class SweepProgress:
    """The cells of a sweep by state, which are running and how far each is, and when it will be over.

    Cells are known by their digest: two of them may have the same label.
    """

    def __init__(
        self,
        total: int,
        cached: int,
        lanes: Mapping[str, Lane] | None = None,
        seconds: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        """`lanes`: by name, with the owed cells of each; `seconds`: step -> of cells finished earlier."""
        self._console = Console(stderr=True, highlight=False)
        self._live = self._console.is_terminal
        self._total, self._done, self._cached = total, cached, cached
        self._failed = self._undone = 0
        self._lanes = dict(lanes or {})
        self._seconds = {step: list(known) for step, known in (seconds or {}).items()}
        self._running: dict[str, _Running] = {}
        self._said: set[str] = set()
        self._start = self._spoken = time.monotonic()
        # Reports may come from another thread, the last ones of a cell after its end.
        self._lock = threading.RLock()
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

    @property
    def status(self) -> SweepStatus:
        with self._lock:
            now = time.monotonic()
            for lane in self._lanes.values():
                lane.running = {
                    digest: (step, now - self._running[digest].since) for digest, (step, _) in lane.running.items()
                }
            finished = self._done - self._cached
            return SweepStatus(
                done=self._done,
                running=len(self._running),
                waiting=self._total - self._done - len(self._running) - self._failed - self._undone,
                failed=self._failed,
                undone=self._undone,
                per_minute=60 * finished / max(now - self._start, 1e-9) if finished else None,
                left=time_left(list(self._lanes.values()), self._seconds) if self._lanes else None,
            )

    def started(self, digest: str, label: str, step: str = "", lane: str = "") -> None:
        with self._lock:
            self._running[digest] = _Running(label, step, self._progress.add_task(f"  {label}", total=None))
            if lane in self._lanes:
                self._lanes[lane].owed[step] -= 1
                self._lanes[lane].running[digest] = (step, 0.0)
            self._show()

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
        cell = self._dropped(digest)
        seconds = time.monotonic() - cell.since
        with self._lock:
            self._done += 1
            self._seconds.setdefault(cell.step, []).append(seconds)
        self._print(f"[{self._done}/{self._total}] {cell.label}: {seconds:.1f} s")
        self._show()

    def found(self, label: str, step: str, lane: str = "") -> None:
        """Another process finished it."""
        with self._lock:
            self._done += 1
            if lane in self._lanes:
                self._lanes[lane].owed[step] -= 1
        self._print(f"[{self._done}/{self._total}] {label}: computed by another process")
        self._show()

    def retried(self, digest: str, reason: str, lane: str = "") -> None:
        """Its process died; it will be started again."""
        cell = self._dropped(digest)
        with self._lock:
            if lane in self._lanes:
                self._lanes[lane].owed[cell.step] += 1
        self._print(f"again: {cell.label}: {reason}")
        self._show()

    def failed(self, digest: str, reason: str, undone: Sequence[tuple[str, str]] = ()) -> None:
        """For good; `undone`: lanes and steps of the cells that are left undone because of it."""
        cell = self._dropped(digest)
        with self._lock:
            self._failed += 1
            self._undone += len(undone)
            for lane, step in undone:
                if lane in self._lanes:
                    self._lanes[lane].owed[step] -= 1
        left = f" ({len(undone)} cells that need it are left undone)" if undone else ""
        self._print(f"failed: {cell.label}: {reason.splitlines()[0]}{left}")
        self._show()

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

    def _dropped(self, digest: str) -> _Running:
        with self._lock:
            cell = self._running.pop(digest)
            self._progress.remove_task(cell.task)
            for lane in self._lanes.values():
                lane.running.pop(digest, None)
            return cell

    def _show(self) -> None:
        """The whole: on a terminal at every change, elsewhere now and then."""
        if self._live:
            self._progress.update(self._overall, completed=self._done, description=str(self.status))
        elif self._lanes and time.monotonic() - self._spoken > _PLAIN_INTERVAL:
            self._spoken = time.monotonic()
            self._print(str(self.status))

    def _print(self, line: str) -> None:
        self._progress.console.print(line, markup=False, soft_wrap=True)
