"""The losses by name. A new one is a file in this room and a line here.

Reading this table must not import torch (listing losses and checking a configuration need only its metadata), so a
loss is named by its entry point and imported by `LossSpec.load`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from epa_bench.core.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from epa_bench.losses.scores import GroupScores


def log_of_candidates(negatives_G: Tensor) -> Tensor:
    """log(1 + n): a softmax over equal scores of one positive and n counting negatives [G], in nats."""
    return negatives_G.log1p()


@dataclass(frozen=True, slots=True)
class LossSpec:
    """What is known of a loss without computing it."""

    name: str
    summary: str
    """One line for `epa-bench losses`."""

    source: str
    """Authors, year, identifier and, where known, the equation."""

    entry: str
    """`module:function`, a function of `GroupScores` to losses [G]."""

    step0: Callable[[Tensor], Tensor]
    """Counting negatives [G] to the losses [G] that policy == reference must give, before any added term."""

    uses_weak: bool
    """Weak negatives are part of the method."""

    couples_batch: bool
    """A group's loss depends on the other groups of the micro-batch, so results change with its size."""

    reference_free: bool
    """No reference log-probs are needed."""

    max_strong: int | None
    """Most strong negatives a group may have; None is any number."""

    max_weak: int | None
    """Most weak negatives a group may have; None is any number."""

    def load(self) -> Callable[[GroupScores], Tensor]:
        """The function itself; imports torch."""
        module, _, function = self.entry.partition(":")
        loaded: Callable[[GroupScores], Tensor] = getattr(import_module(module), function)
        return loaded


_SPECS = (
    LossSpec(
        name="epa",
        summary="each positive against all its strong and weak negatives in one softmax",
        source="Hong et al. 2024, arXiv 2412.13862",
        entry="epa_bench.losses.epa:loss_of_groups",
        step0=log_of_candidates,
        uses_weak=True,
        couples_batch=False,
        reference_free=False,
        max_strong=None,
        max_weak=None,
    ),
    LossSpec(
        name="dpo",
        summary="one preferred against one dispreferred response, Bradley-Terry",
        source="Rafailov et al. 2023, arXiv 2305.18290, eq. 7",
        entry="epa_bench.losses.dpo:loss_of_groups",
        step0=log_of_candidates,
        uses_weak=False,
        couples_batch=False,
        reference_free=False,
        max_strong=1,
        max_weak=0,
    ),
)

LOSSES: Mapping[str, LossSpec] = MappingProxyType({spec.name: spec for spec in _SPECS})


def get_loss(name: str) -> LossSpec:
    """The loss of that name. Raises ConfigError, with the nearest name, for one that is not in the table."""
    if name in LOSSES:
        return LOSSES[name]
    nearest = difflib.get_close_matches(name.lower(), LOSSES, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    raise ConfigError(f"expected one of {', '.join(LOSSES)}, got {name!r}{hint}")
