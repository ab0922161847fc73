"""The supervised stage: a reference model trained on responses given their prompts."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedModel, Trainer

from epa_bench.config.schema import Sft
from epa_bench.data.chat import EncodedResponse
from epa_bench.models.logprobs import pad_sequences
from epa_bench.training.run import run_trainer, training_arguments
from epa_bench.training.trainer import warmup_steps

_IGNORED = -100
"""The label transformers' loss leaves out."""


class _Sequences(Dataset[EncodedResponse]):
    def __init__(self, sequences: Sequence[EncodedResponse]) -> None:
        self._sequences = sequences

    def __len__(self) -> int:
        return len(self._sequences)

    def __getitem__(self, index: int) -> EncodedResponse:
        return self._sequences[index]


def train_sft(
    model: PreTrainedModel,
    sequences: Sequence[EncodedResponse],
    settings: Sft,
    folder: Path,
    *,
    pad_id: int,
    device: str,
    save_steps: int | None,
    report: Callable[[int, int], None],
) -> None:
    """Cross-entropy on response tokens only, in place, AdamW with a cosine schedule; fp32."""

    def collate(batch: Sequence[EncodedResponse]) -> dict[str, Tensor]:
        padded = pad_sequences(batch, pad_id)
        position_T = torch.arange(padded.ids_NT.shape[1])
        in_response_NT = (position_T >= padded.prompt_lengths_N[:, None]) & (position_T < padded.lengths_N[:, None])
        return {"input_ids": padded.ids_NT, "labels": padded.ids_NT.where(in_response_NT, _IGNORED)}

    steps = settings.num_train_epochs * -(-len(sequences) // settings.batch_size)
    arguments = training_arguments(
        folder,
        device=device,
        save_steps=save_steps,
        seed=settings.seed,
        per_device_train_batch_size=settings.batch_size,
        num_train_epochs=settings.num_train_epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=warmup_steps(settings.warmup_ratio, steps),
        weight_decay=settings.weight_decay,
    )
    run_trainer(Trainer(model, arguments, data_collator=collate, train_dataset=_Sequences(sequences)), folder, report)
