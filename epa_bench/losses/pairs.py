"""One preferred against one dispreferred response: what the pair losses of this room share."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from epa_bench.losses.scores import GroupScores


@dataclass(frozen=True, slots=True)
class Pairs:
    """The two columns of groups of two, each [G]. A masked dispreferred response has finite stand-ins."""

    chosen_G: Tensor
    """Scores s_w = beta * (log pi(y_w|x) - log pi_ref(y_w|x))."""

    rejected_G: Tensor
    """Scores s_l."""

    chosen_tokens_G: Tensor
    rejected_tokens_G: Tensor
    beta: float

    @property
    def gaps_G(self) -> Tensor:
        """d = s_w - s_l."""
        return self.chosen_G - self.rejected_G

    @property
    def gaps_per_token_G(self) -> Tensor:
        """s_w / |y_w| - s_l / |y_l|, lengths in tokens with EOS."""
        return self.chosen_G / self.chosen_tokens_G - self.rejected_G / self.rejected_tokens_G


def check_pairs(scores_GK: Tensor) -> None:
    """Raises ValueError unless K = 2: silently using one negative of several would train on other data than planned."""
    candidates = scores_GK.shape[1]
    if candidates != 2:
        raise ValueError(
            f"this loss compares one pair: expected 2 candidates a group, got {candidates}. "
            "Plan 1:1:0 (strong: 1, weak: 0), or choose a loss for several negatives, such as epa"
        )


def over_pairs(groups: GroupScores, formula: Callable[[Pairs], Tensor], *, reference_free: bool = False) -> Tensor:
    """The formula's losses [G]; 0, with gradient 0, where the dispreferred response is masked.

    `reference_free` takes beta * log pi for the scores. Raises ValueError unless K = 2.
    """
    check_pairs(groups.logps_GK)
    alone_G = ~groups.mask_GK[:, 1]
    scores_GK = groups.beta * groups.logps_GK if reference_free else groups.scores_GK
    # Masked before the formula and after it: what is NaN or infinite inside would be NaN times 0 on the way back.
    pairs = Pairs(
        chosen_G=scores_GK[:, 0].masked_fill(alone_G, 0.0),
        rejected_G=scores_GK[:, 1].masked_fill(alone_G, 0.0),
        chosen_tokens_G=groups.tokens_GK[:, 0],
        rejected_tokens_G=groups.tokens_GK[:, 1].masked_fill(alone_G, 1),
        beta=groups.beta,
    )
    return formula(pairs).masked_fill(alone_G, 0.0)
