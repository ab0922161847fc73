"""Direct Preference Optimization.

Source: Rafailov et al., "Direct Preference Optimization: Your Language Model is Secretly a Reward Model",
arXiv 2305.18290, eq. 7. With s_w, s_l the scores of the preferred and the dispreferred response,

    L_DPO = -log sigmoid(s_w - s_l)

    dL/ds_w = -sigmoid(s_l - s_w)      dL/ds_l = sigmoid(s_l - s_w)
"""

from torch import Tensor
from torch.nn.functional import logsigmoid

from epa_bench.losses.pairs import check_pairs
from epa_bench.losses.scores import GroupScores


def dpo_loss(scores_GK: Tensor, mask_GK: Tensor) -> Tensor:
    """DPO loss of each group [G], in nats, from scores [G, 2] and a bool mask [G, 2] of the candidates that count.

    A group whose dispreferred response is masked has loss 0 and gradient 0. Raises ValueError unless K = 2: silently
    using one negative of several would train on other data than the plan says.
    """
    check_pairs(scores_GK)
    alone_G = ~mask_GK[:, 1]
    gaps_G = (scores_GK[:, 0] - scores_GK[:, 1]).masked_fill(alone_G, 0.0)
    return -logsigmoid(gaps_G).masked_fill(alone_G, 0.0)


def loss_of_groups(groups: GroupScores) -> Tensor:
    """DPO loss of each group [G]; the entry in the table."""
    return dpo_loss(groups.scores_GK, groups.mask_GK)
