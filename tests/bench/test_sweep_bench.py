"""What `bench sweep` measures: the made-up store, the executor on cells that do nothing, the section it writes."""

import subprocess
import sys
from pathlib import Path

from epa_bench.bench.rows import Machine
from epa_bench.bench.sweep import SweepRow, to_markdown
from epa_bench.bench.sweep_side import specs


def side(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "epa_bench.bench.sweep_side", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)


def test_recipes_are_of_as_many_cells_with_needs_first() -> None:
    cells = specs(23)
    assert len({cell.digest for cell in cells}) == 23
    for number, cell in enumerate(cells):
        assert {need.digest for need in cell.needs} <= {before.digest for before in cells[:number]}


def test_a_made_up_store_owes_one_in_ten(tmp_path: Path) -> None:
    assert side(tmp_path, "owed", "store", "50").stdout == "50\n"
    assert side(tmp_path, "owed", "store", "50").stdout == "5\n"


def test_cells_that_do_nothing_are_scheduled(tmp_path: Path) -> None:
    said = side(tmp_path, "schedule", "store", "6").stderr.splitlines()
    assert [line.split()[0] for line in said] == [f"[{number}/6]" for number in range(1, 7)]


def test_section() -> None:
    machine = Machine(
        processor="a processor",
        cores=2,
        memory_gib=4.0,
        gpu=None,
        system="Linux",
        versions={"epa-bench": "0"},
        date="2026-11-21",
    )
    row = SweepRow(what="what is owed", cells=100_000, seconds=2.25, processor_seconds=2.125, rounds=3)
    text = to_markdown([row], machine)
    assert "| what is owed | 100,000 | 2.25 | 2.12 | 3 |" in text
    assert "Measured on 2026-11-21 on a processor, 2 cores" in text
