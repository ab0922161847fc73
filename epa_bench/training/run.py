"""Running a Trainer in a folder: arguments shared by both stages, resume, the log."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import PrinterCallback, Trainer, TrainingArguments

from epa_bench.config.trainer import TrainerSettings
from epa_bench.core.files import atomic_write_text
from epa_bench.training.callbacks import ReportProgress
from epa_bench.training.distributed import found_by_first_rank
from epa_bench.training.live_log import LiveLog, logged_steps
from epa_bench.training.log_files import LIVE_LOG_FILE, LOG_FILE, log_lines
from epa_bench.training.nonfinite import StopAtNonFinite
from epa_bench.training.seal import SealCheckpoints, last_whole_checkpoint
from epa_bench.training.trainer import warmup_steps

_CHECKPOINTS = "checkpoints"


def training_arguments(folder: Path, *, device: str, save_steps: int | None, **kwargs: Any) -> TrainingArguments:
    """TrainingArguments with what this harness fixes: every step logged, nothing printed, nothing sent anywhere.

    What `kwargs` name wins.
    """
    arguments = TrainingArguments(
        output_dir=str(folder / _CHECKPOINTS),
        use_cpu=device == "cpu",
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=device != "cpu",
        save_strategy="steps" if save_steps else "no",
        save_steps=save_steps or 500,
        save_total_limit=2,
        **{"report_to": "none", **kwargs},
    )
    # With several GPUs in sight the Trainer would multiply the batch by their number, behind the plan's back.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def planned_arguments(settings: TrainerSettings, steps: int) -> dict[str, Any]:
    """The sweep's settings as TrainingArguments, for rows that are already in the order of the whole run."""
    arguments = settings.model_dump(
        include={
            "lr_scheduler_type",
            "weight_decay",
            "max_grad_norm",
            "optim",
            "adam_beta1",
            "adam_beta2",
            "adam_epsilon",
            "save_steps",
            "gradient_checkpointing",
        }
    )
    warmup = settings.warmup_steps
    return {
        **arguments,
        "warmup_steps": warmup_steps(settings.warmup_ratio, steps) if warmup is None else warmup,
        "train_sampling_strategy": "sequential",
        # Epochs included.
        "num_train_epochs": 1,
        "bf16": settings.dtype == "bfloat16",
    }


def run_trainer(
    trainer: Trainer,
    folder: Path,
    report: Callable[[int, int], None],
    *,
    rows_of_step: Callable[[], Sequence[str]] = tuple,
) -> list[dict[str, float]]:
    """Trains from the newest whole checkpoint in `folder` (or from the start) and writes the log, which it returns.

    `rows_of_step` names the rows of the step for the error of a gradient that is not finite.
    """
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(ReportProgress(report))
    trainer.add_callback(StopAtNonFinite(rows_of_step))
    trainer.add_callback(SealCheckpoints())
    trainer.add_callback(LiveLog(folder))
    resume = found_by_first_rank(lambda: last_whole_checkpoint(folder / _CHECKPOINTS))
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    steps = logged_steps(trainer.state.log_history)
    if trainer.is_world_process_zero():
        atomic_write_text(folder / LOG_FILE, log_lines(steps))
        (folder / LIVE_LOG_FILE).unlink(missing_ok=True)
    return steps


def remove_checkpoints(folder: Path) -> None:
    """For when the trained model is saved; until then a killed run goes on from them."""
    shutil.rmtree(folder / _CHECKPOINTS, ignore_errors=True)
