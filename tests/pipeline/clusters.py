"""The 2x2 sweep that is run on clusters: two methods, two seeds; what comes before the trainings is there."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.conftest import Workplace

_SMALL: Mapping[str, Any] = {
    "methods.dpo-nll": None,
    "suites.reward_accuracy": None,
    "suites.linearity": None,
    "suites.off_support": None,
}
OWED = ("train", "values")
"""Steps whose cells are owed."""


def small_sweep(finished: "Workplace", folder: Path, without: tuple[str, ...] = OWED) -> "Workplace":
    """A place where the cells of some steps are owed."""
    place = finished.copy(folder, without=without)
    place.write(_SMALL)
    return place


def cells_running(place: "Workplace") -> list[int]:
    """Processes that compute cells of this place, on whatever node of this machine."""
    mark = f"cell\0{place.store.resolve()}/".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if mark in command:
            found.append(int(folder.name))
    return found


def wait_until_no_cells(place: "Workplace") -> None:
    deadline = time.monotonic() + 30
    while found := cells_running(place):
        assert time.monotonic() < deadline, f"orphans: {found}"
        time.sleep(0.05)
