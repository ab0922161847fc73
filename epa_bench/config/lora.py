"""Low-rank adapters, as a sweep asks for them."""

from typing import Any

from epa_bench.config.values import ALL_LINEAR, Count, Layers
from epa_bench.core.records import Record


class Lora(Record):
    """A LoRA adapter is trained instead of the weights. Names are PEFT's.

    Where the reference is an adapter itself, a copy of it is trained on; it has all of these already, so leave them
    out. There is no lora_dropout: like every dropout here it is off, so that policy and reference agree at step 0.
    """

    r: Count | None = None
    """Rank of the update; 16 for a new adapter."""

    lora_alpha: Count | None = None
    """The update is scaled by lora_alpha / r; 32 for a new adapter."""

    target_modules: Layers | None = None
    """Names of layers, whole or their last parts; all-linear, every one but the output layer, for a new adapter."""

    use_rslora: bool | None = None
    """Scale by lora_alpha / sqrt(r); off for a new adapter."""

    def recipe(self) -> dict[str, Any]:
        """A new adapter's settings, defaults filled in; JSON that is equal for equal adapters."""
        return {
            "r": self.r or 16,
            "lora_alpha": self.lora_alpha or 32,
            "target_modules": sorted(self.target_modules or (ALL_LINEAR,)),
            "use_rslora": bool(self.use_rslora),
        }
