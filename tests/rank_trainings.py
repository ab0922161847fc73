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
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel
from transformers.utils import logging

from epa_bench.config.schema import Training
from epa_bench.models.scoring import score_sequences
from epa_bench.training.batches import EncodedCandidate, GroupDataset
from epa_bench.training.distributed import leave_ranks, save_trained
from epa_bench.training.preference import train_preference
from epa_bench.training.trainer import PreferenceTrainer
from tests.tiny import BETA, Problem, counted, from_config, tiny_model, tiny_problem, tiny_tokenizer

RECIPE: dict[str, Any] = {"learning_rate": 4e-4, "nll": 0.1}
SPLITS = [(8, 1), (2, 4)]
STOPS = [1, 3, 5]


class Recorded(GroupDataset):
    """Remembers which groups were asked for; each is asked for once before training, to estimate its memory."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.groups, problem.preferences, problem.encode, problem.reference)
        self.asked: list[int] = []

    def __getitem__(self, index: int) -> list[EncodedCandidate]:
        self.asked.append(index)
        return super().__getitem__(index)


def wide_problem() -> Problem:
    """Groups of different widths, which a mean over ranks could get wrong."""
    return tiny_problem(2, 2, epochs=2)


def short_problem() -> Problem:
    """Five steps, to be stopped at each."""
    return tiny_problem(1, 1)


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


def train_on_ranks(
    problem: Problem,
    folder: Path,
    training: Training,
    stop_at: int | None = None,
    model: PreTrainedModel | None = None,
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
        **RECIPE,
    )
    looked_at = 0 if training.fsdp else len(dataset)
    numbers = {"trained": dataset.asked[looked_at:], "parameters": sum(_local_sizes(model))}
    (folder / f"rank-{os.environ['RANK']}.json").write_text(json.dumps(numbers))
    save_trained(folder / "model", model, tiny_tokenizer(), {"kind": "trained"})


def _local_sizes(model: torch.nn.Module) -> Iterator[int]:
    for parameter in model.parameters():
        yield (parameter.to_local() if isinstance(parameter, DTensor) else parameter).numel()


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
