"""What happens beside the steps: progress, a stop at non-finite values, checkpoints that are known to be whole."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from epa_bench.core.errors import TrainingError

_SEAL = "complete"


class ReportProgress(TrainerCallback):
    """Calls `report(step, steps)` after every optimizer step."""

    def __init__(self, report: Callable[[int, int], None]) -> None:
        self._report = report

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._report(state.global_step, state.max_steps)


class StopAtNonFinite(TrainerCallback):
    """Raises TrainingError for a loss or gradient norm that is not finite, before that step's weights are saved."""

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        logged = state.log_history[-1]
        for name in ("loss", "grad_norm"):
            value = logged.get(name, 0.0)
            if not math.isfinite(value):
                raise TrainingError(
                    f"the {name} is {value} at step {state.global_step - 1}. Lower the learning rate; the last saved "
                    "checkpoint is kept."
                )


class SealCheckpoints(TrainerCallback):
    """Marks a checkpoint once all of it is written: a kill in between leaves one without the mark."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        (Path(str(args.output_dir)) / f"checkpoint-{state.global_step}" / _SEAL).touch()


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest sealed checkpoint; the others after it are deleted."""
    checkpoints = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    while checkpoints:
        if (checkpoints[-1] / _SEAL).exists():
            return checkpoints[-1]
        shutil.rmtree(checkpoints.pop())
    return None
