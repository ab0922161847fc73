"""The supervised stage: a model trained on responses given their prompts, from scratch or from a checkpoint."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from peft import PeftModel
from transformers import PreTrainedModel

from epa_bench.config.supervised import CheckpointSft, Sft, SupervisedStage
from epa_bench.data.chat import EncodedResponse
from epa_bench.data.supervised import order_of_rows
from epa_bench.models.self_check import choose_score_pass
from epa_bench.training.distributed import rank_arguments, sum_gradients_in_fp32
from epa_bench.training.memory import check_memory
from epa_bench.training.poft import PoftTrainer, ScoredSequence, collate_scored, scored_sequence, scored_sequences
from epa_bench.training.run import planned_arguments, run_trainer, training_arguments
from epa_bench.training.speed import TimeSteps, write_speed
from epa_bench.training.supervised import PlannedRows, Rows, StepShare, SupervisedTrainer, collate, collate_shares
from epa_bench.training.trainer import warmup_steps


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
    aligned: Sequence[Sequence[float]] = (),
) -> None:
    """The objective of `settings`, in place, AdamW with a cosine schedule; fp32, a step in one forward pass.

    `longest`: tokens of the longest sequence there may be; `aligned`: for PoFT each sequence's mean log-prob a response
    token, nats, under every aligned model.
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
    score_pass = choose_score_pass(model, longest=longest)
    poft = settings.objective == "poft"
    trainer = _trainer(
        settings,
        score_pass=score_pass,
        model=model,
        args=arguments,
        data_collator=collate_scored if poft else collate,
        train_dataset=Rows(scored_sequences(sequences, aligned, settings.poft.mask) if poft else sequences),
    )
    run_trainer(trainer, folder, report)


def train_further(
    model: PreTrainedModel | PeftModel,
    sequences: Sequence[EncodedResponse],
    settings: CheckpointSft,
    folder: Path,
    *,
    longest: int,
    device: str,
    report: Callable[[int, int], None],
    aligned: Sequence[Sequence[float]] = (),
) -> None:
    """The same of a pretrained model, of a PEFT model its adapter, in whatever split into forward passes and ranks.

    Arguments as of `train_sft`. A killed training goes on from what `folder` holds. Every rank calls this with the same
    arguments and its own copy of the model, which `distributed.whole_weights` puts together again where `settings.fsdp`
    shards it. Raises DataError where the rows make no whole step, TrainingError where the training cannot fit into
    memory or a loss or gradient is not finite, ConfigError where the ranks cannot share a step evenly.
    """
    order = order_of_rows(
        len(sequences), rows_per_step=settings.groups_per_step, epochs=settings.num_train_epochs, seed=settings.seed
    )
    score_pass = choose_score_pass(model, longest=longest)
    if not settings.fsdp:
        # What a rank holds of a sharded model is not estimated.
        check_memory(model, ([sequences[i]] for i in order), settings, score_pass, "reference.sft")
    arguments = training_arguments(
        folder,
        device=device,
        seed=settings.seed,
        learning_rate=settings.learning_rate,
        **planned_arguments(settings, len(order) // settings.groups_per_step),
        **rank_arguments(settings, device),
    )
    sum_gradients_in_fp32(arguments)
    trainer = _trainer(
        settings,
        score_pass=score_pass,
        model=model,
        args=arguments,
        data_collator=collate_scored if settings.objective == "poft" else collate_shares,
        train_dataset=_planned(settings, sequences, order, aligned),
        callbacks=[TimeSteps()],
    )
    run_trainer(trainer, folder, report)
    if trainer.is_world_process_zero():
        lengths = [len(sequences[i].prompt_ids) + len(sequences[i].response_ids) for i in order]
        tokens = {step: sum(of_step) for step, of_step in enumerate(_steps(settings, lengths))}
        write_speed(trainer.state, tokens, folder)


def _planned(
    settings: CheckpointSft,
    sequences: Sequence[EncodedResponse],
    order: Sequence[int],
    aligned: Sequence[Sequence[float]],
) -> PlannedRows[ScoredSequence] | PlannedRows[StepShare]:
    if settings.objective == "poft":
        mask = settings.poft.mask
        return PlannedRows(
            len(order), lambda place: scored_sequence(sequences[order[place]], aligned[order[place]], mask)
        )
    means = [fmean(of_step) for of_step in _steps(settings, [len(sequences[i].response_ids) for i in order])]
    return PlannedRows(
        len(order), lambda place: StepShare(sequences[order[place]], means[place // settings.groups_per_step])
    )


def _steps(settings: CheckpointSft, values: Sequence[int]) -> Iterator[Sequence[int]]:
    """The values of each optimizer step's rows."""
    for start in range(0, len(values), settings.groups_per_step):
        yield values[start : start + settings.groups_per_step]


def _trainer(settings: SupervisedStage, **arguments: Any) -> SupervisedTrainer:
    if settings.objective == "poft":
        return PoftTrainer(settings=settings.poft, **arguments)
    return SupervisedTrainer(**arguments)
