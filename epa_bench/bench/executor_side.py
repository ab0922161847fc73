"""A cell that does nothing: in a worker of this machine's pool, or as a process of its own on a cluster."""

from collections.abc import Callable

from epa_bench.core.cell_messages import Done
from epa_bench.core.store import CellSpec


def do_nothing(spec: CellSpec, report: Callable[[int, int], None]) -> None:
    """The cell, for the pool."""


if __name__ == "__main__":
    print(Done().model_dump_json())
