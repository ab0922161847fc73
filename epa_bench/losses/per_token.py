"""Pair losses on log-probs a token, so that a response gains nothing by its length.

- Length-normalised DPO, Lambert et al., "Tulu 3: Pushing Frontiers in Open Language Model Post-Training",
  arXiv 2411.15124; TRL's `sigmoid_norm`. With s the scores and |y| the tokens of a response,

      L = -log sigmoid(s_w / |y_w| - s_l / |y_l|)

- SimPO, Meng, Xia, Chen, "SimPO: Simple Preference Optimization with a Reference-Free Reward", arXiv 2405.14734:

      L = -log sigmoid(beta / |y_w| log pi(y_w) - beta / |y_l| log pi(y_l) - gamma)
"""

from torch import Tensor
from torch.nn.functional import logsigmoid

from epa_bench.losses.pairs import over_pairs
from epa_bench.losses.scores import GroupScores


def dpo_norm(groups: GroupScores) -> Tensor:
    """Length-normalised DPO loss of each group [G], in nats."""
    return over_pairs(groups, lambda pairs: -logsigmoid(pairs.gaps_per_token_G))


def simpo(groups: GroupScores, *, gamma: float) -> Tensor:
    """SimPO loss of each group [G], in nats; the reference log-probs are not read."""
    return over_pairs(groups, lambda pairs: -logsigmoid(pairs.gaps_per_token_G - gamma), reference_free=True)
