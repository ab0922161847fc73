"""Losses that place the scores of a pair one by one, not only their difference. g = sigmoid, s_w and s_l the scores.

- NCA, Chen et al., "Noise Contrastive Alignment of Language Models with Explicit Rewards", arXiv 2402.05369, for pairs:

      L = -log g(s_w) - 1/2 log g(-s_w) - 1/2 log g(-s_l)

- BCO, Jung et al., "Binary Classifier Optimization for Large Language Model Alignment", arXiv 2404.04656, without the
  paper's reward shift delta, as TRL's `bco_pair`: a running mean would tie a group's loss to the groups before it,

      L = -log g(s_w) - log g(-s_l)

- SPPO, Wu et al., "Self-Play Preference Optimization for Language Model Alignment", arXiv 2405.00675, eq. 4.7 with
  hard win probabilities 1 and 0 and eta = 1 / beta; on log-ratios s / beta,

      L = (s_w / beta - 1 / 2 beta)^2 + (s_l / beta + 1 / 2 beta)^2

- APO, D'Oosterlinck et al., "Anchored Preference Optimization and Contrastive Revisions", arXiv 2408.06266, eq. 7
  (zero: the preferred response is better than what the model gives) and eq. 8 (down: it is worse),

      L_zero = 1 - g(s_w) + g(s_l)            L_down = g(s_w) + 1 - g(s_w - s_l)
"""

from torch import Tensor
from torch.nn.functional import logsigmoid

from epa_bench.losses.pairs import Pairs, over_pairs
from epa_bench.losses.scores import GroupScores


def nca_pair(groups: GroupScores) -> Tensor:
    """NCA loss of each group [G], in nats."""

    def formula(pairs: Pairs) -> Tensor:
        noise_G = logsigmoid(-pairs.chosen_G) + logsigmoid(-pairs.rejected_G)
        return -logsigmoid(pairs.chosen_G) - 0.5 * noise_G

    return over_pairs(groups, formula)


def bco_pair(groups: GroupScores) -> Tensor:
    """BCO loss of each group [G], in nats, with delta = 0."""
    return over_pairs(groups, lambda pairs: -logsigmoid(pairs.chosen_G) - logsigmoid(-pairs.rejected_G))


def sppo_hard(groups: GroupScores) -> Tensor:
    """SPPO loss of each group [G], in squared nats."""
    return over_pairs(
        groups, lambda pairs: ((pairs.chosen_G - 0.5) / pairs.beta) ** 2 + ((pairs.rejected_G + 0.5) / pairs.beta) ** 2
    )


def apo_zero(groups: GroupScores) -> Tensor:
    """APO-zero loss of each group [G], between 0 and 2."""
    return over_pairs(groups, lambda pairs: (-pairs.chosen_G).sigmoid() + pairs.rejected_G.sigmoid())


def apo_down(groups: GroupScores) -> Tensor:
    """APO-down loss of each group [G], between 0 and 2."""
    return over_pairs(groups, lambda pairs: pairs.chosen_G.sigmoid() + (-pairs.gaps_G).sigmoid())
