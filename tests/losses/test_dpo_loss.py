"""DPO: values, gradients, and what it refuses."""

import math

import pytest
import torch
from torch import Tensor

from epa_bench.losses.dpo import dpo_loss

PAIR = torch.tensor([[True, True]])


def gradient(scores_GK: Tensor, mask_GK: Tensor) -> Tensor:
    (grad_GK,) = torch.autograd.grad(dpo_loss(scores_GK, mask_GK).sum(), scores_GK)
    return grad_GK


def test_a_number_worked_by_hand() -> None:
    # s_w - s_l = log 3, so sigmoid = 3/4: the loss is log(4/3) and the gradient a quarter each way.
    scores_GK = torch.tensor([[math.log(3), 0.0]], dtype=torch.float64, requires_grad=True)
    assert dpo_loss(scores_GK, PAIR).item() == pytest.approx(0.28768207245178090, abs=1e-12)
    assert gradient(scores_GK, PAIR)[0].tolist() == pytest.approx([-0.25, 0.25], abs=1e-12)


def test_step_0_is_log_2() -> None:
    assert dpo_loss(torch.zeros(1, 2), PAIR).item() == pytest.approx(math.log(2), abs=1e-7)


@pytest.mark.parametrize("gap", [100.0, 1e4])
def test_a_lost_pair_costs_its_gap(gap: float) -> None:
    assert dpo_loss(torch.tensor([[0.0, gap]]), PAIR).item() == gap


@pytest.mark.parametrize("value", [0.0, math.inf, math.nan])
def test_a_masked_rejected_response_gives_zero_and_leaves_the_others_alone(value: float) -> None:
    scores_GK = torch.tensor([[0.4, value], [0.0, 0.0]], requires_grad=True)
    mask_GK = torch.tensor([[True, False], [True, True]])
    assert dpo_loss(scores_GK, mask_GK).tolist() == pytest.approx([0, math.log(2)], abs=1e-7)
    assert gradient(scores_GK, mask_GK).tolist() == [[0, 0], [-0.5, 0.5]]


@pytest.mark.parametrize("candidates", [1, 3])
def test_refuses_anything_but_a_pair_and_says_what_to_do(candidates: int) -> None:
    scores_GK = torch.zeros(4, candidates)
    with pytest.raises(ValueError, match=rf"expected 2 candidates a group, got {candidates}\. Plan 1:1:0"):
        dpo_loss(scores_GK, torch.ones_like(scores_GK, dtype=torch.bool))
