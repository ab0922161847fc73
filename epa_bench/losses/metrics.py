"""What is logged of a batch of comparison groups, under TRL's names where TRL has one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from epa_bench.losses.scores import GroupScores


@dataclass(frozen=True, slots=True)
class Tally:
    """A mean that is not divided yet: tallies of micro-batches and ranks add up to that of the whole step.

    Averaging means instead would give a micro-batch with one group that has a weak negative the weight of one with
    eight.
    """

    total: Tensor
    """Sum over the groups that have a value, a scalar."""

    count: Tensor
    """Number of those groups, a scalar of the same dtype, so that both travel in one reduction."""

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.total + other.total, self.count + other.count)

    def mean(self) -> float | None:
        """None where no group had a value: there is nothing to log, and NaN is never written."""
        return float(self.total / self.count) if self.count > 0 else None


@torch.no_grad()
def group_metrics(groups: GroupScores) -> dict[str, Tally]:
    """A tally over groups for each metric. Scores (rewards) and logps in nats, masses and accuracies in 0..1.

    `rejected` is the mean over a group's strong negatives, which for a pair is the rejected response; `weak` is the
    mean over its weak ones. A group enters a metric only if it has what the metric speaks of: `rewards/chosen` all
    groups, `softmax_mass/positive` those with any negative, the others those with a negative of that kind. So
    `rewards/margins` is `rewards/chosen - rewards/rejected` only where every group has a strong negative.
    """
    scores_GK, mask_GK = groups.scores_GK, groups.mask_GK
    strong_GK, weak_GK = groups.counted_strong_GK, groups.counted_weak_GK
    has_strong_G, has_weak_G = strong_GK.any(dim=1), weak_GK.any(dim=1)

    chosen_G = scores_GK[:, 0]
    rejected_G = _mean_where(scores_GK, strong_GK)
    weak_G = _mean_where(scores_GK, weak_GK)
    softmax_GK = scores_GK.masked_fill(~mask_GK, -torch.inf).softmax(dim=1)

    everywhere_G = torch.ones_like(has_strong_G)
    return {
        "rewards/chosen": _tally(chosen_G, everywhere_G),
        "rewards/rejected": _tally(rejected_G, has_strong_G),
        "rewards/accuracies": _tally((chosen_G > rejected_G).to(chosen_G.dtype), has_strong_G),
        "rewards/margins": _tally(chosen_G - rejected_G, has_strong_G),
        "rewards/weak": _tally(weak_G, has_weak_G),
        "rewards/weak_margins": _tally(chosen_G - weak_G, has_weak_G),
        "logps/chosen": _tally(groups.logps_GK[:, 0], everywhere_G),
        "logps/rejected": _tally(_mean_where(groups.logps_GK, strong_GK), has_strong_G),
        "softmax_mass/positive": _tally(softmax_GK[:, 0], has_strong_G | has_weak_G),
        "softmax_mass/strong": _tally(_sum_where(softmax_GK, strong_GK), has_strong_G),
        "softmax_mass/weak": _tally(_sum_where(softmax_GK, weak_GK), has_weak_G),
    }


def _sum_where(values_GK: Tensor, where_GK: Tensor) -> Tensor:
    return values_GK.masked_fill(~where_GK, 0.0).sum(dim=1)


def _mean_where(values_GK: Tensor, where_GK: Tensor) -> Tensor:
    """Row means over the True entries; 0 in a row without one, which `_tally` then leaves out."""
    return _sum_where(values_GK, where_GK) / where_GK.sum(dim=1).clamp(min=1)


def _tally(values_G: Tensor, valid_G: Tensor) -> Tally:
    return Tally(values_G.masked_fill(~valid_G, 0.0).sum(), valid_G.to(values_G.dtype).sum())
