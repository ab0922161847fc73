"""Engines that cannot be started or fail, and what a user is told to do."""

from pathlib import Path

import pytest

from epa_bench.config.schema import ScratchModel
from epa_bench.core.errors import WorkerError
from epa_bench.engines.servable import Servable
from epa_bench.engines.vllm_process import engine_error
from epa_bench.engines.vllm_server import VllmServer
from epa_bench.engines.vllm_wire import Settings
from epa_bench.models.canary import canary_of
from epa_bench.models.checkpoint import new_model, ready, save_checkpoint
from tests.engines.served import servable
from tests.tiny import SHAPE, tiny_tokenizer


def test_a_head_size_without_kernels_is_refused_at_the_start(vllm_start: Settings, tmp_path: Path) -> None:
    """vLLM's process would end at the first request."""
    shape = SHAPE.model_copy(update={"num_attention_heads": 1, "hidden_size": 40})
    assert isinstance(shape, ScratchModel)
    model = ready(new_model(shape, tiny_tokenizer(), seed=0), "cpu")
    save_checkpoint(tmp_path / "odd", model, tiny_tokenizer(), {})
    server = VllmServer(vllm_start)
    with pytest.raises(WorkerError, match=r"head size 40 is none of .* use --set engine=transformers"):
        server.load(Servable.of(tmp_path / "odd", tiny_tokenizer(), canary_of(model)))
    assert server.pid is None


def test_a_cache_too_small_for_one_answer_says_which_setting_to_change(
    vllm_start: Settings, folders: dict[str, Path]
) -> None:
    server = VllmServer(vllm_start.model_copy(update={"kv_cache_gib": 1e-5}))
    with pytest.raises(WorkerError, match=r"lower engine\.max_model_len, or raise engine\.kv_cache_gib"):
        server.load(servable(folders["a"]))
    assert server.pid is None


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", "lower engine.batch_size"),
        ("RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory", "lower engine.batch_size"),
        ("ValueError: No available memory for the cache blocks.", "lower engine.max_model_len, or raise"),
        ("ValueError: Free memory on device cuda:0 (3/80 GiB) on startup is less", "engine.gpu_memory_utilization"),
        ("ValueError: Total number of attention heads (2) must be divisible by tensor parallel size (4).", "a divisor"),
        (
            "ValidationError: 1 validation error for ModelConfig Value error, User-specified max_model_len (129) is "
            "greater than the derived max_model_len (max_position_embeddings=128.0)",
            "lower engine.max_model_len to what the model has positions for",
        ),
        ("KeyError: 'something else'", "try --set engine=transformers"),
    ],
)
def test_what_an_exception_means(reason: str, advice: str) -> None:
    message = str(engine_error(reason))
    assert message.startswith(f"vLLM failed: {reason}")
    assert advice in message
