"""The real vLLM, started once for all tests that can share it, and two checkpoints of one shape."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers import PreTrainedModel

from epa_bench.engines.vllm_server import VllmServer
from epa_bench.engines.vllm_wire import Settings
from epa_bench.execution.device import Device
from epa_bench.models.checkpoint import save_checkpoint
from tests.engines.served import CHECKPOINTS, START, ended_model
from tests.tiny import tiny_tokenizer


@pytest.fixture(scope="session")
def vllm_start(vllm_device: Device) -> Settings:
    """Settings of an engine that can be started here."""
    return START.model_copy(update={"device": vllm_device})


@pytest.fixture(scope="session")
def server(vllm_start: Settings) -> Iterator[VllmServer]:
    """Shared: a test loads the checkpoint it is about."""
    server = VllmServer(vllm_start)
    yield server
    server.close()


@pytest.fixture(scope="session")
def models() -> dict[str, PreTrainedModel]:
    """By name, as transformers has them."""
    return {name: ended_model(seed) for name, seed in CHECKPOINTS.items()}


@pytest.fixture(scope="session")
def folders(models: dict[str, PreTrainedModel], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same checkpoints on disk; for reading."""
    top = tmp_path_factory.mktemp("checkpoints")
    for name, model in models.items():
        save_checkpoint(top / name, model, tiny_tokenizer(), {})
    return {name: top / name for name in models}
