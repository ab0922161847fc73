"""RUNS/NAME/cells.json: which cells a run's table was made of, and which its latest run names."""

import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from epa_bench.core.cell import Cell, read_cell
from epa_bench.core.errors import StoreError
from epa_bench.core.files import atomic_write_text
from epa_bench.core.records import Record
from epa_bench.core.store import CellSpec, Store
from epa_bench.pipeline.cells import Result

CELLS = "cells.json"


class ResultCells(Record):
    """Where the rows of a suite, arm and seed came from."""

    suite: str
    arm: str
    seed: int

    cells: tuple[str, ...]
    """Digests: the values first, then what the table reads beside them."""


class RunCells(Record):
    """`cells.json`."""

    store: str
    """Folder of the store, from the run's folder."""

    results: tuple[ResultCells, ...] = ()
    """Empty before a table was written."""

    table: dict[str, str] = Field(default_factory=dict)
    """Digest -> step of every cell that the table was made of."""

    sweep: dict[str, str] = Field(default_factory=dict)
    """Digest -> step of every cell that the sweep named when it was last run, finished or not."""


def note_sweep(folder: Path, store: Store, cells: Sequence[CellSpec]) -> None:
    """Lists the cells of a sweep that is about to run; those of its last table stay listed."""
    before = read_run_cells(folder) if (folder / CELLS).exists() else RunCells(store=_store(folder, store))
    _write(folder, before.model_copy(update={"sweep": _steps(cells)}))


def cells_behind(result: Result) -> ResultCells:
    """Where the rows of a result came from."""
    return ResultCells(
        suite=result.suite,
        arm=result.checkpoint.arm_name,
        seed=result.checkpoint.seed,
        cells=tuple(cell.digest for cell in (result.cell, *result.beside)),
    )


def note_table(folder: Path, store: Store, results: Sequence[ResultCells], cells: Sequence[CellSpec]) -> None:
    """Lists the cells of a table that was written."""
    steps = _steps(cells)
    _write(folder, RunCells(store=_store(folder, store), results=tuple(results), table=steps, sweep=steps))


def read_run_cells(folder: Path) -> RunCells:
    """Raises StoreError where the folder holds no run that lists its cells."""
    path = folder / CELLS
    try:
        return RunCells.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise StoreError(
            f"no {CELLS} in {folder}: expected the folder of a sweep's run (runs/NAME); write its table again with "
            "`epa-bench table`"
        ) from error
    except ValidationError as error:
        raise StoreError(f"{path} is damaged; delete it and write the run's table again") from error


def open_cell(folder: Path, listed: RunCells, digest: str) -> Cell:
    """A cell that a run lists. Raises StoreError where it is absent or damaged."""
    step = {**listed.sweep, **listed.table}.get(digest)
    if step is None:
        raise StoreError(f"{folder / CELLS} does not list the cell {digest}; write the run's table again")
    return read_cell(folder / listed.store / "cells" / step / digest)


def _steps(cells: Sequence[CellSpec]) -> dict[str, str]:
    return {cell.digest: cell.step for cell in cells}


def _store(folder: Path, store: Store) -> str:
    return os.path.relpath(store.root, folder)


def _write(folder: Path, cells: RunCells) -> None:
    atomic_write_text(folder / CELLS, cells.model_dump_json(indent=1) + "\n")
