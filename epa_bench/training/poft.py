"""PoFT in the supervised stage: each sequence weighted by what aligned models say of it.

Shapes: N sequences, J aligned models, Q quantiles.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from epa_bench.config.supervised import Poft
from epa_bench.data.chat import EncodedResponse
from epa_bench.losses.poft import poft_loss, poft_weights
from epa_bench.models.packing import pack_sequences
from epa_bench.training.distributed import of_all_ranks
from epa_bench.training.supervised import SupervisedTrainer

Mask = Literal["response", "released"]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of tau over a step's sequences, logged as tau/q05 to tau/q95."""


@dataclass(frozen=True, slots=True)
class ScoredSequence:
    """What the trained model scores, and what each aligned model says of the response: nats a token of its own."""

    sequence: EncodedResponse
    aligned: Sequence[float]


class PoftTrainer(SupervisedTrainer):
    """Minimises the mean over a batch's sequences of PoFT's loss, and logs the quantiles of their weights tau."""

    def __init__(self, *, settings: Poft, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._beta, self._gamma = settings.beta, settings.gamma
        self._weights: list[Tensor] = []

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        result = self._score_pass(model, inputs["sequences"])
        scores = result.logps_N, result.tokens_N, inputs["aligned_NJ"]
        self._weights.append(poft_weights(*scores, beta=self._beta, gamma=self._gamma).detach())
        loss = poft_loss(*scores, beta=self._beta, gamma=self._gamma).mean()
        return (loss, {}) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds tau's quantiles since the last log, over all ranks."""
        if self._weights:
            weights_N = torch.tensor(of_all_ranks(torch.cat(self._weights).tolist()))
            taus_Q = weights_N.quantile(torch.tensor(QUANTILES))
            logs = logs | {f"tau/q{round(100 * q):02}": tau for q, tau in zip(QUANTILES, taus_Q.tolist(), strict=True)}
            self._weights.clear()
        super().log(logs, start_time)


def scored_sequences(
    sequences: Sequence[EncodedResponse], aligned: Sequence[Sequence[float]], mask: Mask
) -> list[ScoredSequence]:
    """Each sequence with its aligned scores."""
    return [scored_sequence(sequence, scores, mask) for sequence, scores in zip(sequences, aligned, strict=True)]


def scored_sequence(sequence: EncodedResponse, aligned: Sequence[float], mask: Mask) -> ScoredSequence:
    """A sequence with its aligned scores; under `released` the trained model scores the prompt's tokens too."""
    return ScoredSequence(_whole_text(sequence) if mask == "released" else sequence, aligned)


def collate_scored(batch: Sequence[ScoredSequence]) -> dict[str, Any]:
    """What `PoftTrainer.compute_loss` takes."""
    return {
        "sequences": pack_sequences([row.sequence for row in batch]),
        "aligned_NJ": torch.tensor([list(row.aligned) for row in batch], dtype=torch.float32),
    }


def _whole_text(sequence: EncodedResponse) -> EncodedResponse:
    """The same tokens, all scored but the first, which nothing predicts."""
    first, *rest = sequence.prompt_ids
    return EncodedResponse([first], [*rest, *sequence.response_ids], sequence.truncated)
