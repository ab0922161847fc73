"""A process that `bench sweep` measures: `owed STORE CELLS` or `schedule STORE CELLS`. No torch."""

import sys
from collections.abc import Callable
from pathlib import Path

from epa_bench.core.progress import SweepProgress
from epa_bench.core.store import CellSpec, Store
from epa_bench.execution.local import run_cells
from epa_bench.execution.tokens import Demand, Tokens

STORE_SIZES = (1_000, 10_000, 100_000)
SCHEDULED = 200
_VALUES = 4
"""Cells that need each training of a made-up store."""


def specs(count: int) -> list[CellSpec]:
    """Recipes of the size and shape of a sweep's: one reference, trainings, and what is made of each."""
    versions = {"code": "0" * 32, "torch": "2.13.0", "transformers": "5.19.0"}
    found = [CellSpec("reference", {"seed": 0}, {}, versions)]
    while len(found) < count:
        number = len(found)
        arm = {"loss": "epa", "beta": 0.1, "learning_rate": 5e-7, "strong": 1, "weak": 2, "weak_source": "both"}
        config = {
            "arm": arm,
            "seed": number,
            "training": {"num_train_epochs": 1, "warmup_ratio": 0.1, "optim": "adamw"},
        }
        training = CellSpec("train", config, {"reference": found[0]}, versions, label=f"train {number}")
        made = [CellSpec("values", {"suite": suite}, {"checkpoint": training}, versions) for suite in range(_VALUES)]
        found += [training, *made]
    return found[:count]


def do_nothing(cell: CellSpec, report: Callable[[int, int], None]) -> None:
    """A cell without work."""


def main(what: str, root: str, count: int) -> None:
    """Prints how many cells were owed; a store that has none of them is filled for the next time."""
    cells, store = specs(count), Store(Path(root))
    if what == "owed":
        owed = [cell for cell in cells if not store.has(cell)]
        print(len(owed))
        if len(owed) == count:
            _fill(store, cells)
        return
    demands = {cell.digest: Demand({"workers": 1}) for cell in cells}
    with SweepProgress(count, 0) as progress:
        run_cells(
            cells, do_nothing, store=store, done=(), demands=demands, tokens=Tokens({"workers": 2}), progress=progress
        )


def _fill(store: Store, cells: list[CellSpec]) -> None:
    """Nine in ten of the cells, as far as asking whether they are there goes."""
    for cell in cells[: len(cells) * 9 // 10]:
        folder = store.folder(cell)
        folder.mkdir(parents=True)
        (folder / "cell.json").write_text("{}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
