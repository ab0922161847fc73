"""Running a Trainer in a folder: arguments shared by both stages, resume, the log."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import PrinterCallback, Trainer, TrainingArguments

from epa_bench.core.files import atomic_write_text
from epa_bench.training.callbacks import ReportProgress, SealCheckpoints, StopAtNonFinite, last_whole_checkpoint

LOG_FILE = "training_log.jsonl"
"""One JSON line an optimizer step: loss, learning rate, gradient norm and the metrics."""

_CHECKPOINTS = "checkpoints"


def training_arguments(folder: Path, *, device: str, save_steps: int | None, **kwargs: Any) -> TrainingArguments:
    """TrainingArguments with what this harness fixes: every step logged, nothing printed, nothing sent anywhere."""
    arguments = TrainingArguments(
        output_dir=str(folder / _CHECKPOINTS),
        use_cpu=device == "cpu",
        report_to="none",
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=device != "cpu",
        save_strategy="steps" if save_steps else "no",
        save_steps=save_steps or 500,
        save_total_limit=2,
        **kwargs,
    )
    # With several GPUs in sight the Trainer would multiply the batch by their number, behind the plan's back.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def run_trainer(trainer: Trainer, folder: Path, report: Callable[[int, int], None]) -> None:
    """Trains from the newest whole checkpoint in `folder` (or from the start), writes the log, removes checkpoints."""
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(ReportProgress(report))
    trainer.add_callback(StopAtNonFinite())
    trainer.add_callback(SealCheckpoints())
    resume = last_whole_checkpoint(folder / _CHECKPOINTS)
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    steps = [entry for entry in trainer.state.log_history if "loss" in entry]
    atomic_write_text(folder / LOG_FILE, "".join(json.dumps(step, sort_keys=True) + "\n" for step in steps))
    shutil.rmtree(folder / _CHECKPOINTS, ignore_errors=True)
