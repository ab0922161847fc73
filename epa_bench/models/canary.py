"""A fixed probe that tells whether an engine holds a checkpoint's weights: it must give it transformers' log-probs."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel

from epa_bench.core.digest import stable_seed
from epa_bench.core.errors import CheckpointError
from epa_bench.core.notices import notice

_TOKENS = 24
"""Fewer than the least `engine.max_model_len`."""

_TOLERANCE = {"float32": 1e-4, "bfloat16": 0.1}
"""Mean absolute difference of the log-probs, nats a token, that rounding explains."""


@dataclass(frozen=True)
class Canary:
    """Token ids, the first of which is given, and log p of each of the others."""

    token_ids: tuple[int, ...]
    logps: tuple[float, ...]

    def check(self, found: tuple[float, ...], dtype: str, folder: Path) -> None:
        """Raises CheckpointError where an engine that should hold the weights of `folder` gives other log-probs."""
        apart = self._apart(found)
        if not apart <= _TOLERANCE[dtype]:
            raise CheckpointError(
                f"vLLM's log-probs of a fixed probe differ from transformers' by {apart:.3g} nats a token for the "
                f"checkpoint in {folder}, expected at most {_TOLERANCE[dtype]:g} in {dtype}: it does not hold these "
                "weights. Use --set engine=transformers"
            )

    def check_attached(self, without: tuple[float, ...], found: tuple[float, ...], dtype: str, folder: Path) -> None:
        """Of an engine's log-probs without and with the adapter of `folder`, whose this canary is.

        Raises CheckpointError where they are the same. Says so where rounding alone would explain how far those
        without it are from this canary: `check` passes then whether the adapter is applied or not.
        """
        if found == without:
            raise CheckpointError(
                f"vLLM's log-probs of a probe are the same with the adapter in {folder} as without it: it leaves "
                "it out, or the adapter changes nothing"
            )
        apart = self._apart(without)
        if apart <= _TOLERANCE[dtype]:
            notice(
                f"without the adapter in {folder} vLLM is only {apart:.3g} nats a token off it on a fixed probe, and "
                f"{_TOLERANCE[dtype]:g} are taken for rounding in {dtype}: that the adapter changes its log-probs is "
                "shown, that it changes them rightly is not"
            )

    def _apart(self, found: tuple[float, ...]) -> float:
        """Mean absolute difference, nats a token."""
        return sum(abs(a - b) for a, b in zip(found, self.logps, strict=True)) / len(self.logps)


@torch.no_grad()
def canary_of(model: PreTrainedModel) -> Canary:
    """By the model's plain forward. The ids are drawn from the vocabulary, the same for each model of its size."""
    vocabulary = int(model.config.get_text_config().vocab_size)
    ids = [stable_seed("canary", place) % vocabulary for place in range(_TOKENS)]
    logits_TV = model(input_ids=torch.tensor([ids], device=model.device)).logits[0, :-1]
    logps_TV = torch.log_softmax(logits_TV.float(), dim=-1)
    targets_T = torch.tensor(ids[1:], device=model.device)
    return Canary(tuple(ids), tuple(logps_TV.gather(1, targets_T[:, None])[:, 0].tolist()))
