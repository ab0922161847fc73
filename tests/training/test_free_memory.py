"""Free memory is the least that machine and control groups leave, in both versions of control groups."""

from pathlib import Path

import pytest
import torch

from epa_bench.training.free_memory import available_memory, free_memory

MIB = 2**20


@pytest.fixture
def machine(tmp_path: Path) -> tuple[Path, Path]:
    """A /proc with 1000 MiB available, and an empty place for control groups."""
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    cgroups.mkdir()
    (proc / "meminfo").write_text(f"MemTotal: 9999999 kB\nMemFree: 5 kB\nMemAvailable: {1000 * 1024} kB\n")
    return proc, cgroups


def group(folder: Path, version: int, limit: str, used: int, cache: int) -> None:
    names = {1: ("memory.limit_in_bytes", "memory.usage_in_bytes"), 2: ("memory.max", "memory.current")}[version]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\n{'total_' if version == 1 else ''}inactive_file {cache}\n")


def test_without_control_groups_it_is_what_the_machine_has(machine: tuple[Path, Path]) -> None:
    assert available_memory(*machine) == 1000 * MIB
    (machine[0] / "self" / "cgroup").write_text("0::/\n")
    assert available_memory(*machine) == 1000 * MIB


@pytest.mark.parametrize("version", [1, 2])
def test_a_limit_leaves_what_is_not_used_and_what_is_only_cached(machine: tuple[Path, Path], version: int) -> None:
    proc, cgroups = machine
    mount = cgroups / "memory" if version == 1 else cgroups
    line = "4:cpu,memory:/jobs/7\n3:cpuset:/\n" if version == 1 else "0::/jobs/7\n"
    (proc / "self" / "cgroup").write_text(line)
    group(mount / "jobs" / "7", version, str(500 * MIB), 300 * MIB, 50 * MIB)
    assert available_memory(proc, cgroups) == 250 * MIB
    # A group above ours may be the tighter one.
    group(mount / "jobs", version, str(600 * MIB), 500 * MIB, 0)
    assert available_memory(proc, cgroups) == 100 * MIB


def test_no_limit_is_none(machine: tuple[Path, Path]) -> None:
    proc, cgroups = machine
    (proc / "self" / "cgroup").write_text("0::/jobs\n")
    group(cgroups / "jobs", 2, "max", 300 * MIB, 0)
    assert available_memory(proc, cgroups) == 1000 * MIB
    # Version 1 writes a number larger than any machine instead.
    (proc / "self" / "cgroup").write_text("4:memory:/jobs\n")
    group(cgroups / "memory" / "jobs", 1, str(2**63 - 4096), 300 * MIB, 0)
    assert available_memory(proc, cgroups) == 1000 * MIB


def test_in_a_container_the_path_is_that_of_the_outside(machine: tuple[Path, Path]) -> None:
    proc, cgroups = machine
    (proc / "self" / "cgroup").write_text("4:memory:/docker/0123abcd\n")
    group(cgroups / "memory", 1, str(400 * MIB), 100 * MIB, 0)
    assert available_memory(proc, cgroups) == 300 * MIB


def test_on_this_machine_there_is_some() -> None:
    total = next(int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line)
    assert 0 < free_memory(torch.device("cpu")) <= total * 1024
