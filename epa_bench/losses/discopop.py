"""DiscoPOP: a blend of DPO and the exponential loss, found by a language model.

Source: Lu et al., "Discovering Preference Optimization Algorithms with and for Large Language Models", arXiv
2406.08414, eq. 5. With d = s_w - s_l and m = sigmoid(d / tau),

    L = -(1 - m) log sigmoid(d) + m exp(-d)

It is not convex: at tau = .05 its slope at d = 0 is positive, so the first updates move d down.
"""

from torch import Tensor
from torch.nn.functional import logsigmoid

from epa_bench.losses.pairs import Pairs, over_pairs
from epa_bench.losses.scores import GroupScores


def discopop(groups: GroupScores, *, tau: float) -> Tensor:
    """DiscoPOP loss of each group [G]."""

    def formula(pairs: Pairs) -> Tensor:
        gaps_G = pairs.gaps_G
        logistic_G = -logsigmoid(gaps_G) * (-gaps_G / tau).sigmoid()
        # m exp(-d) in one exponent: apart, a badly lost pair would give 0 times infinity.
        return logistic_G + (logsigmoid(gaps_G / tau) - gaps_G).exp()

    return over_pairs(groups, formula)
