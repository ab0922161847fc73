"""One process that holds vLLM, from its start to its end, and what its exceptions mean. Imports no torch."""

from collections.abc import Iterator

from epa_bench.core.errors import WorkerError
from epa_bench.core.lines import LineProcess
from epa_bench.engines.vllm_wire import (
    REPLY,
    Command,
    Done,
    Failed,
    Generated,
    Ranked,
    Ready,
    Scored,
    Start,
)

_ENVIRONMENT = {
    # The engine core in this very process, whose end then ends everything, and which schedules the same way each time.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    # Checkpoints are folders here; nothing is to be asked of a hub.
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
_CPU_ENVIRONMENT = {"TORCHDYNAMO_DISABLE": "1"}
"""Else the first scoring compiles for a minute."""

_ADVICE = (
    (
        ("out of memory", "outofmemory", "can't allocate memory", "defaultcpuallocator"),
        "lower engine.batch_size, engine.max_model_len or engine.gpu_memory_utilization",
    ),
    (
        ("kv cache", "cache blocks"),
        "lower engine.max_model_len, or raise engine.kv_cache_gib (CUDA: engine.gpu_memory_utilization)",
    ),
    (("free memory on device",), "lower engine.gpu_memory_utilization, or free the GPU of other processes"),
    (("max_model_len", "max_position_embeddings"), "lower engine.max_model_len to what the model has positions for"),
    (("head size", "head_size", "head_dim"), "use --set engine=transformers for this model"),
    (("tensor parallel", "world size", "attention heads"), "set engine.tensor_parallel_size to a divisor of the heads"),
)
"""Words of an exception, in the order in which they are looked for, and what to do about it."""


class EngineFailedError(Exception):
    """vLLM raised an exception; its text says which. What the process is worth after it nobody knows."""


class VllmProcess:
    """A started engine."""

    def __init__(self, start: Start) -> None:
        """Takes ten seconds to minutes. Raises ProcessDiedError and EngineFailedError."""
        environment = {**_ENVIRONMENT, **(_CPU_ENVIRONMENT if start.device == "cpu" else {})}
        self._lines = LineProcess("epa_bench.engines.vllm", start.model_dump_json(), environment=environment)
        try:
            ready = self._read()
        except BaseException:
            self.close()
            raise
        assert isinstance(ready, Ready)
        self.max_model_len = ready.max_model_len

    @property
    def pid(self) -> int:
        return self._lines.pid

    def tell(self, command: Command) -> Iterator[Generated | Scored | Ranked]:
        """What it says, as it says it. Raises ProcessDiedError and EngineFailedError."""
        self._lines.write(command.model_dump_json())
        while not isinstance(reply := self._read(), Done):
            assert isinstance(reply, Generated | Scored | Ranked)
            yield reply

    def _read(self) -> Ready | Generated | Scored | Ranked | Done:
        reply = REPLY.validate_json(self._lines.read())
        if isinstance(reply, Failed):
            raise EngineFailedError(reply.reason)
        return reply

    def close(self) -> None:
        self._lines.close()


def engine_error(reason: str) -> WorkerError:
    """What a user is told of an exception that vLLM raised."""
    return WorkerError(f"vLLM failed: {reason[:500]}; {advice_on(reason) or 'try --set engine=transformers'}")


def advice_on(reason: str) -> str | None:
    """Which setting would help, where a setting is at fault."""
    words = reason.lower()
    return next((todo for signs, todo in _ADVICE if any(sign in words for sign in signs)), None)
