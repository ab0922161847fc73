"""What hardware this machine has, as the system tells it: no torch is imported."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_QUERY = ("name", "memory.total", "memory.free", "compute_cap")
_CPU_KERNELS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA GPU."""

    name: str
    total_gib: float
    free_gib: float

    capability: float
    """Compute capability: 8.0 is Ampere, 9.0 Hopper."""


def gpus() -> list[Gpu]:
    """As nvidia-smi lists them; none where it is missing or fails."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    arguments = [command, f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader,nounits"]
    try:
        listed = subprocess.run(arguments, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [gpu for gpu in map(_gpu, listed.splitlines()) if gpu is not None]


def visible_gpus(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Of the GPUs this process may use, what CUDA_VISIBLE_DEVICES calls them: indices, or whatever it holds already."""
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(name.strip() for name in named.split(",") if name.strip())
    return tuple(str(number) for number in range(len(gpus())))


def _gpu(line: str) -> Gpu | None:
    """None for a line with a figure that the driver does not tell."""
    try:
        name, total, free, capability = (part.strip() for part in line.split(","))
        return Gpu(name, float(total) / 1024, float(free) / 1024, float(capability))
    except ValueError:
        return None


def memory_gib() -> float:
    """Of the whole machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def cpu_kernels(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[str]:
    """Of the vector instructions that make matrix products fast, those this processor has."""
    flags = re.search(r"^flags\s*:(.*)$", cpuinfo.read_text(), re.MULTILINE) if cpuinfo.exists() else None
    found = set(flags[1].split()) if flags else set()
    return [name for name in _CPU_KERNELS if name in found]
