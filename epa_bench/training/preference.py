"""Training one checkpoint by one arm of the grid."""

from collections.abc import Callable, Mapping
from pathlib import Path

from torch.utils.data import Dataset
from transformers import PreTrainedModel

from epa_bench.config.schema import Training
from epa_bench.losses.table import get_loss
from epa_bench.models.self_check import choose_score_pass
from epa_bench.training.batches import EncodedCandidate, GroupCollator
from epa_bench.training.run import run_trainer, training_arguments
from epa_bench.training.trainer import PreferenceTrainer, warmup_steps


def train_preference(
    model: PreTrainedModel,
    dataset: Dataset[list[EncodedCandidate]],
    folder: Path,
    *,
    loss: str,
    options: Mapping[str, float],
    beta: float,
    learning_rate: float,
    nll: float,
    seed: int,
    steps: int,
    settings: Training,
    candidates: int,
    longest: int,
    device: str,
    report: Callable[[int, int], None],
) -> None:
    """Trains `model` in place over the whole plan, once and in its order, resuming from what `folder` holds.

    `candidates`: K, the widest group; `longest`: tokens of the longest sequence there may be.
    """
    arguments = training_arguments(
        folder,
        device=device,
        save_steps=settings.save_steps,
        seed=seed,
        # The plan is already the order of the whole run, epochs included.
        train_sampling_strategy="sequential",
        num_train_epochs=1,
        per_device_train_batch_size=settings.per_device_train_batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation_steps,
        learning_rate=learning_rate,
        lr_scheduler_type=settings.lr_scheduler_type,
        warmup_steps=warmup_steps(settings.warmup_ratio, steps),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        bf16=settings.dtype == "bfloat16",
        gradient_checkpointing=settings.gradient_checkpointing,
    )
    trainer = PreferenceTrainer(
        loss=get_loss(loss),
        options=options,
        beta=beta,
        nll=nll,
        dtype=settings.dtype,
        model=model,
        args=arguments,
        score_pass=choose_score_pass(model, longest=longest),
        data_collator=GroupCollator(candidates),
        train_dataset=dataset,
    )
    run_trainer(trainer, folder, report)
