"""What the system says of its hardware."""

import os
from pathlib import Path

import pytest

from epa_bench.execution.hardware import Gpu, cpu_kernels, gpus, memory_gib, visible_gpus


def smi(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program called nvidia-smi, first in the path."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")


def test_gpus_are_those_nvidia_smi_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi(
        tmp_path,
        'echo "NVIDIA A, 81920, 40960, 9.0"; echo "NVIDIA B, [N/A], [N/A], 7.5"; echo "C, 2048, 0, 7.5"',
        monkeypatch,
    )
    assert gpus() == [Gpu("NVIDIA A", 80, 40, 9.0), Gpu("C", 2, 0, 7.5)]


def test_no_gpus_where_there_is_no_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi(tmp_path, 'echo "NVIDIA-SMI has failed"; exit 9', monkeypatch)
    assert gpus() == []
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert gpus() == []


def test_kernels_are_whole_flags(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor : 0\nflags\t\t: fpu avx2x avx512f\n\nprocessor : 1\nflags : avx2 amx_bf16\n")
    assert cpu_kernels(info) == ["avx512f"]
    info.write_text("processor : 0\n")
    assert cpu_kernels(info) == []
    assert cpu_kernels(tmp_path / "none") == []


def test_memory_is_what_the_kernel_says() -> None:
    kib = next(int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line)
    assert memory_gib() == pytest.approx(kib / 2**20, rel=0.01)
    assert os.cpu_count()


def test_visible_gpus_keep_the_names_they_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi(tmp_path, 'echo "NVIDIA A, 81920, 40960, 9.0"; echo "NVIDIA B, 81920, 40960, 9.0"', monkeypatch)
    assert visible_gpus({}) == ("0", "1")
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "3, GPU-5f2c,MIG-1"}) == ("3", "GPU-5f2c", "MIG-1")
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == ()
