"""How far a sweep is: cells by state, throughput, and the time left where like cells tell it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean


@dataclass
class Lane:
    """Cells that share workers."""

    workers: int
    owed: Counter[str] = field(default_factory=Counter)
    """Step -> cells that are waiting."""

    running: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Digest -> step and seconds since its start."""


def time_left(lanes: Sequence[Lane], seconds: Mapping[str, Sequence[float]]) -> float | None:
    """Seconds until all is done, each lane's work spread over its workers; `seconds`: step -> of finished cells.

    None where a step is owed of which no cell was ever finished: nothing is guessed.
    """
    left = []
    for lane in lanes:
        steps = {step for step, count in lane.owed.items() if count} | {step for step, _ in lane.running.values()}
        if any(not seconds.get(step) for step in steps):
            return None
        means = {step: mean(seconds[step]) for step in steps}
        waiting = sum(count * means[step] for step, count in lane.owed.items() if count)
        running = [max(means[step] - elapsed, 0.0) for step, elapsed in lane.running.values()]
        # However many workers there are, the longest cell must end.
        left.append(max([(waiting + sum(running)) / lane.workers, *running]))
    return max(left, default=0.0)


@dataclass(frozen=True, slots=True)
class SweepStatus:
    """What people are told."""

    done: int
    running: int
    waiting: int
    failed: int = 0
    undone: int = 0
    """Left undone because of those that failed."""

    per_minute: float | None = None
    """Cells a minute; None before the first."""

    left: float | None = None
    """Seconds."""

    def __str__(self) -> str:
        parts = [f"{self.done} done, {self.running} running, {self.waiting} waiting"]
        if self.failed:
            parts[0] += f", {self.failed} failed"
        if self.undone:
            parts[0] += f", {self.undone} left undone because of them"
        if self.per_minute is not None:
            parts.append(f"{self.per_minute:.3g} cells/min")
        if self.running or self.waiting:
            parts.append("time left not known yet" if self.left is None else f"about {spoken(self.left)} left")
        return "; ".join(parts)


def spoken(seconds: float) -> str:
    """To the precision an estimate has."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
