"""The finished cells behind a run's rows, found by what the run lists: no sweep is loaded, nothing is computed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from epa_bench.core.cell import Cell
from epa_bench.core.errors import ConfigError, StoreError
from epa_bench.leaderboard.board import REFERENCE_METHOD
from epa_bench.pipeline.run_cells import RunCells, open_cell, read_run_cells


@dataclass(frozen=True)
class Evaluated:
    """Values of a suite, and whose they are."""

    suite: str
    arm: str
    seed: int
    cell: Cell
    open: Callable[[str], Cell]
    """Digest -> a cell that the run lists."""

    @property
    def label(self) -> str:
        return f"{self.arm}, seed {self.seed}"

    def input(self, name: str) -> Cell:
        """What the values were made of. Raises StoreError where it is absent or damaged."""
        return self.open(self.cell.manifest.recipe["inputs"][name])


@dataclass(frozen=True)
class TrainedArm:
    """A training, and whose it is."""

    arm: str
    seed: int
    cell: Cell


def evaluated(run_folder: Path, kind: str) -> dict[str, list[Evaluated]]:
    """Suite -> its results, of the suites of a kind.

    Raises ConfigError where the run has none, StoreError where it lists no cells or one is absent or damaged.
    """
    listed = _finished(run_folder)

    def open_listed(digest: str) -> Cell:
        return open_cell(run_folder, listed, digest)

    found: dict[str, list[Evaluated]] = {}
    for result in listed.results:
        cell = open_listed(result.cells[0])
        if cell.manifest.recipe["config"].get("kind") == kind:
            of_suite = found.setdefault(result.suite, [])
            of_suite.append(Evaluated(result.suite, result.arm, result.seed, cell, open_listed))
    if not found:
        raise ConfigError(
            f"{run_folder} has no {kind} suite, so there is nothing to plot; add {kind}: {{}} to its `suites` and run "
            "it again"
        )
    return found


def trained_arms(run_folder: Path) -> list[TrainedArm]:
    """The training of every arm and seed, in the table's order. Raises StoreError as `evaluated`."""
    listed = _finished(run_folder)
    found: dict[tuple[str, int], Cell] = {}
    for result in listed.results:
        if result.arm != REFERENCE_METHOD and (result.arm, result.seed) not in found:
            cell = _training_below(run_folder, listed, result.cells[0])
            if cell is not None:
                found[result.arm, result.seed] = cell
    return [TrainedArm(arm, seed, cell) for (arm, seed), cell in found.items()]


def _training_below(folder: Path, listed: RunCells, digest: str) -> Cell | None:
    """The training that a result came from. It has one: what it is compared with is the reference's."""
    cell = open_cell(folder, listed, digest)
    recipe = cell.manifest.recipe
    if recipe["step"] == "train":
        return cell
    below = (_training_below(folder, listed, needed) for needed in recipe["inputs"].values())
    return next((found for found in below if found is not None), None)


def _finished(run_folder: Path) -> RunCells:
    listed = read_run_cells(run_folder)
    if not listed.results:
        raise StoreError(f"{run_folder} has no table yet; run the sweep first")
    return listed
