"""Pair losses that expect a share e (`label_smoothing`) of the labels to be flipped. d = s_w - s_l.

- cDPO, Mitchell, "A note on DPO with noisy preferences & relationship to IPO", 2023, ericmitchell.ai/cdpo.pdf:

      L = -(1 - e) log sigmoid(d) - e log sigmoid(-d)                        least at d = log((1 - e) / e)

- Robust DPO, Chowdhury, Kini, Natarajan, "Provably Robust DPO: Aligning Language Models with Noisy Feedback",
  arXiv 2403.00409: an unbiased estimate of the loss without flips; it is not bounded below,

      L = [-(1 - e) log sigmoid(d) + e log sigmoid(-d)] / (1 - 2e)

- EXO, Ji et al., "Towards Efficient Exact Optimization of Language Model Alignment", arXiv 2402.00856, eq. 16: the
  reverse KL from the policy's pair to the label's, (q, 1 - q) = (sigmoid(d), sigmoid(-d)) and (1 - e, e),

      L = q [log q - log(1 - e)] + (1 - q) [log(1 - q) - log e]              needs e > 0
"""

import math

from torch import Tensor
from torch.nn.functional import logsigmoid

from epa_bench.losses.pairs import Pairs, over_pairs
from epa_bench.losses.scores import GroupScores


def cdpo(groups: GroupScores, *, label_smoothing: float) -> Tensor:
    """Conservative DPO loss of each group [G], in nats; e = 0 is DPO."""

    def formula(pairs: Pairs) -> Tensor:
        gaps_G = pairs.gaps_G
        return -(1 - label_smoothing) * logsigmoid(gaps_G) - label_smoothing * logsigmoid(-gaps_G)

    return over_pairs(groups, formula)


def robust(groups: GroupScores, *, label_smoothing: float) -> Tensor:
    """Robust DPO loss of each group [G], in nats; e = 0 is DPO."""

    def formula(pairs: Pairs) -> Tensor:
        gaps_G = pairs.gaps_G
        kept_G, flipped_G = -(1 - label_smoothing) * logsigmoid(gaps_G), -label_smoothing * logsigmoid(-gaps_G)
        return (kept_G - flipped_G) / (1 - 2 * label_smoothing)

    return over_pairs(groups, formula)


def exo_pair(groups: GroupScores, *, label_smoothing: float) -> Tensor:
    """EXO loss of each group [G], in nats: a KL divergence, 0 where the policy's odds are (1 - e) : e."""

    def formula(pairs: Pairs) -> Tensor:
        gaps_G = pairs.gaps_G
        wins_G = gaps_G.sigmoid() * (logsigmoid(gaps_G) - math.log1p(-label_smoothing))
        loses_G = (-gaps_G).sigmoid() * (logsigmoid(-gaps_G) - math.log(label_smoothing))
        return wins_G + loses_G

    return over_pairs(groups, formula)
