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


def cells_running(place: "Workplace") -> dict[int, str]:
    """Processes that compute cells of this place, on whatever node of this machine: pid -> digest."""
    orders = str(place.store.resolve() / "orders")
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_text().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if "--lifeline" in command and any(word.startswith(orders) for word in command):
            found[int(folder.name)] = command[-2]
    return found


def is_below(pid: int, above: int) -> bool:
    """Whether a process was started by another, or by one that that one started."""
    while pid > 1 and pid != above:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            return False
    return pid == above


def wait_until_no_cells(place: "Workplace") -> None:
    deadline = time.monotonic() + 30
    while found := cells_running(place):
        assert time.monotonic() < deadline, f"orphans: {found}"
        time.sleep(0.05)
