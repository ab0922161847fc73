"""The log of a training that is not finished, for who watches it: gone when the whole log is written."""

from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from epa_bench.training.log_files import LIVE_LOG_FILE, log_lines
from epa_bench.training.speed import SECONDS


def logged_steps(history: list[dict[str, float]]) -> list[dict[str, float]]:
    """The optimizer steps of a Trainer's history: it notes evaluations and its own summary too.

    Names are sorted, as a checkpoint keeps them: the steps of a training that is resumed are in the same order.
    """
    return [{name: row[name] for name in sorted(row) if name != SECONDS} for row in history if "loss" in row]


class LiveLog(TrainerCallback):
    """Appends every step as it is done."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LIVE_LOG_FILE

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero:
            self._path.write_text(log_lines(logged_steps(state.log_history)))

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            with self._path.open("a") as file:
                file.write(log_lines(logged_steps(state.log_history[-1:])))
