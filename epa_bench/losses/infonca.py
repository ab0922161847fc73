"""InfoNCA: the softmax of the scores against that of the gold scores.

Source: Chen et al., "Noise Contrastive Alignment of Language Models with Explicit Rewards", arXiv 2402.05369. With r
the gold scores of a prompt's responses and alpha their temperature,

    L_InfoNCA = -sum_k softmax(r / alpha)_k log softmax(s)_k

    dL/ds_k = softmax(s)_k - softmax(r / alpha)_k
"""

import torch
from torch import Tensor

from epa_bench.losses.scores import GroupScores


def infonca(groups: GroupScores, *, temperature: float) -> Tensor:
    """InfoNCA loss of each group [G], in nats. A group without a counting negative has loss 0 and gradient 0.

    A cross-entropy: where scores and labels agree it is the label's entropy, not 0.
    """
    assert groups.gold_GK is not None, "the table says that this loss needs gold scores"
    counts_GK = groups.mask_GK
    label_GK = (groups.gold_GK / temperature).masked_fill(~counts_GK, -torch.inf).softmax(dim=1)
    log_softmax_GK = groups.scores_GK.masked_fill(~counts_GK, -torch.inf).log_softmax(dim=1)
    # 0 times -inf where nothing counts.
    return -(label_GK * log_softmax_GK.masked_fill(~counts_GK, 0.0)).sum(dim=1)
