"""How fast a training ran, step by step: in a file of its own, so that its log is the same every time."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from epa_bench.core.files import atomic_write_text

SPEED_FILE = "training_speed.jsonl"
"""One JSON line an optimizer step: its tokens, a prompt counted with each of its responses and padding not at all, and
its seconds, from the end of what came before (a step, a saved checkpoint, an evaluation) to its log."""

SECONDS = "seconds"


class TimeSteps(TrainerCallback):
    """Notes each step's seconds in the Trainer's history, which a resumed training continues."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._start = time.perf_counter()

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        # The Trainer logs evaluations and its own summary too.
        if "loss" in state.log_history[-1]:
            now = time.perf_counter()
            state.log_history[-1][SECONDS] = now - self._start
            self._start = now

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._start = time.perf_counter()

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._start = time.perf_counter()


def write_speed(state: TrainerState, tokens: Mapping[int, int], folder: Path) -> None:
    """Writes `training_speed.jsonl`. `tokens`: optimizer step, from 0 -> tokens of its sequences."""
    lines = [
        json.dumps({"step": entry["step"], "tokens": tokens[int(entry["step"]) - 1], SECONDS: entry[SECONDS]}) + "\n"
        for entry in state.log_history
        if "loss" in entry
    ]
    atomic_write_text(folder / SPEED_FILE, "".join(lines))
