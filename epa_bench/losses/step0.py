"""What a loss is worth where policy == reference: all log-ratios are 0, whatever the model says.

Each is worked out by hand from the number of negatives, beta and the options, not by calling the loss: the trainer
compares the two before the first update. A group without a counting negative has no loss. Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from epa_bench.losses.scores import GroupScores

Options = Mapping[str, float]


def log_of_candidates(groups: GroupScores, options: Options) -> Tensor:
    """log(1 + n) with n counting negatives: a softmax over equal scores."""
    return _negatives(groups).log1p()


def log_of_weighted_candidates(groups: GroupScores, options: Options) -> Tensor:
    """log(1 + (S w_strong + W w_weak) / w_positive), the softmax over equal scores of weighted candidates."""
    strong_G, weak_G = groups.counted_strong_GK.sum(1), groups.counted_weak_GK.sum(1)
    weight_G = options["weight_strong"] * strong_G + options["weight_weak"] * weak_G
    return (weight_G / options["weight_positive"]).to(groups.logps_GK.dtype).log1p()


def constant(value: float) -> Callable[[GroupScores, Options], Tensor]:
    """A pair loss that starts at one value whatever beta and the options."""
    return lambda groups, options: value * (_negatives(groups) > 0).to(groups.logps_GK.dtype)


def ipo(groups: GroupScores, options: Options) -> Tensor:
    """(0 - 1 / 2 beta)^2."""
    return constant(1 / (4 * groups.beta**2))(groups, options)


def sppo(groups: GroupScores, options: Options) -> Tensor:
    """Two squares of 1 / 2 beta."""
    return constant(1 / (2 * groups.beta**2))(groups, options)


def exo(groups: GroupScores, options: Options) -> Tensor:
    """KL of (1/2, 1/2) from (1 - e, e)."""
    smoothing = options["label_smoothing"]
    return constant(-math.log(2) - (math.log1p(-smoothing) + math.log(smoothing)) / 2)(groups, options)


def _negatives(groups: GroupScores) -> Tensor:
    return groups.mask_GK[:, 1:].sum(1).to(groups.logps_GK.dtype)
