"""The supervised stage: a reference model trained on responses given their prompts."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedModel, Trainer

from epa_bench.config.schema import Sft
from epa_bench.data.chat import EncodedResponse
from epa_bench.models.logprobs import ScorePass
from epa_bench.models.packing import PackedSequences, pack_sequences
from epa_bench.models.self_check import choose_score_pass
from epa_bench.training.run import run_trainer, training_arguments
from epa_bench.training.trainer import warmup_steps


class _Sequences(Dataset[EncodedResponse]):
    def __init__(self, sequences: Sequence[EncodedResponse]) -> None:
        self._sequences = sequences

    def __len__(self) -> int:
        return len(self._sequences)

    def __getitem__(self, index: int) -> EncodedResponse:
        return self._sequences[index]


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


def _collate(batch: Sequence[EncodedResponse]) -> dict[str, PackedSequences]:
    return {"sequences": pack_sequences(batch)}


def train_sft(
    model: PreTrainedModel,
    sequences: Sequence[EncodedResponse],
    settings: Sft,
    folder: Path,
    *,
    longest: int,
    device: str,
    save_steps: int | None,
    report: Callable[[int, int], None],
) -> None:
    """Cross-entropy on response tokens only, in place, AdamW with a cosine schedule; fp32.

    `longest`: tokens of the longest sequence there may be.
    """
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
    trainer = SupervisedTrainer(
        score_pass=choose_score_pass(model, longest=longest),
        model=model,
        args=arguments,
        data_collator=_collate,
        train_dataset=_Sequences(sequences),
    )
    run_trainer(trainer, folder, report)
