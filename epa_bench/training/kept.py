"""Checkpoints that a training leaves on its way, to see what it passed through."""

from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


def kept_steps(count: int, steps: int) -> list[int]:
    """After which optimizer steps, from 1, checkpoints 1 to `count` are kept: evenly spaced before the last step.

    Of a training with too few steps some are the same.
    """
    return [max(1, round(number * steps / (count + 1))) for number in range(1, count + 1)]


class KeepCheckpoints(TrainerCallback):
    """Calls `keep(number)` after the steps of `kept_steps`, on every rank.

    It comes before the Trainer's own checkpoint of the same step: a training that is resumed has kept all before it.
    """

    def __init__(self, steps: list[int], keep: Callable[[int], None]) -> None:
        self._steps = steps
        self._keep = keep

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        for number, step in enumerate(self._steps, start=1):
            if step == state.global_step:
                self._keep(number)
