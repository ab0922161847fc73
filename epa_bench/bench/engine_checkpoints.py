"""What `epa-bench bench engine` serves: checkpoints of one shape with random weights, and adapters on the first."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from epa_bench.config.lora import Lora
from epa_bench.config.schema import ScratchModel
from epa_bench.core.digest import stable_seed
from epa_bench.models.adapters import add_adapter, save_adapter
from epa_bench.models.checkpoint import load_model, new_model, save_checkpoint


@dataclass(frozen=True)
class Checkpoints:
    """Folders by number, made when they are first asked for."""

    shape: ScratchModel
    tokenizer: PreTrainedTokenizerBase
    folder: Path

    def whole(self, number: int) -> Path:
        """The weights are drawn from the number."""
        place = self.folder / str(number)
        if not place.exists():
            save_checkpoint(place, new_model(self.shape, self.tokenizer, seed=number), self.tokenizer, {})
        return place

    def adapter(self, number: int) -> Path:
        """Of rank 16 on every linear layer, large enough to change greedy answers."""
        place = self.folder / f"adapter {number}"
        if not place.exists():
            base = load_model(self.whole(0), dtype="float32", device="cpu")
            policy = add_adapter(base, Lora(r=16), seed=number)
            stream = torch.Generator().manual_seed(stable_seed("bench adapter", number))
            for name, parameter in policy.named_parameters():
                if ".lora_" in name:
                    parameter.data = 0.05 * torch.randn(parameter.shape, generator=stream)
            save_adapter(place, policy, self.tokenizer, base="0", identity={})
        return place
