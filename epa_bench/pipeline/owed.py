"""What a run must do besides the cells that are not there: verdicts that failed, and sources it lacks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from epa_bench.core.store import CellSpec, Store
from epa_bench.suites.sources import Source, source_cache

ASKING = frozenset({"judged_pairs", "judged_turns"})
"""Steps that may ask a judge over the network."""


@dataclass(frozen=True)
class Standing:
    """Which of some cells are done."""

    done: set[str]
    """Digests of the cells that need not be computed."""

    again: Mapping[str, Sequence[CellSpec]]
    """Digest of a cell to compute although it is there -> the cells that were made from the old one."""


def standing(store: Store, cells: Sequence[CellSpec]) -> Standing:
    """What of the cells is there, verdicts that failed aside."""
    again = failed_verdicts(store, cells)
    outdated = {cell.digest for made_from in again.values() for cell in made_from}
    return Standing({cell.digest for cell in cells if store.has(cell)} - set(again) - outdated, again)


def failed_verdicts(store: Store, cells: Sequence[CellSpec]) -> dict[str, tuple[CellSpec, ...]]:
    """Digest of every finished cell whose judge may answer now what it failed to -> the cells made from it.

    Replies that were read are kept, so only what failed is asked again. A recording is not asked: what it lacks, it
    lacks for good.
    """
    failed = [
        cell
        for cell in cells
        if cell.step in ASKING and cell.config["judge"]["kind"] == "api" and _has_errors(store, cell)
    ]
    return {
        verdicts.digest: tuple(cell for cell in cells if verdicts.digest in {need.digest for need in cell.needs})
        for verdicts in failed
    }


def _has_errors(store: Store, cell: CellSpec) -> bool:
    return store.has(cell) and bool(json.loads(store.open(cell).file("summary.json").read_text())["errors"])


def check_sources(store: Store, cells: Sequence[CellSpec]) -> None:
    """Raises SuiteError where a source is missing: before anything is trained, not when the suite is reached."""
    for cell in cells:
        if cell.step == "texts" and not store.has(cell):
            sources = {role: Source.model_validate(source) for role, source in cell.hints["sources"].items()}
            mirror = cell.hints["mirror"]
            source_cache(Path(mirror) if mirror else None).require(sources, cell.hints["suite"])
