"""What differs between two runs: in their resolved configurations, and in the recipes of their cells."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from epa_bench.config.yaml12 import read_document
from epa_bench.core.cell import Manifest
from epa_bench.core.errors import StoreError
from epa_bench.core.records import Record
from epa_bench.pipeline.explain import differences
from epa_bench.pipeline.run_cells import open_cell, read_run_cells


class RunDiff(Record):
    """What `epa-bench diff` tells."""

    configuration: tuple[str, ...]
    """`key: first -> second` of the resolved sweeps."""

    recipes: dict[str, tuple[str, ...]]
    """Step -> what differs in cells of one label, with the number of cells it differs in."""

    only_first: dict[str, int]
    """Step -> cells whose label the second run does not have."""

    only_second: dict[str, int]

    same: int
    """Cells that both tables were made of."""


def diff_runs(first: Path, second: Path) -> RunDiff:
    """Raises StoreError where one of them is no finished run, or a cell is absent."""
    cells_a, cells_b = _recipes(first), _recipes(second)
    recipes: dict[str, Counter[str]] = {}
    for key in cells_a.keys() & cells_b.keys():
        for part in ("config", "versions"):
            found = differences(cells_a[key].recipe[part], cells_b[key].recipe[part], part)
            recipes.setdefault(key[0], Counter()).update(found)
    return RunDiff(
        configuration=tuple(differences(_resolved(first), _resolved(second), "")),
        recipes={
            step: tuple(f"{what} ({number} cells)" for what, number in sorted(found.items()))
            for step, found in sorted(recipes.items())
            if found
        },
        only_first=_steps(cells_a.keys() - cells_b.keys()),
        only_second=_steps(cells_b.keys() - cells_a.keys()),
        same=sum(cells_a[key].recipe == cells_b[key].recipe for key in cells_a.keys() & cells_b.keys()),
    )


def _recipes(folder: Path) -> dict[tuple[str, str], Manifest]:
    """(step, label) -> manifest of every cell that the run's table was made of."""
    listed = read_run_cells(folder)
    if not listed.table:
        raise StoreError(f"no table was written of the run {folder} yet; finish it with `epa-bench run`")
    manifests = [open_cell(folder, listed, digest).manifest for digest in listed.table]
    return {(manifest.recipe["step"], manifest.label): manifest for manifest in manifests}


def _resolved(folder: Path) -> Mapping[str, Any]:
    return read_document(folder / "sweep.yaml").data


def _steps(keys: set[tuple[str, str]]) -> dict[str, int]:
    return dict(sorted(Counter(step for step, _ in keys).items()))
