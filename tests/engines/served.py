"""What tests of the vLLM engine share."""

from pathlib import Path
from typing import Any, cast

from transformers import GenerationConfig, PreTrainedModel

from epa_bench.data.embedded.families import make_prompts
from epa_bench.engines.protocol import Decoding, Request
from epa_bench.engines.servable import Servable
from epa_bench.engines.transformers import TransformersEngine, eos_ids, special_ids
from epa_bench.engines.vllm_engine import VllmEngine
from epa_bench.engines.vllm_server import VllmServer
from epa_bench.engines.vllm_wire import Settings
from epa_bench.models.canary import canary_of
from epa_bench.models.checkpoint import load_model
from tests.tiny import tiny_model, tiny_renderer, tiny_tokenizer

CHECKPOINTS = {"a": 0, "b": 1}
"""Seeds of the weights by name."""

START = Settings(
    dtype="float32",
    device="cpu",
    tensor_parallel_size=1,
    max_model_len=None,
    places=64,
    kv_cache_gib=None,
    gpu_memory_utilization=0.9,
    trust_remote_code=False,
)

GREEDY = Decoding(temperature=0, max_new_tokens=24)
REQUESTS = [Request(prompt.text, seed=1000 + i) for i, prompt in enumerate(make_prompts(64, 0, "evaluation"))]

RENDERER, TOKENIZER = tiny_renderer(), tiny_tokenizer()
_ENDS = [int(TOKENIZER.eos_token_id), *range(20, 60)]
"""So many that answers of a model that was never trained end here and there."""


def ended_model(seed: int) -> PreTrainedModel:
    return ended(tiny_model(seed))


def ended(model: PreTrainedModel) -> PreTrainedModel:
    """With the tokens set that end answers."""
    model.generation_config = cast(Any, GenerationConfig)(eos_token_id=_ENDS)
    return model


def servable(folder: Path) -> Servable:
    """As a sweep opens it: transformers reads it first."""
    return Servable.of(folder, TOKENIZER, canary_of(load_model(folder, dtype="float32", device="cpu")))


def served(server: VllmServer, folder: Path, model: PreTrainedModel) -> VllmEngine:
    """The engine after loading a checkpoint."""
    server.load(servable(folder))
    return engine_on(server, model)


def engine_on(server: VllmServer, model: PreTrainedModel) -> VllmEngine:
    """The engine of what the server has loaded."""
    return VllmEngine(server, RENDERER, eos_ids(model, TOKENIZER), special_ids(model, TOKENIZER))


def plain(model: PreTrainedModel) -> TransformersEngine:
    return TransformersEngine(model, TOKENIZER, RENDERER, 16)
