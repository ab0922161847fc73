"""Which cells may start, which ended how, and which are left undone because of another. Nothing is run here."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from epa_bench.core.errors import CellsFailedError, EpaBenchError
from epa_bench.core.store import CellSpec


@dataclass(frozen=True, slots=True)
class Failure:
    """A cell that failed for good."""

    cell: CellSpec
    error: Exception


class Schedule:
    """The owed cells of a sweep. `cells`: in an order where needs come first, closed under needs."""

    def __init__(self, cells: Iterable[CellSpec], done: Collection[str]) -> None:
        self._waiting = {cell.digest: cell for cell in cells if cell.digest not in done}
        self._missing: dict[str, set[str]] = {}
        self._needed_by: dict[str, list[str]] = {}
        for digest, cell in self._waiting.items():
            self._missing[digest] = {need.digest for need in cell.needs if need.digest not in done}
            for need in self._missing[digest]:
                self._needed_by.setdefault(need, []).append(digest)
        self._running: set[str] = set()
        self._ready = {digest: cell for digest, cell in self._waiting.items() if not self._missing[digest]}
        self._open = set(self._waiting)
        self.failures: list[Failure] = []
        self.undone: dict[str, tuple[CellSpec, CellSpec]] = {}
        """Digest -> a cell that is left undone, and the failed one because of which."""

    @property
    def is_over(self) -> bool:
        return not self._waiting and not self._running

    @property
    def waiting(self) -> Collection[CellSpec]:
        """Not started yet."""
        return self._waiting.values()

    def ready(self) -> Iterator[CellSpec]:
        """Whose needs are done, in the given order; a cell may be started while it is given."""
        yield from list(self._ready.values())

    def has_ended(self, digests: frozenset[str]) -> bool:
        """Whether none of them is waiting or running."""
        return self._open.isdisjoint(digests)

    def start(self, cell: CellSpec) -> None:
        del self._waiting[cell.digest], self._ready[cell.digest]
        self._running.add(cell.digest)

    def put_back(self, cell: CellSpec) -> None:
        """A running cell is to be started again."""
        self._running.remove(cell.digest)
        self._waiting[cell.digest] = self._ready[cell.digest] = cell

    def finish(self, cell: CellSpec) -> None:
        self._end(cell.digest)
        for digest in self._needed_by.get(cell.digest, ()):
            self._missing[digest].discard(cell.digest)
            if not self._missing[digest] and digest in self._waiting:
                self._ready[digest] = self._waiting[digest]

    def fail(self, cell: CellSpec, error: Exception, alike: Callable[[CellSpec], bool]) -> None:
        """Leaves undone what needs the cell, and the waiting cells of which `alike` says that they would fail alike."""
        self._end(cell.digest)
        self.failures.append(Failure(cell, error))
        self._leave_needing(cell.digest, cell)
        for other in [other for other in self._waiting.values() if alike(other)]:
            self._leave(other, cell)

    def _leave_needing(self, digest: str, failed: CellSpec) -> None:
        for needing in self._needed_by.get(digest, ()):
            if needing in self._waiting:
                self._leave(self._waiting[needing], failed)

    def _leave(self, cell: CellSpec, failed: CellSpec) -> None:
        if cell.digest in self.undone:
            return
        self._end(cell.digest)
        self.undone[cell.digest] = (cell, failed)
        self._leave_needing(cell.digest, failed)

    def _end(self, digest: str) -> None:
        self._waiting.pop(digest, None)
        self._ready.pop(digest, None)
        self._running.discard(digest)
        self._open.discard(digest)


def raise_failures(schedule: Schedule) -> None:
    """Raises CellsFailedError that names what failed and what was left undone; a bug as it was, with its traceback."""
    failures = schedule.failures
    if not failures:
        return
    bug = next((failure.error for failure in failures if not isinstance(failure.error, EpaBenchError)), None)
    if bug is not None:
        raise bug
    lines = [f"{len(failures)} cell{'s' * (len(failures) > 1)} failed; everything that does not need them is done."]
    for failure in failures:
        lines.append(f"{failure.cell.label or failure.cell.step}: {failure.error}")
        left = [cell.label or cell.step for cell, because in schedule.undone.values() if because is failure.cell]
        if left:
            lines.append(f"  left undone because of it: {_listed(left)}")
    lines.append("Finished cells are kept: run the same command again to go on with the rest.")
    codes = [failure.error.exit_code for failure in failures if isinstance(failure.error, EpaBenchError)]
    raise CellsFailedError("\n".join(lines), codes)


def _listed(labels: list[str]) -> str:
    shown = ", ".join(labels[:8])
    return shown if len(labels) <= 8 else f"{shown} and {len(labels) - 8} more"
