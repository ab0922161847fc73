"""A run as the page reads it: its table, its rows, and the cells they were made of. Read from disk, never computed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from epa_bench.config.yaml12 import read_document
from epa_bench.core.cell import Cell
from epa_bench.core.errors import ConfigError, StoreError
from epa_bench.leaderboard.board import Leaderboard
from epa_bench.leaderboard.run_files import BOARD, read_run
from epa_bench.pipeline.run_cells import CELLS, ResultCells, RunCells, open_cell, read_run_cells

_TABLE_FILES = (".json", ".md", ".csv")


@dataclass(frozen=True)
class LoadedRun:
    """A run, or a leaderboard without its run."""

    name: str
    board: Leaderboard

    folder: Path | None = None
    """RUNS/NAME; None where there is only the table."""

    rows: pd.DataFrame | None = None
    """The long table of `leaderboard.rows.score_frame`; None without a folder."""

    listed: RunCells | None = None
    """None for an import, whose table was made of no cells."""

    sweep: Mapping[str, Any] | None = None
    """The resolved configuration; None for an import."""

    remarks: tuple[str, ...] = ()
    """What does not agree."""

    def results(self) -> tuple[ResultCells, ...]:
        """Which cells the rows of a suite, arm and seed came from; none for an import."""
        return self.listed.results if self.listed else ()

    def open(self, digest: str) -> Cell:
        """A cell that the run lists. Raises StoreError where it is absent or damaged."""
        cell = self._opened.get(digest)
        if cell is None:
            if self.folder is None or self.listed is None:
                raise StoreError(f"{self.name} has no cells on this machine")
            cell = self._opened[digest] = open_cell(self.folder, self.listed, digest)
        return cell

    def input_of(self, cell: Cell, name: str) -> Cell | None:
        """What a cell read under this name, or None. Raises StoreError as `open`."""
        digest = cell.manifest.recipe["inputs"].get(name)
        return None if digest is None else self.open(digest)

    def cells_of(self, step: str) -> Iterator[Cell]:
        """The finished cells of the table that a step computed. Raises StoreError as `open`."""
        for digest, of in (self.listed.table if self.listed else {}).items():
            if of == step:
                yield self.open(digest)

    @cached_property
    def _opened(self) -> dict[str, Cell]:
        return {}


def load_run(place: Path, runs: Path) -> LoadedRun:
    """`place`: a run's folder, or a leaderboard's file (NAME.json, .md or .csv), whose run is `runs`/NAME if it exists.

    Raises StoreError where there is no finished table, ConfigError for another kind of file, DataError for damaged
    rows.
    """
    if place.is_dir():
        return _run(place)
    if place.suffix not in _TABLE_FILES:
        raise ConfigError(
            f"{place}: expected the folder of a run (runs/NAME) or a leaderboard (leaderboards/NAME.json), which is "
            "there once `epa-bench run` or `epa-bench table` wrote it"
        )
    path = place.with_suffix(".json")
    board = _board(path)
    folder = runs / place.stem
    if not (folder / BOARD).is_file():
        return LoadedRun(place.stem, board, remarks=(f"{folder} is not here: only what {path} holds is shown",))
    if path.read_bytes() != (folder / BOARD).read_bytes():
        other = f"{folder} has another table than {path}: stale, or of another run; only the table is shown"
        return LoadedRun(place.stem, board, remarks=(other,))
    return _run(folder)


def _run(folder: Path) -> LoadedRun:
    rows, board = read_run(folder)
    sweep = folder / "sweep.yaml"
    return LoadedRun(
        name=folder.resolve().name,
        board=board,
        folder=folder,
        rows=rows,
        listed=read_run_cells(folder) if (folder / CELLS).is_file() else None,
        sweep=read_document(sweep).data if sweep.is_file() else None,
    )


def _board(path: Path) -> Leaderboard:
    try:
        return Leaderboard.model_validate_json(path.read_bytes())
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}; write the table with `epa-bench table`") from error
    except ValidationError as error:
        raise StoreError(f"{path} is no leaderboard of this version; write the table again") from error
