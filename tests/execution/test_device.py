"""The device and the number of workers, without torch."""

from importlib import metadata
from pathlib import Path

import pytest

from epa_bench.core.errors import ConfigError
from epa_bench.execution import device


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine with a driver and a CUDA build of torch."""
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/proc/driver/nvidia/version")
    monkeypatch.setattr(metadata, "version", lambda package: "2.13.0+cu130")
    return monkeypatch


def test_auto_takes_cuda_where_it_is(machine: pytest.MonkeyPatch) -> None:
    assert device.resolve_device("auto") == "cuda"
    assert device.resolve_device("cuda") == "cuda"
    assert device.resolve_device("cpu") == "cpu"


def test_cpu_build_of_torch_is_no_cuda(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(metadata, "version", lambda package: "2.13.0+cpu")
    assert device.resolve_device("auto") == "cpu"
    with pytest.raises(ConfigError, match="CPU-only torch; use cpu"):
        device.resolve_device("cuda")


def test_no_driver_is_no_cuda(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(Path, "exists", lambda path: False)
    assert device.resolve_device("auto") == "cpu"
    with pytest.raises(ConfigError, match="no NVIDIA driver"):
        device.resolve_device("cuda")


@pytest.mark.parametrize(
    ("cores", "processes", "workers"),
    [(1, 1, 1), (2, 1, 2), (4, 1, 4), (64, 1, 4), (2, 2, 1), (1, 2, 1), (7, 2, 3), (64, 8, 4)],
)
def test_default_workers(cores: int, processes: int, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "cores", lambda: cores)
    assert device.default_workers("cpu", processes) == workers


@pytest.mark.parametrize(
    ("gpus", "processes", "workers"), [("0", 1, 1), ("0,1,2,3", 1, 4), ("0,1,2", 2, 1), ("", 2, 1)]
)
def test_default_workers_on_gpus(gpus: str, processes: int, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    assert device.default_workers("cuda", processes) == workers


@pytest.mark.parametrize(
    ("cores", "processes", "threads"), [(1, 1, 1), (2, 1, 1), (4, 1, 1), (64, 1, 16), (64, 8, 2), (2, 2, 1)]
)
def test_threads_follow_from_the_machine_alone(
    cores: int, processes: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "cores", lambda: cores)
    assert device.worker_threads(processes) == threads
