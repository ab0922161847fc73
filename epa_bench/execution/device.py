"""What this machine can run on, found out without importing torch."""

import os
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Literal

from epa_bench.core.errors import ConfigError
from epa_bench.execution.hardware import visible_gpus

Device = Literal["cpu", "cuda"]


def resolve_device(wanted: Literal["auto", "cpu", "cuda"]) -> Device:
    """`auto`: CUDA where the driver and a CUDA build of torch are there. Raises ConfigError for CUDA without them."""
    available = Path("/proc/driver/nvidia/version").exists() and "+cpu" not in metadata.version("torch")
    if wanted == "cuda" and not available:
        raise ConfigError("execution.device: cuda, but this machine has no NVIDIA driver or a CPU-only torch; use cpu")
    return "cuda" if available and wanted != "cpu" else "cpu"


def gpu_memory() -> int | None:
    """Bytes of the smallest GPU in sight, as its driver tells; None where it does not."""
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=True, timeout=10)
        return min(int(line) for line in done.stdout.split()) * 2**20
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))


def default_workers(device: Device, processes: int = 1) -> int:
    """On CUDA one a GPU; on CPU one a core up to four, which then share the cores as threads.

    `processes`: ranks of a training, which need a GPU or a core each.
    """
    if device == "cuda":
        return max(1, len(visible_gpus(os.environ)) // processes)
    return min(max(1, cores() // processes), 4)


def worker_threads(processes: int = 1) -> int:
    """Threads of a worker process, or of each of its ranks, whatever number of workers a sweep asks for.

    torch's sums and activations round differently with another number of threads, so one that followed the number of
    workers would make results depend on it.
    """
    return max(1, cores() // default_workers("cpu") // processes)
