"""What torchrun and `accelerate launch` leave in the environment."""

import os

import pytest

from epa_bench.core.errors import ConfigError
from epa_bench.execution.launcher import forget_launcher, is_follower, launched_settings


def launched(rank: int, count: int, here: int | None = None) -> dict[str, str]:
    local = str(here or count)
    return {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": local}


def test_the_first_process_stands_for_all() -> None:
    assert launched_settings(launched(0, 4)) == ["execution.processes=4"]
    assert [is_follower(launched(rank, 4)) for rank in range(4)] == [False, True, True, True]


@pytest.mark.parametrize("environment", [{}, {"WORLD_SIZE": "4"}, {"RANK": "1"}, launched(0, 1)])
def test_no_launcher(environment: dict[str, str]) -> None:
    """Also where a cluster sets only some of the variables."""
    assert launched_settings(environment) == []
    assert not is_follower(environment)


def test_several_machines_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"several machines \(16 processes, 8 of them here\)"):
        launched_settings(launched(0, 16, here=8))


def test_workers_forget_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"CUDA_VISIBLE_DEVICES": "1", "OMP_NUM_THREADS": "3", "RANKING": "yes"}
    left = {**launched(0, 2), "MASTER_ADDR": "localhost", "MASTER_PORT": "29500", "TORCHELASTIC_RUN_ID": "none"}
    left |= {
        "ACCELERATE_MIXED_PRECISION": "bf16",
        "ACCELERATE_USE_FSDP": "true",
        "FSDP_VERSION": "2",
        "GROUP_RANK": "0",
    }
    for name, value in {**kept, **left}.items():
        monkeypatch.setenv(name, value)
    forget_launcher()
    assert {name: os.environ[name] for name in kept} == kept
    assert not left.keys() & os.environ.keys()
