"""Held-out pairs scored while a training runs, and the checkpoint chosen by them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import EvalLoopOutput

from epa_bench.config.schema import Validation
from epa_bench.core.files import atomic_write_text
from epa_bench.losses.metrics import Tally
from epa_bench.training.seal import checkpoint_at
from epa_bench.training.trainer import PreferenceTrainer

VALIDATION_FILE = "validation_log.jsonl"
"""One JSON line an evaluation: its step and every metric of a training step, the loss included, as `eval_NAME`."""

_TIMINGS = ("_runtime", "_per_second", "_preparation_time")
"""Ends of the names that transformers adds; a log that holds them could not be the same twice."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The evaluation whose weights a training ends with."""

    step: int
    """Optimizer steps done, from 1."""

    metric: str
    value: float


class ValidatedTrainer(PreferenceTrainer):
    """Adds evaluation: the arm's own loss and the metrics of training on `eval_dataset`, means over its groups."""

    def get_eval_dataloader(self, eval_dataset: Any = None) -> "DataLoader[Any]":
        """All held-out pairs on every rank: unequal shares would be filled up with pairs that then count twice."""
        assert isinstance(self.eval_dataset, Dataset)
        return DataLoader(self.eval_dataset, self.args.per_device_eval_batch_size, collate_fn=self.data_collator)

    def prediction_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[None, None, None]:
        """Gathers; a mean of micro-batch means would weigh the last, smaller one like the others."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            loss: Tensor = self.compute_loss(model, inputs)
        groups = torch.tensor(float(len(inputs["mask_GK"])), device=loss.device)
        self._add("loss", Tally(loss * groups, groups))
        return None, None, None

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """The Trainer's, with what was gathered as its metrics."""
        output = super().evaluation_loop(*args, **kwargs)
        gathered = {f"eval_{name}": mean for name, mean in self._gathered().items()}
        return output._replace(metrics={**(output.metrics or {}), **gathered})


class KeepBest(TrainerCallback):
    """Saves wherever it evaluates: the best checkpoint exists whatever `save_steps` is, which decides no result."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # A resumed run has the path it had then; the folder may have moved since.
        _point_at_best(args, state)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        # The Trainer takes the path only where the folder is there early, which for a sharded model is so on some
        # ranks and not on others: each would then load its shard of another checkpoint.
        _point_at_best(args, state)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        control.should_save = control.should_save or control.should_evaluate


def _point_at_best(args: TrainingArguments, state: TrainerState) -> None:
    if state.best_global_step is not None:
        state.best_model_checkpoint = str(checkpoint_at(Path(str(args.output_dir)), state.best_global_step))


def validation_arguments(validation: Validation, batch_size: int, save_steps: int | None) -> dict[str, Any]:
    """The TrainingArguments of a training with held-out rows. `load_best_model_at_end` is set by `keep_best`."""
    arguments: dict[str, Any] = {
        "eval_strategy": "steps",
        "eval_steps": validation.eval_steps,
        "per_device_eval_batch_size": batch_size,
    }
    if validation.load_best_model_at_end:
        arguments["metric_for_best_model"] = validation.metric_for_best_model
        arguments["save_steps"] = save_steps or validation.eval_steps
    return arguments


def keep_best(trainer: PreferenceTrainer) -> None:
    """Ends the training with the weights of the best evaluation."""
    # Set here because TrainingArguments, which cannot know of KeepBest, would ask for fitting `save_steps`.
    trainer.args.load_best_model_at_end = True
    trainer.add_callback(KeepBest())


def chosen_by(validation: Validation, state: TrainerState) -> Chosen | None:
    """What a finished training chose; None where it keeps its last weights."""
    if state.best_global_step is None or state.best_metric is None:
        return None
    return Chosen(state.best_global_step, f"eval_{validation.metric_for_best_model}", float(state.best_metric))


def write_validation_log(state: TrainerState, folder: Path) -> None:
    """Writes `validation_log.jsonl`; the line of the evaluation that was chosen says so."""
    lines = []
    for entry in state.log_history:
        if "eval_loss" in entry:
            kept: dict[str, Any] = {name: value for name, value in entry.items() if not name.endswith(_TIMINGS)}
            if entry["step"] == state.best_global_step:
                kept["chosen"] = True
            lines.append(json.dumps(kept, sort_keys=True) + "\n")
    atomic_write_text(folder / VALIDATION_FILE, "".join(lines))
