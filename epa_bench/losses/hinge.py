"""The hinge loss on the scores of a pair.

Source: Zhao et al., "SLiC-HF: Sequence Likelihood Calibration with Human Feedback", arXiv 2305.10425, on likelihoods
normalised by a reference as in Liu et al., "Statistical Rejection Sampling Improves Preference Optimization",
arXiv 2309.06657 (hinge-norm). With d = s_w - s_l,

    L_hinge = max(0, 1 - d)
"""

from torch import Tensor

from epa_bench.losses.pairs import over_pairs
from epa_bench.losses.scores import GroupScores


def hinge(groups: GroupScores) -> Tensor:
    """Hinge loss of each group [G]."""
    return over_pairs(groups, lambda pairs: (1 - pairs.gaps_G).relu())
