"""The Trainer of the supervised stage: cross-entropy by the score pass, on packed sequences."""

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import Trainer

from epa_bench.data.chat import EncodedResponse
from epa_bench.models.logprobs import ScorePass
from epa_bench.models.packing import PackedSequences, pack_sequences

_Row = TypeVar("_Row", covariant=True)


class Rows(Dataset[_Row]):
    """A sequence as a data set."""

    def __init__(self, rows: Sequence[_Row]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> _Row:
        return self._rows[index]


class SupervisedTrainer(Trainer):
    """Minimises the mean negative log-likelihood of a batch's response tokens, nats."""

    def __init__(self, *, score_pass: ScorePass, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # The loss is a mean already; see PreferenceTrainer.
        self.model_accepts_loss_kwargs = False
        self._score_pass = score_pass

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        result = self._score_pass(model, inputs["sequences"])
        loss = -result.logps_N.sum() / result.tokens_N.sum()
        return (loss, {}) if return_outputs else loss


def collate(batch: Sequence[EncodedResponse]) -> dict[str, PackedSequences]:
    """What `SupervisedTrainer.compute_loss` takes."""
    return {"sequences": pack_sequences(batch)}
