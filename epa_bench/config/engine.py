"""The `engine` section of a sweep."""

from typing import Annotated, Literal

from pydantic import Field

from epa_bench.config.values import Count, Positive
from epa_bench.core.records import Record


class Engine(Record):
    """What generates and scores. `engine: vllm` is short for `engine: {kind: vllm}`."""

    kind: Literal["auto", "transformers", "vllm"] = "auto"
    """What answers prompts; `auto` is vLLM on CUDA where it is installed, else transformers. The score pass of training
    and probes is the same with both."""

    script: str | None = None
    """JSON lines of {prompt, response}: answers are read from here instead of generated, for every checkpoint."""

    batch_size: Count = 64
    """Answers generated side by side."""

    score_tokens: Count = 8192
    """Tokens a batch of the score pass (reference log-probs, probes), packed without padding."""

    dtype: Literal["float32", "bfloat16"] = "float32"

    adapters: Literal["auto", "attached", "merged"] = "auto"
    """How vLLM answers for LoRA adapters: attached one after the other to the base that it holds, or each merged into a
    copy of it on disk. `auto`: attached on CUDA in bfloat16, else merged, as vLLM's kernels for CPU are slow with them
    and those for CUDA take no float32."""

    tensor_parallel_size: Count = 1
    """GPUs that share the weights of one vLLM engine."""

    max_model_len: Annotated[int, Field(ge=32)] | None = None
    """Tokens of a prompt and its answer together that vLLM has room for; None: the model's positions."""

    kv_cache_gib: Positive | None = None
    """Memory of vLLM's key-value cache; None: what `gpu_memory_utilization` leaves, on CPU a quarter of a GiB."""

    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Share of a GPU's memory that vLLM takes."""
