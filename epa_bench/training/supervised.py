"""The Trainer of the supervised stage: cross-entropy by the score pass, on packed sequences."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import Trainer

from epa_bench.data.chat import EncodedResponse
from epa_bench.models.logprobs import ScorePass
from epa_bench.models.packing import pack_sequences
from epa_bench.training.distributed import shard_on_cpu

_Row = TypeVar("_Row", covariant=True)


class Rows(Dataset[_Row]):
    """A sequence as a data set."""

    def __init__(self, rows: Sequence[_Row]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> _Row:
        return self._rows[index]


class PlannedRows(Dataset[_Row]):
    """Rows that are made when they are asked for, by their place in the whole run."""

    def __init__(self, count: int, row: Callable[[int], _Row]) -> None:
        self._count = count
        self._row = row

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> _Row:
        return self._row(index)


@dataclass(frozen=True, slots=True)
class StepShare:
    """A sequence with what the loss of its optimizer step is divided by, which other forward passes decide too."""

    sequence: EncodedResponse

    tokens: float
    """Response tokens of a sequence of the step, on average."""


class SupervisedTrainer(Trainer):
    """Minimises the mean negative log-likelihood of a batch's response tokens, or of a whole step's; nats."""

    def __init__(self, *, score_pass: ScorePass, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # The loss is a mean already; see PreferenceTrainer.
        self.model_accepts_loss_kwargs = False
        self._score_pass = score_pass

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        shard_on_cpu(self)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        result = self._score_pass(model, inputs["sequences"])
        loss = -result.logps_N.sum() / inputs["tokens"]
        return (loss, {}) if return_outputs else loss


def collate(batch: Sequence[EncodedResponse]) -> dict[str, Any]:
    """What `SupervisedTrainer.compute_loss` takes: the batch is the step."""
    sequences = pack_sequences(batch)
    return {"sequences": sequences, "tokens": sequences.tokens_N.sum()}


def collate_shares(batch: Sequence[StepShare]) -> dict[str, Any]:
    """What `SupervisedTrainer.compute_loss` takes: the batch is one of equal parts of the step.

    The mean of the parts' losses is that of the step's tokens.
    """
    return {
        "sequences": pack_sequences([row.sequence for row in batch]),
        "tokens": torch.tensor(sum(row.tokens for row in batch)),
    }
