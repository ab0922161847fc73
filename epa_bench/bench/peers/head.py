"""The output layer alone: from hidden states to the mean log-prob of given tokens, and back.

Shapes: S scored positions, D hidden size, V vocabulary.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from epa_bench.bench.peers.sides import Side
from epa_bench.bench.subject import Subject
from epa_bench.models.response_head import Head, token_logps


def chunked_head(subject: Subject) -> Side:
    """Ours: the logits of a few positions at a time."""
    return _HeadSide(
        subject, lambda hidden_SD, weight_VD, targets_S: token_logps(hidden_SD, Head(weight_VD, None), targets_S)[0]
    )


def full_logits(subject: Subject) -> Side:
    """All logits at once."""
    return _HeadSide(
        subject,
        lambda hidden_SD, weight_VD, targets_S: (
            (hidden_SD @ weight_VD.T).log_softmax(-1).gather(1, targets_S[:, None])[:, 0]
        ),
    )


class _HeadSide:
    def __init__(self, subject: Subject, logps: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        positions, shape = subject.case.response, subject.case.model
        draw = torch.Generator().manual_seed(0)
        hidden_SD = torch.randn(positions, shape.hidden_size, generator=draw)
        weight_VD = torch.randn(shape.vocab_size, shape.hidden_size, generator=draw) * shape.initializer_range
        self._hidden_SD = hidden_SD.to(subject.device).requires_grad_()
        self._weight_VD = weight_VD.to(subject.device).requires_grad_()
        self._targets_S = torch.randint(shape.vocab_size, (positions,), generator=draw).to(subject.device)
        self._logps = logps

    def step(self, index: int) -> float:
        """Forward and backward; there is nothing to update."""
        loss = -self._logps(self._hidden_SD, self._weight_VD, self._targets_S).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        self._hidden_SD.grad = self._weight_VD.grad = None
        return float(loss.detach())
