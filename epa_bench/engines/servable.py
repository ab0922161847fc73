"""What a vLLM process can be given: whole weights, or a LoRA adapter on the whole weights that it holds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from transformers import PreTrainedTokenizerBase

from epa_bench.core.errors import CheckpointError
from epa_bench.engines.vllm_wire import LORA_RANKS, LoraRoom
from epa_bench.models.adapter_files import Adapter, tensor_shapes, tokenizer_folder
from epa_bench.models.canary import Canary

_VOLATILE = ("_name_or_path", "transformers_version")
"""Keys of config.json that say where and by whom it was written."""


@dataclass(frozen=True)
class Servable:
    """A checkpoint as vLLM takes it, already read by transformers, which misses no tensor."""

    folder: Path
    """Whole weights in safetensors and their configuration."""

    adapter: Adapter | None
    """On these weights."""

    tokenizer: PreTrainedTokenizerBase
    canary: Canary
    """Of the weights with the adapter in them."""

    configuration: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    """Of the tensors by name. Read at once: the folder may be gone when it is the next one's turn."""

    @classmethod
    def of(
        cls, folder: Path, tokenizer: PreTrainedTokenizerBase, canary: Canary, adapter: Adapter | None = None
    ) -> Self:
        """Reads the folder's configuration and headers. Raises CheckpointError."""
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kept = {key: value for key, value in config.items() if key not in _VOLATILE}
        return cls(folder, adapter, tokenizer, canary, kept, tensor_shapes(folder))

    @property
    def tokenizer_folder(self) -> Path:
        """Whose tokenizer it has: its adapter's, where that comes with one."""
        return self.folder if self.adapter is None else tokenizer_folder(self.adapter.folder, self.folder)

    @property
    def name(self) -> Path:
        """Its folder, for people."""
        return self.folder if self.adapter is None else self.adapter.folder


def room_for(adapter: Adapter, before: LoraRoom | None) -> LoraRoom:
    """Room for the adapter and all that had room before, so that an engine is started again for few of them.

    Raises CheckpointError for a rank that vLLM does not know.
    """
    rank = max(adapter.rank, 0 if before is None else before.rank)
    enough = [known for known in LORA_RANKS if known >= rank]
    if not enough:
        raise CheckpointError(
            f"the adapter in {adapter.folder} has rank {adapter.rank}, vLLM serves at most {LORA_RANKS[-1]}. Merge it "
            "into its base with PEFT's `merge_and_unload()`, save that and name its folder, or use "
            "--set engine=transformers"
        )
    modules = {layer.rpartition(".")[2] for layer in adapter.layers}
    return LoraRoom(rank=enough[0], modules=tuple(sorted(modules.union(() if before is None else before.modules))))
