"""What every loss is computed from: the score matrix of a batch of comparison groups.

Shape suffixes used in this room:
    G   comparison groups (one prompt each)
    K   candidates of a group: column 0 is the positive, the others are negatives in the order of the plan, then padding
    N   negatives of a group, N = K - 1
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class GroupScores:
    """Log-probabilities of every candidate under its group's prompt; a weak negative's own prompt plays no part.

    That the positive counts in every row is the plan's promise; it is not checked here, because reading a tensor's
    values would stall a GPU at every step.
    """

    logps_GK: Tensor
    """log pi(y|x) summed over response tokens, nats, fp32; carries the gradient."""

    ref_logps_GK: Tensor
    """log pi_ref(y|x) summed over response tokens, nats, of the same dtype; no gradient."""

    tokens_GK: Tensor
    """Response tokens, one EOS included: at least 1 for the positive."""

    mask_GK: Tensor
    """bool: True where a candidate counts. Padding and masked candidates are False, column 0 is True."""

    strong_GK: Tensor
    """bool: True where the candidate's role is strong, whether or not it counts. Column 0 is False."""

    beta: float
    """Inverse temperature of the KL constraint, the paper's beta."""

    gold_GK: Tensor | None = None
    """Gold score of each response, on the data's own scale, NaN where none is known; None where no loss asks for it."""

    def __post_init__(self) -> None:
        values = {field: getattr(self, field) for field in self.__slots__}
        shapes = {field: tuple(value.shape) for field, value in values.items() if isinstance(value, Tensor)}
        assert len(set(shapes.values())) == 1, f"all fields must have one shape [G, K], got {shapes}"
        assert self.logps_GK.ndim == 2, f"scores are a matrix [G, K], got {shapes['logps_GK']}"
        assert self.mask_GK.dtype == self.strong_GK.dtype == torch.bool, "mask_GK and strong_GK must be bool"
        # A reference of lower precision than the policy gives a step-0 loss that is not log(1 + negatives).
        assert self.logps_GK.dtype == self.ref_logps_GK.dtype, (
            f"policy and reference must share a dtype, got {self.logps_GK.dtype} and {self.ref_logps_GK.dtype}"
        )

    @property
    def scores_GK(self) -> Tensor:
        """s(x, y) = beta * (log pi(y|x) - log pi_ref(y|x)), the implicit reward up to a constant of the prompt."""
        return self.beta * (self.logps_GK - self.ref_logps_GK)

    @property
    def counted_strong_GK(self) -> Tensor:
        """bool: strong negatives that count."""
        return self.mask_GK & self.strong_GK

    @property
    def counted_weak_GK(self) -> Tensor:
        """bool: weak negatives that count."""
        weak_GK = self.mask_GK & ~self.strong_GK
        weak_GK[:, 0] = False
        return weak_GK
