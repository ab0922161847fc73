"""The engine that answers for a cell's checkpoint: a script, transformers, or vLLM kept from cell to cell."""

import dataclasses
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from transformers import PreTrainedModel

from epa_bench.core.files import write_json
from epa_bench.core.notices import notice
from epa_bench.engines.protocol import Decoding, Engine
from epa_bench.engines.scripted import read_script
from epa_bench.engines.servable import Servable
from epa_bench.engines.transformers import TransformersEngine, eos_ids, special_ids
from epa_bench.engines.vllm_engine import VllmEngine
from epa_bench.engines.vllm_server import AdapterRefusedError, VllmServer
from epa_bench.engines.vllm_wire import Settings
from epa_bench.models.adapter_files import is_adapter, read_adapter
from epa_bench.models.canary import canary_of
from epa_bench.steps.context import StepContext
from epa_bench.steps.loading import Opened, open_checkpoint

_MERGED = "merged"

_servers: list[VllmServer] = []
"""Of this process, at most one: it outlives cells, because starting takes longer than most of them. It ends with this
process."""


def open_engine(context: StepContext) -> Engine:
    """By the cell's `engine`. Raises DataError, CheckpointError and WorkerError."""
    script = context.hints.get("script")
    if script is not None:
        return read_script(Path(script))
    return engine_of(context, open_for_engine(context))


def open_for_engine(context: StepContext) -> Opened[PreTrainedModel]:
    """The cell's checkpoint, where its engine wants it. Raises CheckpointError.

    For vLLM on CPU: it is read to be checked and to say what vLLM must say, and the GPU is vLLM's.
    """
    served = "engine" in context.config
    return open_checkpoint(
        dataclasses.replace(context, device="cpu") if served else context, context.checkpoint_folder()
    )


def engine_of(context: StepContext, opened: Opened[PreTrainedModel]) -> TransformersEngine | VllmEngine:
    """The engine over a checkpoint of `open_for_engine`. Raises CheckpointError and WorkerError."""
    config = context.config
    if "engine" not in config:
        tokens = {"score_tokens": config["batch_tokens"]} if "batch_tokens" in config else {}
        return TransformersEngine(opened.model, opened.tokenizer, opened.renderer, config["batch_size"], **tokens)
    server = _server(_settings(context))
    adapter = _load(context, opened, server)
    ends = eos_ids(opened.model, opened.tokenizer)
    return VllmEngine(server, opened.renderer, ends, special_ids(opened.model, opened.tokenizer), adapter)


def close_engine(context: StepContext, engine: Engine, decodings: Iterable[Decoding]) -> None:
    """Closes it, writes to `engine.json` what drew the answers, and removes what only it needed."""
    write_json(context.folder / "engine.json", [engine.record(decoding) for decoding in decodings])
    engine.close()
    shutil.rmtree(context.folder / _MERGED, ignore_errors=True)


def _load(
    context: StepContext, opened: Opened[PreTrainedModel], server: VllmServer
) -> Literal["attached", "merged"] | None:
    """Gives how the cell's checkpoint is served, if it is an adapter. Raises CheckpointError and WorkerError."""
    folder, tokenizer, canary = context.checkpoint_folder(), opened.tokenizer, canary_of(opened.model)
    if not is_adapter(folder):
        server.load(Servable.of(folder, tokenizer, canary))
        return None
    if context.config["engine"].get("adapters") == "attached":
        try:
            server.load(Servable.of(context.base_folder(), tokenizer, canary, read_adapter(folder)))
            return "attached"
        except AdapterRefusedError as error:
            notice(f"vLLM refused the adapter in {folder} and is given it merged into a copy of its base: {error}")
    server.load(Servable.of(_merged(context, opened), tokenizer, canary))
    return "merged"


def _merged(context: StepContext, opened: Opened[PreTrainedModel]) -> Path:
    folder = context.folder / _MERGED
    opened.model.save_pretrained(folder)
    opened.tokenizer.save_pretrained(folder)
    return folder


def _settings(context: StepContext) -> Settings:
    engine = context.config["engine"]
    return Settings(
        dtype=context.config["dtype"],
        device="cuda" if context.device == "cuda" else "cpu",
        tensor_parallel_size=engine["tensor_parallel_size"],
        max_model_len=engine["max_model_len"],
        places=context.config["batch_size"],
        kv_cache_gib=context.hints["kv_cache_gib"],
        gpu_memory_utilization=context.hints["gpu_memory_utilization"],
        trust_remote_code=context.config["text"]["trust_remote_code"],
    )


def _server(settings: Settings) -> VllmServer:
    if _servers and _servers[0].settings == settings:
        return _servers[0]
    for server in _servers:
        # Two of them have no room on one GPU.
        server.close()
    _servers[:] = [VllmServer(settings)]
    return _servers[0]
