"""Energy Preference Alignment.

Source: Hong, Zhang, Bao, Jiang, Song, "Energy-Based Preference Model Offers Better Offline Alignment than the
Bradley-Terry Preference Model", arXiv 2412.13862. Their abstract contrasts each positive with strong negatives and
many free weak ones; with s the scores of one prompt, j over all its negatives, that is

    L_EPA = -log softmax(s)_+ = log(1 + sum_j exp(s_j - s+)) = -log sigmoid(-logsumexp_j(s_j - s+))

    dL/ds+ = -(1 - p+)      dL/ds_j = p_j      p = softmax over the positive and all negatives

Weights v_j of strong and weak negatives enter as log(1 + sum_j v_j / w exp(s_j - s+)). w is that of Energy Discrepancy
(Schroeder et al. 2023, arXiv 2307.06431), log(w + sum_j exp(s_j - s+)), up to the constant log w.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from epa_bench.losses.scores import GroupScores


def epa_loss(scores_GK: Tensor, mask_GK: Tensor, log_weights_GN: Tensor | None = None) -> Tensor:
    """EPA loss of each group [G], in nats, from scores [G, K] and a bool mask [G, K] of the candidates that count.

    `log_weights_GN` [G, K - 1] is added to the gaps of the negatives; None weighs all alike.

    One negative gives DPO to the last bit, in value and gradient, which is why the last of the three forms above is
    used: `logsumexp(all) - s+` rounds differently. A group without a counting negative has loss 0 and gradient 0.
    """
    negative_GN = mask_GK[:, 1:]
    alone_G = ~negative_GN.any(dim=1)

    gaps_GN = scores_GK[:, 1:] - scores_GK[:, :1]
    if log_weights_GN is not None:
        gaps_GN = gaps_GN + log_weights_GN
    gaps_GN = gaps_GN.masked_fill(~negative_GN, -torch.inf)
    # logsumexp over nothing but -inf has a NaN gradient, even where its result is thrown away: mask before and after.
    gaps_GN = gaps_GN.masked_fill(alone_G[:, None], 0.0)

    losses_G = -logsigmoid(-torch.logsumexp(gaps_GN, dim=1))
    return losses_G.masked_fill(alone_G, 0.0)


def loss_of_groups(groups: GroupScores, *, weight_strong: float, weight_weak: float, weight_positive: float) -> Tensor:
    """EPA loss of each group [G]; the entry in the table. Weights of 1 change no bit."""
    weak_GN = torch.full_like(groups.ref_logps_GK[:, 1:], math.log(weight_weak / weight_positive))
    log_weights_GN = weak_GN.masked_fill(groups.strong_GK[:, 1:], math.log(weight_strong / weight_positive))
    return epa_loss(groups.scores_GK, groups.mask_GK, log_weights_GN)
