"""Which weights a served adapter comes from, on the real vLLM."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, PreTrainedModel

from epa_bench.config.lora import Lora
from epa_bench.core.notices import Notice
from epa_bench.engines.protocol import Decoding, Request
from epa_bench.engines.transformers import TransformersEngine
from epa_bench.engines.vllm_engine import VllmEngine
from epa_bench.engines.vllm_server import VllmServer
from epa_bench.execution.device import Device
from epa_bench.models.adapters import add_adapter, save_adapter
from epa_bench.models.checkpoint import ready, save_checkpoint
from epa_bench.steps import engine as steps_engine
from epa_bench.steps.context import StepContext
from epa_bench.steps.engine import close_engine, engine_of, open_for_engine
from tests.tiny import from_config, tiny_tokenizer

GREEDY = Decoding(temperature=0, max_new_tokens=16)
REQUESTS = [Request(tuple(range(5 + i, 15 + i)), seed=i) for i in range(8)]


@pytest.fixture
def servers() -> Iterator[list[VllmServer]]:
    """Of this process, which are gone afterwards."""
    yield steps_engine._servers
    for server in steps_engine._servers:
        server.close()
    steps_engine._servers.clear()


def gpt2() -> PreTrainedModel:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tiny_tokenizer()), n_positions=64, n_embd=64, n_layer=2, n_head=2, initializer_range=0.1
    )
    return ready(from_config(config), "cpu")


@pytest.fixture
def context(tmp_path: Path, vllm_device: Device) -> StepContext:
    """A cell on an adapter of a model for which vLLM has no adapters."""
    save_checkpoint(tmp_path / "base", gpt2(), tiny_tokenizer(), {})
    policy = add_adapter(gpt2(), Lora(r=2), seed=1)
    for name, parameter in policy.named_parameters():
        if ".lora_" in name:
            parameter.data = 0.1 * torch.randn(parameter.shape)
    save_adapter(tmp_path / "adapter", policy, tiny_tokenizer(), base="base", identity={})
    config = {
        "text": {"template": "plain", "max_length": 64, "trust_remote_code": False},
        "dtype": "float32",
        "batch_size": 8,
        "engine": {"kind": "vllm", "tensor_parallel_size": 1, "max_model_len": None, "adapters": "attached"},
    }
    hints = {
        "reference_path": str(tmp_path / "adapter"),
        "reference_base": str(tmp_path / "base"),
        "kv_cache_gib": None,
        "gpu_memory_utilization": 0.5,
    }
    (tmp_path / "cell").mkdir()
    return StepContext(config, hints, {}, tmp_path / "cell", vllm_device, lambda done, total: None)


def test_a_refused_adapter_is_merged_and_the_record_says_so(context: StepContext, servers: list[VllmServer]) -> None:
    """Found out once: the next cell on the same model is answered by the same process."""
    opened = open_for_engine(context)
    expected = TransformersEngine(opened.model, opened.tokenizer, opened.renderer, 8).answer(REQUESTS, GREEDY)
    pids = []
    for _ in range(2):
        with pytest.warns(Notice, match=r"vLLM refused the adapter in .*adapter and is given it merged into a copy"):
            engine = engine_of(context, opened)
        assert isinstance(engine, VllmEngine)
        assert (context.folder / "merged").is_dir()
        assert engine.answer(REQUESTS, GREEDY) == expected
        assert engine.record(GREEDY)["adapter"] == "merged"
        pids.append(servers[0].pid)
        close_engine(context, engine, [GREEDY])
        assert [path.name for path in context.folder.iterdir()] == ["engine.json"]
    assert pids[0] == pids[1]
    assert servers[0].starts == 2
