"""What of a run's table would be otherwise today: another suite version, data, setting or code than its cells had."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from epa_bench.core.errors import StoreError
from epa_bench.core.store import CellSpec
from epa_bench.leaderboard.board import ArmResult, Leaderboard
from epa_bench.pipeline.explain import Origin, chain, compared_with_today
from epa_bench.pipeline.run_cells import CELLS, ResultCells, RunCells, read_run_cells
from epa_bench.suites.registry import Registry

_SHOWN = 3

Stale = Mapping[tuple[str, str], tuple[str, ...]]
"""(suite, arm) -> what changed since its cells were computed, the first few and a count."""


def stale_results(folder: Path, suites: Registry) -> tuple[Stale, list[str]]:
    """The stale results of a run, and why they are not known, if so. An import has no cells, so none is stale.

    Raises StoreError where the run's list of cells is damaged.
    """
    if not (folder / CELLS).exists():
        return {}, []
    listed = read_run_cells(folder)
    today, unchecked = compared_with_today(folder, suites)
    found: dict[tuple[str, str], dict[str, None]] = {}
    for result in listed.results:
        now = today.get((result.suite, result.arm, result.seed), ())
        if now and tuple(cell.digest for cell in now if cell is not None) != result.cells:
            changed = _changes(folder, listed, result, today)
            found.setdefault((result.suite, result.arm), {}).update(dict.fromkeys(changed))
    return {key: _few(list(changes)) for key, changes in found.items()}, unchecked


def _changes(
    folder: Path, listed: RunCells, result: ResultCells, today: Mapping[Origin, Sequence[CellSpec | None]]
) -> list[str]:
    try:
        links = chain(folder, listed, [result], today)
    except StoreError:
        return ["its cells have other addresses, and are gone from the store, so what changed is not known"]
    return [change for link in links.values() for change in link.stale]


def mark_stale(board: Leaderboard, stale: Stale) -> Leaderboard:
    """The board with the arms of those results marked."""

    def marked(suite: str, result: ArmResult) -> ArmResult:
        return result.model_copy(update={"stale": stale.get((suite, result.arm), ())})

    tables = (
        table.model_copy(update={"arms": tuple(marked(table.suite, result) for result in table.arms)})
        for table in board.tables
    )
    return board.model_copy(update={"tables": tuple(tables)})


def _few(changes: list[str]) -> tuple[str, ...]:
    more = len(changes) - _SHOWN
    return (*changes[:_SHOWN], *[f"and {more} more, see `epa-bench explain`"] * (more > 0))
