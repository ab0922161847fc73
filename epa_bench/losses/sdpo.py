"""Softmax DPO: one preferred against several dispreferred responses to the same prompt.

Source: Chen et al., "On Softmax Direct Preference Optimization for Recommendation", arXiv 2406.09215. With j over the
dispreferred responses,

    L_S-DPO = -log sigmoid(-log sum_j exp(s_j - s_w))

which is EPA without weak negatives; the plan gives it none.
"""

from torch import Tensor

from epa_bench.losses.epa import epa_loss
from epa_bench.losses.scores import GroupScores


def sdpo(groups: GroupScores) -> Tensor:
    """S-DPO loss of each group [G], in nats."""
    return epa_loss(groups.scores_GK, groups.mask_GK)
