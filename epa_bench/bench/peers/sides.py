"""What a side is, and what all of them share: the optimizer, and driving a transformers Trainer step by step."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

import torch

from epa_bench.bench.cases import SideName
from epa_bench.bench.subject import LEARNING_RATE, Subject


class Side(Protocol):
    """One way to take a case's steps."""

    def step(self, index: int) -> float:
        """Everything a training loop does with batch `index`, from its token ids on; its loss before the update."""
        ...


class PeerMissingError(Exception):
    """What a side needs is not installed; the message says what."""


_ROOM = "epa_bench.bench.peers"
BUILDERS: Mapping[SideName, str] = {
    "ours": f"{_ROOM}.ours:build",
    "ours-dpo": f"{_ROOM}.ours:build_dpo",
    "trl": f"{_ROOM}.trl:build",
    "trl-online": f"{_ROOM}.trl:build_online",
    "obvious": f"{_ROOM}.obvious:build",
    "chunked-head": f"{_ROOM}.head:chunked_head",
    "full-logits": f"{_ROOM}.head:full_logits",
}
"""`module:function` of every side; a side's packages are imported when it is built."""


def build_side(name: SideName, subject: Subject) -> Side:
    """Raises PeerMissingError."""
    module, _, builder = BUILDERS[name].partition(":")
    build: Callable[[Subject], Side] = getattr(import_module(module), builder)
    return build(subject)


class Optimizer:
    """AdamW with clipped gradients, the same for all sides."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._parameters = list(model.parameters())
        self._adam = torch.optim.AdamW(self._parameters, lr=LEARNING_RATE, weight_decay=0.0)

    def update(self) -> None:
        """Clips, steps, and forgets the gradients."""
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._adam.step()
        self._adam.zero_grad()


class TrainerSide:
    """A Trainer's own collator and `training_step`, one batch at a time, so that sides can take turns."""

    def __init__(self, trainer: Any, batches: Sequence[Sequence[Any]]) -> None:
        self._trainer = trainer
        # The loop that is not run here would set it.
        self._trainer.current_gradient_accumulation_steps = 1
        self._batches = batches
        self._optimizer = Optimizer(self._trainer.model)

    def step(self, index: int) -> float:
        inputs = self._trainer.data_collator(self._batches[index])
        loss = self._trainer.training_step(self._trainer.model, inputs)
        self._optimizer.update()
        self._trainer.state.global_step += 1
        return float(loss.detach())
