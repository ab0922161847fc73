"""What `tests/invariants/test_rank_layouts.py` lets torchrun start: trainings on two ranks, one after another.

`torchrun --nproc-per-node 2 tests/rank_trainings.py FOLDER` leaves FOLDER/KIND/NAME/ with `model`, `training_log.jsonl`
and a `rank-R.json` of each rank.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from peft import PeftModel
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.utils import logging

from epa_bench.config.lora import Lora
from epa_bench.config.schema import Training
from epa_bench.config.supervised import CheckpointSft
from epa_bench.data.validation import hold_out
from epa_bench.models.adapters import add_adapter, save_adapter
from epa_bench.models.checkpoint import save_checkpoint
from epa_bench.models.scoring import score_sequences
from epa_bench.training.batches import EncodedCandidate, GroupDataset
from epa_bench.training.distributed import is_first_rank, leave_ranks, whole_weights
from epa_bench.training.preference import train_preference
from epa_bench.training.run import remove_checkpoints
from epa_bench.training.sft import train_further
from epa_bench.training.trainer import PreferenceTrainer
from tests.tiny import (
    BETA,
    Problem,
    counted,
    from_config,
    tiny_model,
    tiny_preferences,
    tiny_problem,
    tiny_renderer,
    tiny_tokenizer,
)

RECIPE: dict[str, Any] = {"learning_rate": 4e-4, "nll": 0.1}
SPLITS = [(8, 1), (2, 4)]
STOPS = [1, 3, 5]


class Recorded(GroupDataset, TrainerCallback):
    """Remembers which groups were asked for while training; before, their sizes are looked at."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.groups, problem.preferences, problem.encode, problem.reference)
        self.asked: list[int] = []

    def __getitem__(self, index: int) -> list[EncodedCandidate]:
        self.asked.append(index)
        return super().__getitem__(index)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.asked.clear()


def wide_problem() -> Problem:
    """Groups of different widths, which a mean over ranks could get wrong."""
    return tiny_problem(2, 2, epochs=2)


def short_problem() -> Problem:
    """Five steps, to be stopped at each."""
    return tiny_problem(1, 1)


def validated_problem() -> Problem:
    """Ten held-out pairs, which two ranks could not share in equal batches of four."""
    return tiny_problem(1, 1, held_out=hold_out(tiny_preferences(), rows=10, seed=0))


VALIDATED: dict[str, Any] = {
    # By accuracy, the best step is not the last.
    "validation": {
        "rows": 10,
        "eval_steps": 1,
        "load_best_model_at_end": True,
        "metric_for_best_model": "rewards/accuracies",
    },
    "lr_scheduler_type": "constant",
}


def in_bf16(problem: Problem) -> Problem:
    """The same with what the reference gives in bf16."""
    sequences = [sequence for group in problem.groups for sequence in counted(problem, group)]
    model = torch.nn.Module.to(tiny_model(0), torch.bfloat16)
    scores = score_sequences(model, sequences, batch_tokens=1024)
    return replace(problem, reference={score.key: score for score in scores})


def settings(batch: int = 2, accumulation: int = 4, **others: Any) -> Training:
    return Training(per_device_train_batch_size=batch, gradient_accumulation_steps=accumulation, **others)


def untied_model() -> PreTrainedModel:
    """The same with an output layer of its own, as large models have; FSDP2 groups it in another way."""
    tied = tiny_model(0)
    untied = from_config(type(tied.config)(**{**tied.config.to_dict(), "tie_word_embeddings": False}))
    untied.load_state_dict(tied.state_dict())
    return untied


def adapted_model() -> PeftModel:
    return add_adapter(tiny_model(0), Lora(r=4), seed=1)


def train_on_ranks(
    problem: Problem,
    folder: Path,
    training: Training,
    stop_at: int | None = None,
    model: PreTrainedModel | PeftModel | None = None,
) -> None:
    """Trains and saves; stops with InterruptedError behind a step, before its checkpoint is written."""

    def report(step: int, _: int) -> None:
        if step == stop_at:
            raise InterruptedError

    model, dataset = model or tiny_model(0), Recorded(problem)
    train_preference(
        model,
        dataset,
        folder,
        loss="epa",
        options={},
        beta=BETA,
        seed=1,
        steps=problem.steps,
        settings=training,
        candidates=problem.candidates,
        longest=128,
        device="cpu",
        report=report,
        validation=problem.dataset_of(problem.validation) if problem.validation else None,
        callbacks=[dataset],
        **RECIPE,
    )
    numbers = {"asked": dataset.asked, "parameters": sum(_local_sizes(model))}
    (folder / f"rank-{os.environ['RANK']}.json").write_text(json.dumps(numbers))
    weights = whole_weights(model)
    if is_first_rank():
        if isinstance(model, PeftModel):
            save_adapter(folder / "model", model, tiny_tokenizer(), base="base", identity={}, weights=weights)
        else:
            save_checkpoint(folder / "model", model, tiny_tokenizer(), {"kind": "trained"}, weights)
        remove_checkpoints(folder)


def _local_sizes(model: torch.nn.Module) -> Iterator[int]:
    for parameter in model.parameters():
        yield (parameter.to_local() if isinstance(parameter, DTensor) else parameter).numel()


def supervised_settings(batch: int, accumulation: int, **others: Any) -> CheckpointSft:
    """Rows in steps of eight, the last of which goes over an epoch."""
    split = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation}
    return CheckpointSft.model_validate({**split, "learning_rate": 1e-3, "num_train_epochs": 2, **others})


def train_further_from_tiny(folder: Path, settings: CheckpointSft) -> PreTrainedModel:
    """The supervised stage, in one process or on each rank."""
    model = tiny_model(0)
    sequences = [tiny_renderer().encode(p.prompt, p.chosen.text) for p in tiny_preferences(30)]
    aligned = [(-0.5 - 0.1 * (i % 7), -2.0 - 0.2 * (i % 5)) for i in range(len(sequences))]
    train_further(
        model,
        sequences,
        settings,
        folder,
        longest=128,
        device="cpu",
        report=lambda done, total: None,
        aligned=aligned,
    )
    return model


def train_further_on_ranks(folder: Path, settings: CheckpointSft) -> None:
    model = train_further_from_tiny(folder, settings)
    weights = whole_weights(model)
    if is_first_rank():
        save_checkpoint(folder / "model", model, tiny_tokenizer(), {"kind": "reference"}, weights)
        remove_checkpoints(folder)


def train_with_a_slow_rank(problem: Problem, folder: Path) -> None:
    """The second rank is late to write its part of each checkpoint, and tells whether that was sealed meanwhile."""
    save, sealed = PreferenceTrainer._save_rng_state, []

    def save_late(trainer: PreferenceTrainer, checkpoint: str) -> None:
        if os.environ["RANK"] == "1":
            time.sleep(0.3)
            sealed.append((Path(checkpoint) / "complete").exists())
        save(trainer, checkpoint)

    with mock.patch.object(PreferenceTrainer, "_save_rng_state", save_late):
        train_on_ranks(problem, folder, settings(save_steps=2))
    if sealed:
        (folder / "sealed-before-whole.json").write_text(json.dumps(sealed))


def main(folder: Path) -> None:
    wide, short = wide_problem(), short_problem()
    for kind, fsdp in (("ddp", False), ("fsdp", True)):
        for batch, accumulation in SPLITS:
            train_on_ranks(wide, folder / kind / f"{batch}x{accumulation}", settings(batch, accumulation, fsdp=fsdp))
        train_on_ranks(validated_problem(), folder / kind / "validated", settings(4, 2, fsdp=fsdp, **VALIDATED))
        for stop_at in (None, 3):
            adapted = folder / kind / f"adapter-{stop_at}"
            with suppress(InterruptedError):
                train_on_ranks(short, adapted, settings(save_steps=1, fsdp=fsdp), stop_at, adapted_model())
            if stop_at is not None:
                train_on_ranks(short, adapted, settings(save_steps=1, fsdp=fsdp), model=adapted_model())
        for objective in ("sft", "poft"):
            supervised = supervised_settings(2, 4, objective=objective, fsdp=fsdp)
            train_further_on_ranks(folder / kind / f"supervised-{objective}", supervised)
        resumable = settings(save_steps=1, fsdp=fsdp)
        train_on_ranks(short, folder / kind / "undisturbed", resumable)
        for stop_at in STOPS:
            stopped = folder / kind / f"stopped-at-{stop_at}"
            with suppress(InterruptedError):
                train_on_ranks(short, stopped, resumable, stop_at)
            train_on_ranks(short, stopped, resumable)
    train_with_a_slow_rank(short, folder / "ddp" / "slow-rank")
    train_on_ranks(short, folder / "fsdp" / "checkpointing", settings(fsdp=True, gradient_checkpointing=True))
    train_on_ranks(short, folder / "fsdp" / "untied", settings(fsdp=True), model=untied_model())
    train_on_ranks(in_bf16(short), folder / "fsdp" / "bf16", settings(fsdp=True, dtype="bfloat16"))
    leave_ranks()


if __name__ == "__main__":
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    main(Path(sys.argv[1]))
