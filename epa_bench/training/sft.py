"""The supervised stage: a reference model trained on responses given their prompts."""

from collections.abc import Callable, Sequence
from pathlib import Path

from transformers import PreTrainedModel

from epa_bench.config.supervised import Sft
from epa_bench.data.chat import EncodedResponse
from epa_bench.models.self_check import choose_score_pass
from epa_bench.training.poft import PoftTrainer, collate_scored, scored_sequences
from epa_bench.training.run import run_trainer, training_arguments
from epa_bench.training.supervised import Rows, SupervisedTrainer, collate
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
    """The objective of `settings`, in place, AdamW with a cosine schedule; fp32.

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
    if settings.objective == "poft":
        trainer: SupervisedTrainer = PoftTrainer(
            settings=settings.poft,
            score_pass=score_pass,
            model=model,
            args=arguments,
            data_collator=collate_scored,
            train_dataset=Rows(scored_sequences(sequences, aligned, settings.poft.mask)),
        )
    else:
        trainer = SupervisedTrainer(
            score_pass=score_pass,
            model=model,
            args=arguments,
            data_collator=collate,
            train_dataset=Rows(sequences),
        )
    run_trainer(trainer, folder, report)
