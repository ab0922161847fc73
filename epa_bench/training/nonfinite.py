"""Stopping at a loss or gradient that is not finite: at which step, over which rows, and what is left.

Shapes: G groups, K candidates.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from epa_bench.core.errors import TrainingError
from epa_bench.losses.scores import GroupScores
from epa_bench.training.seal import newest_sealed

_SHOWN = 20


class StopAtNonFinite(TrainerCallback):
    """Raises TrainingError for a loss or gradient norm that is not finite, before that step's weights are saved."""

    def __init__(self, rows_of_step: Callable[[], Sequence[str]]) -> None:
        self._rows_of_step = rows_of_step

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        logged = state.log_history[-1]
        for name in ("loss", "grad_norm"):
            value = logged.get(name, 0.0)
            if not math.isfinite(value):
                what = f"the {name} is {value} at step {state.global_step - 1}"
                raise not_finite(what, self._rows_of_step(), Path(str(args.output_dir)))


def not_finite(what: str, rows: Sequence[str], checkpoints: Path) -> TrainingError:
    """The error, with the rows it came over (each once, at most 20 of them) and the newest checkpoint before it."""
    distinct = list(dict.fromkeys(rows))
    lines = [f"{what}, over these rows:" if distinct else f"{what}.", *(f"  {row}" for row in distinct[:_SHOWN])]
    if len(distinct) > _SHOWN:
        lines.append(f"  ... and {len(distinct) - _SHOWN} more")
    advice = "Lower the learning rate or beta, or look at these rows." if distinct else "Lower the learning rate."
    last = newest_sealed(checkpoints)
    kept = f"The last good checkpoint is {last}." if last else "No checkpoint was saved before it."
    return TrainingError("\n".join([*lines, f"{advice} {kept}"]))


def rows_at_fault(losses_G: Tensor, groups: GroupScores, example_GK: Tensor) -> list[int]:
    """Of every group whose loss is not finite its own row, and those of single responses without a finite score."""
    odd_GK = ~torch.isfinite(groups.scores_GK) & groups.mask_GK
    rows: list[int] = []
    for g in (~torch.isfinite(losses_G)).nonzero().flatten().tolist():
        rows.append(int(example_GK[g, 0]))
        # Where the positive has none either, it is the prompt or the model that is odd.
        if not odd_GK[g, 0]:
            rows += example_GK[g][odd_GK[g]].tolist()
    return rows
