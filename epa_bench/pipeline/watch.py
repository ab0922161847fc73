"""How a sweep stands, from the files it leaves: any process that sees them can tell, and disturbs nobody."""

import time
from collections import Counter
from pathlib import Path

from epa_bench.core.attempts import Attempt, read_attempts
from epa_bench.core.cell import MANIFEST
from epa_bench.core.lock import seen_owner
from epa_bench.core.records import Finite, Record
from epa_bench.core.sweep_status import Lane, SweepStatus, time_left
from epa_bench.pipeline.durations import seconds_of_steps
from epa_bench.pipeline.owed import ASKING
from epa_bench.pipeline.run_cells import read_run_cells
from epa_bench.training.log_files import read_live_log

_CURVES = ("loss", "rewards/margins")
_WINDOW = 600.0
"""Seconds whose finished cells are the throughput."""


class WatchedCell(Record):
    """A cell that a process computes now."""

    label: str
    step: str
    owner: str
    seconds: Finite
    """Since its start, by the clock of the machine that computes it."""

    curves: dict[str, tuple[Finite, ...]]
    """Of a training: metric -> its value at every step so far."""


class FailedCell(Record):
    """A cell whose last attempt failed and that nobody computes now."""

    label: str
    step: str
    digest: str
    reason: str


class Watched(Record):
    """A sweep at one moment."""

    run: str
    done: int
    waiting: int
    """Also those that need a failed one, or that a killed run left."""

    running: tuple[WatchedCell, ...]
    failed: tuple[FailedCell, ...]
    per_minute: Finite | None
    left: Finite | None
    """Seconds; None where nothing runs, or a step is owed of which no cell was ever finished."""

    retry: str
    """The command that goes on with what is owed."""

    @property
    def is_over(self) -> bool:
        return not self.running and not self.waiting and not self.failed

    def __str__(self) -> str:
        return str(
            SweepStatus(
                done=self.done,
                running=len(self.running),
                waiting=self.waiting,
                failed=len(self.failed),
                per_minute=self.per_minute,
                left=self.left,
            )
        )


def watch(folder: Path) -> Watched:
    """The sweep whose run is in `folder`. Raises StoreError where there is none."""
    listed = read_run_cells(folder)
    root = folder / listed.store
    steps = listed.sweep
    attempts = [attempt for attempt in read_attempts(root) if attempt.digest in steps]
    last = {attempt.digest: attempt for attempt in attempts}
    running: dict[str, WatchedCell] = {}
    done, failed = set(), []
    for digest, step in steps.items():
        owner = seen_owner(root / "locks", digest)
        if (root / "cells" / step / digest / MANIFEST).is_file():
            done.add(digest)
        elif owner is not None:
            running[digest] = _running(root, step, digest, last.get(digest), str(owner))
        elif digest in last and last[digest].event in ("failed", "died"):
            attempt = last[digest]
            failed.append(FailedCell(label=attempt.label, step=step, digest=digest, reason=attempt.reason or ""))
    ended = {*done, *(cell.digest for cell in failed)}
    waiting = Counter(step for digest, step in steps.items() if digest not in running and digest not in ended)
    return Watched(
        run=folder.name,
        done=len(done),
        waiting=waiting.total(),
        running=tuple(running.values()),
        failed=tuple(failed),
        per_minute=_per_minute(attempts) if running else None,
        left=_left(root, waiting, running) if running else None,
        retry=f"epa-bench run {folder / 'sweep.yaml'}",
    )


def _running(root: Path, step: str, digest: str, attempt: Attempt | None, owner: str) -> WatchedCell:
    rows = read_live_log(root / "staging" / f"{step}-{digest}")
    return WatchedCell(
        label=attempt.label if attempt is not None else digest[:12],
        step=step,
        owner=owner,
        # Clocks differ between machines.
        seconds=max(time.time() - attempt.time, 0.0) if attempt is not None else 0.0,
        curves={name: tuple(row[name] for row in rows if name in row) for name in _CURVES if rows and name in rows[-1]},
    )


def _per_minute(attempts: list[Attempt]) -> float | None:
    now = time.time()
    recent = [attempt for attempt in attempts if now - attempt.time < _WINDOW]
    finished = sum(attempt.event == "done" for attempt in recent)
    return 60 * finished / max(now - recent[0].time, 1.0) if finished else None


def _left(root: Path, waiting: Counter[str], running: dict[str, WatchedCell]) -> float | None:
    lanes = [Lane(1), Lane(max(1, sum(cell.step not in ASKING for cell in running.values())))]
    for step, count in waiting.items():
        lanes[step not in ASKING].owed[step] = count
    for digest, cell in running.items():
        lanes[cell.step not in ASKING].running[digest] = (cell.step, cell.seconds)
    return time_left(lanes, seconds_of_steps(root, {*waiting, *(cell.step for cell in running.values())}))
