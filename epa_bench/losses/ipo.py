"""Identity Preference Optimization.

Source: Azar et al., "A General Theoretical Paradigm to Understand Learning from Human Preferences", arXiv 2310.12036,
eq. 17; our beta is the paper's tau. With h = log[pi(y_w) / pi_ref(y_w)] - log[pi(y_l) / pi_ref(y_l)],

    L_IPO = (h - 1 / (2 beta))^2

Over sums (`ipo_sum`) this is the paper's equation. `ipo` divides each log-ratio by its response's tokens, as TRL does
after asking the authors, so that beta means the same for long and short responses.
"""

from torch import Tensor

from epa_bench.losses.pairs import Pairs, over_pairs
from epa_bench.losses.scores import GroupScores


def ipo(groups: GroupScores) -> Tensor:
    """IPO loss of each group [G] from log-ratios a token."""
    return over_pairs(groups, lambda pairs: _squared_error(pairs.gaps_per_token_G, pairs))


def ipo_sum(groups: GroupScores) -> Tensor:
    """IPO loss of each group [G] from summed log-ratios."""
    return over_pairs(groups, lambda pairs: _squared_error(pairs.gaps_G, pairs))


def _squared_error(gaps_G: Tensor, pairs: Pairs) -> Tensor:
    return ((gaps_G - 0.5) / pairs.beta) ** 2
