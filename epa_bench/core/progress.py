"""Telling people how far long work is: a live view on a terminal, plain lines elsewhere. All of it on stderr."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class SweepProgress:
    """The cells of a sweep: how many are done, which are running and how far each is."""

    def __init__(self, total: int, cached: int) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._live = self._console.is_terminal
        self._total, self._done = total, cached
        self._started: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {}
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

    def started(self, label: str) -> None:
        self._started[label] = time.monotonic()
        self._tasks[label] = self._progress.add_task(f"  {label}", total=None)

    def moved(self, label: str, done: int, total: int) -> None:
        if label in self._tasks:
            self._progress.update(self._tasks[label], completed=done, total=total)

    def finished(self, label: str) -> None:
        self._done += 1
        self._progress.update(self._overall, completed=self._done)
        self._progress.remove_task(self._tasks.pop(label))
        self._print(f"[{self._done}/{self._total}] {label}: {time.monotonic() - self._started.pop(label):.1f} s")

    def _print(self, line: str) -> None:
        self._progress.console.print(line, markup=False, soft_wrap=True)
