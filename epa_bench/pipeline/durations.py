"""How long cells took that the store has, for estimates of those that are owed."""

from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path

from epa_bench.core.cell import MANIFEST, read_cell
from epa_bench.core.errors import StoreError
from epa_bench.core.store import CellSpec, Store

_LIKE = 5
"""Cells of a step that are looked at: manifests are files, and a store may hold a hundred thousand."""


def seconds_of_like(store: Store, owed: Iterable[CellSpec]) -> dict[str, list[float]]:
    """Step of an owed cell -> seconds of some finished cells of that step, of whatever sweep; absent where none is."""
    return seconds_of_steps(store.root, sorted({cell.step for cell in owed}))


def seconds_of_steps(root: Path, steps: Iterable[str]) -> dict[str, list[float]]:
    """As `seconds_of_like`, of the store in a folder."""
    found = {}
    for step in steps:
        manifests = islice((root / "cells" / step).glob(f"*/{MANIFEST}"), _LIKE)
        seconds = []
        for manifest in manifests:
            # A damaged cell is found when it is read.
            with suppress(StoreError):
                seconds.append(read_cell(manifest.parent).manifest.seconds)
        if seconds:
            found[step] = seconds
    return found
