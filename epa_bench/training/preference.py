"""Training one checkpoint by one arm of the grid."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from transformers import TrainerCallback

from epa_bench.config.schema import Training
from epa_bench.losses.table import get_loss
from epa_bench.models.self_check import choose_score_pass
from epa_bench.training.batches import GroupCollator, GroupDataset
from epa_bench.training.distributed import rank_arguments, sum_gradients_in_fp32
from epa_bench.training.memory import check_memory
from epa_bench.training.run import planned_arguments, run_trainer, training_arguments
from epa_bench.training.speed import TimeSteps, write_speed
from epa_bench.training.trainer import PreferenceTrainer
from epa_bench.training.validation import (
    Chosen,
    ValidatedTrainer,
    chosen_by,
    keep_best,
    validation_arguments,
    write_validation_log,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a training ended with."""

    last: Mapping[str, float]
    """Loss and metrics of the last optimizer step."""

    chosen: Chosen | None
    """The evaluation whose weights were kept, where the best one is."""


def train_preference(
    model: nn.Module,
    dataset: GroupDataset,
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
    validation: GroupDataset | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    tracking: Mapping[str, Any] | None = None,
) -> Outcome:
    """Trains `model`, of a PEFT model its adapter, in place over the whole plan, once and in its order.

    A killed training goes on from what `folder` holds. `candidates`: K, the widest group; `longest`: tokens of the
    longest sequence there may be; `validation`: held-out pairs, where `settings` ask for them; `callbacks`: called as
    by any Trainer, before this package's own; `tracking`: further TrainingArguments that decide no result
    (`report_to`, `run_name`). Raises TrainingError where the training cannot fit into memory, does not start where it
    must, or a loss or gradient is not finite.

    Under torchrun or `accelerate launch` every rank calls this with the same arguments and its own copy of the model;
    the ranks share the groups of each step, and the first one writes. With `settings.fsdp` the model's parameters are
    shards afterwards, which `distributed.whole_weights` puts together. Raises ConfigError where the ranks cannot share
    a step evenly.
    """
    score_pass = choose_score_pass(model, longest=longest)
    if not settings.fsdp:
        # What a rank holds of a sharded model is not estimated.
        check_memory(model, dataset.sequences(), settings, score_pass)
    held_out = settings.validation
    arguments = training_arguments(
        folder,
        device=device,
        seed=seed,
        learning_rate=learning_rate,
        **{**planned_arguments(settings, steps), **_validation(settings)},
        **rank_arguments(settings, device),
        **(tracking or {}),
    )
    sum_gradients_in_fp32(arguments)
    trainer_class = PreferenceTrainer if held_out is None else ValidatedTrainer
    trainer = trainer_class(
        loss=get_loss(loss),
        options=options,
        beta=beta,
        nll=nll,
        dtype=settings.dtype,
        model=model,
        args=arguments,
        score_pass=score_pass,
        data_collator=GroupCollator(candidates),
        train_dataset=dataset,
        eval_dataset=validation,
        callbacks=[*callbacks, TimeSteps()],
    )
    if held_out is not None and held_out.load_best_model_at_end:
        keep_best(trainer)
    log = run_trainer(trainer, folder, report, rows_of_step=trainer.rows_of_step)
    if trainer.is_world_process_zero():
        write_speed(trainer.state, dataset.tokens_of_steps(), folder)
        if held_out is not None:
            write_validation_log(trainer.state, folder)
    return Outcome(log[-1], chosen_by(held_out, trainer.state) if held_out is not None else None)


def _validation(settings: Training) -> dict[str, Any]:
    if settings.validation is None:
        return {}
    return validation_arguments(settings.validation, settings.per_device_train_batch_size, settings.save_steps)
