"""Margins over the versions of a leaderboard, and what else changed between two of them."""

from collections.abc import Iterator, Sequence

from epa_bench.core.errors import DataError
from epa_bench.core.metric import MetricInfo
from epa_bench.core.records import Record
from epa_bench.leaderboard.board import REFERENCE_METHOD, Leaderboard, Margin, MetricTable
from epa_bench.leaderboard.cells import margin_cells
from epa_bench.leaderboard.history import BoardVersion


class TrendPoint(Record):
    """An arm's margin on one metric, in one version."""

    suite: str
    metric: str
    arm: str
    number: int
    """Of the version, from 0."""

    version: str
    date: str
    info: MetricInfo
    margin: Margin

    changed: str
    """What else differs from the version before, so that a change may not be the methods'; empty for nothing known."""

    def shown(self) -> dict[str, str]:
        """As a line of a table for people."""
        margin, mde, counted = margin_cells(self.margin, self.info)
        return {
            "suite · metric": f"{self.suite} · {self.info.label}",
            "arm": self.arm,
            "version": self.version,
            "date": self.date[:10],
            "margin": margin,
            "MDE": mde,
            "prompts x seeds": counted,
            "changed": self.changed,
        }


class Trend(Record):
    """All margins asked for, by metric and arm, oldest version first."""

    points: tuple[TrendPoint, ...]

    unreadable: tuple[str, ...]
    """Versions that this program cannot read."""


def trend_of(
    versions: Sequence[BoardVersion], *, suite: str | None = None, metric: str | None = None, arm: str | None = None
) -> Trend:
    """By default the headline metrics of the newest version, or all where it has none.

    Raises DataError where no version can be read, or none has a margin of that suite, metric and arm.
    """
    read = [(version, version.board) for version in versions if version.board is not None]
    unreadable = tuple(version.label for version in versions if version.board is None)
    if not read:
        raise DataError(f"none of the {len(versions)} versions is a leaderboard that this program can read")
    headline = {(t.suite, t.metric) for t in read[-1][1].tables if t.info.headline} if metric is None else set()
    points = [
        point
        for number, (version, board) in enumerate(read)
        for point in _points(number, version, board, read[number - 1][1] if number else None)
        if (not headline or (point.suite, point.metric) in headline)
        and (suite or point.suite, metric or point.metric, arm or point.arm) == (point.suite, point.metric, point.arm)
    ]
    if not points:
        asked = ", ".join(name for name in (suite, metric, arm) if name) or "a candidate"
        known = sorted({f"{t.suite} {t.metric}" for t in read[-1][1].tables})
        raise DataError(f"no version has a margin of {asked}; the newest has {', '.join(known)}")
    points.sort(key=lambda point: (point.suite, point.metric, point.arm))
    return Trend(points=tuple(points), unreadable=unreadable)


def _points(number: int, version: BoardVersion, board: Leaderboard, before: Leaderboard | None) -> Iterator[TrendPoint]:
    for table in board.tables:
        for result in table.arms:
            if result.margin is None or result.method == REFERENCE_METHOD:
                continue
            yield TrendPoint(
                suite=table.suite,
                metric=table.metric,
                arm=result.arm,
                number=number,
                version=version.label,
                date=version.date,
                info=table.info,
                margin=result.margin,
                changed="; ".join(_changes(board, before, table)),
            )


def _changes(board: Leaderboard, before: Leaderboard | None, table: MetricTable) -> Iterator[str]:
    """Versions of packages and data, the judge, and what the notes state of data, training and suite."""
    if before is None:
        return
    for name in sorted({*board.versions, *before.versions}):
        was, now = before.versions.get(name, "none"), board.versions.get(name, "none")
        if was != now:
            yield f"{name} {was} to {now}"
    old = next((t for t in before.tables if (t.suite, t.metric) == (table.suite, table.metric)), None)
    if old is not None and old.judge != table.judge:
        yield f"judge {old.judge} to {table.judge}"
    for what, start in (("data", "Data: "), ("training", "Training: "), ("suite settings", f"{table.suite}: ")):
        if _notes(board, start) != _notes(before, start):
            yield what


def _notes(board: Leaderboard, start: str) -> list[str]:
    return [note for note in board.notes if note.startswith(start)]
