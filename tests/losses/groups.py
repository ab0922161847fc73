"""Groups of scores for the tests of losses."""

from collections.abc import Callable

import torch
from torch import Tensor

from epa_bench.losses.scores import GroupScores
from epa_bench.losses.table import get_loss

BETA = 0.5
TOKENS = (2, 4)
"""Of the preferred and the dispreferred response."""


def groups_of(
    scores_GK: Tensor,
    *,
    mask_GK: Tensor | None = None,
    tokens: tuple[int, ...] = TOKENS,
    weak: int = 0,
    beta: float = BETA,
    gold_GK: Tensor | None = None,
) -> GroupScores:
    """Groups with these scores against a reference that gives 0 to everything; the last `weak` columns are weak."""
    strong_GK = torch.ones_like(scores_GK, dtype=torch.bool)
    strong_GK[:, 0] = False
    strong_GK[:, scores_GK.shape[1] - weak :] = False
    tokens_GK = torch.tensor(tokens if len(tokens) == scores_GK.shape[1] else (3,)).expand(scores_GK.shape)
    return GroupScores(
        logps_GK=scores_GK / beta,
        ref_logps_GK=torch.zeros_like(scores_GK),
        tokens_GK=tokens_GK,
        mask_GK=torch.ones_like(scores_GK, dtype=torch.bool) if mask_GK is None else mask_GK,
        strong_GK=strong_GK,
        beta=beta,
        gold_GK=gold_GK,
    )


def random_scores(groups: int, candidates: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(20241218)
    return 4 * torch.randn(groups, candidates, generator=generator, dtype=torch.float64)


def evaluate(name: str, scores: Tensor, *, tokens: tuple[int, ...] = TOKENS, **options: float) -> Tensor:
    """Losses [G] of groups with these scores."""
    return get_loss(name).load(options)(groups_of(scores, tokens=tokens))


def value_and_gradient(loss: Callable[[Tensor], Tensor], scores_GK: Tensor) -> tuple[Tensor, Tensor]:
    """Losses [G] and the gradient of their sum by the scores [G, K]."""
    scores_GK = scores_GK.clone().requires_grad_()
    losses_G = loss(scores_GK)
    (grad_GK,) = torch.autograd.grad(losses_G.sum(), scores_GK)
    return losses_G.detach(), grad_GK
