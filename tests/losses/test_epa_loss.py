"""EPA: values, gradients, masks and bounds."""

import math
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from epa_bench.losses.dpo import dpo_loss
from epa_bench.losses.epa import epa_loss

scores = st.lists(st.floats(-50, 50, allow_nan=False), min_size=2, max_size=9)


def row(values: list[float]) -> Tensor:
    return torch.tensor([values], dtype=torch.float64, requires_grad=True)


def counted(scores_GK: Tensor) -> Tensor:
    return torch.ones_like(scores_GK, dtype=torch.bool)


def gradient(scores_GK: Tensor, mask_GK: Tensor) -> Tensor:
    (grad_GK,) = torch.autograd.grad(epa_loss(scores_GK, mask_GK).sum(), scores_GK)
    return grad_GK


def test_a_number_worked_by_hand() -> None:
    # exp of the scores: 2 against 1, 4 and 3, so p+ = 2/10, the loss log 5, the gradient (-.8, .1, .4, .3).
    scores_GK = row([math.log(2), math.log(1), math.log(4), math.log(3)])
    assert epa_loss(scores_GK, counted(scores_GK)).item() == pytest.approx(1.6094379124341003, abs=1e-12)
    assert gradient(scores_GK, counted(scores_GK))[0].tolist() == pytest.approx([-0.8, 0.1, 0.4, 0.3], abs=1e-12)


@pytest.mark.parametrize(("strong", "weak"), [(1, 0), (1, 2), (1, 6), (3, 0), (3, 4)])
def test_step_0_is_the_log_of_the_candidates(strong: int, weak: int) -> None:
    negatives = strong + weak
    scores_GK = row([0.0] * (1 + negatives))
    assert epa_loss(scores_GK, counted(scores_GK)).item() == pytest.approx(math.log(1 + negatives), abs=1e-12)
    push = gradient(scores_GK, counted(scores_GK))[0]
    assert -push[0].item() == pytest.approx(negatives / (1 + negatives), abs=1e-12)
    assert push[1].item() == pytest.approx(1 / (1 + negatives), abs=1e-12)


@settings(deadline=None)
@given(scores)
def test_gradient_is_softmax_minus_one_hot(values: list[float]) -> None:
    scores_GK = row(values)
    expected = scores_GK.detach().softmax(dim=1)
    expected[:, 0] -= 1
    torch.testing.assert_close(gradient(scores_GK, counted(scores_GK)), expected, rtol=1e-9, atol=1e-12)


@settings(deadline=None)
@given(st.lists(st.floats(-15, 15), min_size=2, max_size=9))
def test_gradient_pushes_the_positive_up_and_every_negative_down(values: list[float]) -> None:
    scores_GK = row(values)
    grad_K = gradient(scores_GK, counted(scores_GK))[0]
    assert grad_K[0] < 0
    assert (grad_K[1:] > 0).all()
    assert grad_K.sum().item() == pytest.approx(0, abs=1e-12)


@settings(deadline=None)
@given(scores, st.floats(-100, 100))
def test_a_constant_of_the_prompt_changes_nothing(values: list[float], shift: float) -> None:
    scores_GK = row(values)
    mask_GK = counted(scores_GK)
    shifted_GK = row([value + shift for value in values])
    torch.testing.assert_close(epa_loss(shifted_GK, mask_GK), epa_loss(scores_GK, mask_GK), rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(gradient(shifted_GK, mask_GK), gradient(scores_GK, mask_GK), rtol=1e-9, atol=1e-11)


@settings(deadline=None)
@given(scores)
def test_lies_between_the_largest_and_the_sum_of_its_pairs(values: list[float]) -> None:
    scores_GK = row(values)
    pairs_N = torch.stack([dpo_loss(scores_GK[:, [0, j]], counted(scores_GK[:, :2])) for j in range(1, len(values))])
    loss = epa_loss(scores_GK, counted(scores_GK)).item()
    assert pairs_N.max().item() <= loss * (1 + 1e-12)
    assert loss <= pairs_N.sum().item() * (1 + 1e-12)


@settings(deadline=None)
@given(scores, st.randoms(use_true_random=False))
def test_order_of_the_negatives_does_not_matter(values: list[float], random: Random) -> None:
    order = list(range(1, len(values)))
    random.shuffle(order)
    columns = [0, *order]
    scores_GK = row(values)
    mask_GK = counted(scores_GK)
    permuted_GK = row([values[column] for column in columns])
    torch.testing.assert_close(epa_loss(permuted_GK, mask_GK), epa_loss(scores_GK, mask_GK), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        gradient(permuted_GK, mask_GK), gradient(scores_GK, mask_GK)[:, columns], rtol=1e-12, atol=1e-12
    )


@settings(deadline=None)
@given(scores, st.floats(0, 20))
def test_another_negative_raises_the_loss(values: list[float], score: float) -> None:
    fewer_GK, more_GK = row(values), row([*values, max(values) + score])
    assert epa_loss(more_GK, counted(more_GK)).item() > epa_loss(fewer_GK, counted(fewer_GK)).item()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("gap", [100.0, 1e4, 1e30])
def test_huge_gaps_neither_overflow_nor_stall(gap: float, dtype: torch.dtype) -> None:
    scores_GK = torch.tensor([[0.0, gap, 0.0], [gap, 0.0, 0.0]], dtype=dtype, requires_grad=True)
    losses_G = epa_loss(scores_GK, counted(scores_GK))
    assert losses_G[0].item() == torch.tensor(gap, dtype=dtype).item()
    assert losses_G[1].item() == pytest.approx(0, abs=1e-30)
    assert gradient(scores_GK, counted(scores_GK))[0].tolist() == pytest.approx([-1, 1, 0], abs=1e-30)
    assert gradient(scores_GK, counted(scores_GK))[1].tolist() == pytest.approx([0, 0, 0], abs=1e-30)


MASKED_VALUES = [0.0, 7.0, 1e30, math.inf, -math.inf, math.nan]


@pytest.mark.parametrize("value", MASKED_VALUES)
def test_masked_candidates_have_no_influence(value: float) -> None:
    scores_GK = row([0.3, value, -0.2, 1.1, value])
    mask_GK = torch.tensor([[True, False, True, True, False]])
    without_GK = row([0.3, -0.2, 1.1])
    assert torch.equal(epa_loss(scores_GK, mask_GK), epa_loss(without_GK, counted(without_GK)))
    grad_K = gradient(scores_GK, mask_GK)[0]
    assert grad_K[[1, 4]].tolist() == [0, 0]
    assert torch.equal(grad_K[[0, 2, 3]], gradient(without_GK, counted(without_GK))[0])


@pytest.mark.parametrize("value", MASKED_VALUES)
def test_a_group_without_negatives_is_zero_and_leaves_the_others_alone(value: float) -> None:
    scores_GK = torch.tensor([[0.5, 0.1, 0.2], [0.4, value, value], [-1.0, 2.0, 0.0]], requires_grad=True)
    mask_GK = torch.tensor([[True, True, True], [True, False, False], [True, True, True]])
    # Anomaly mode also fails on a NaN that a later mask would hide.
    with torch.autograd.set_detect_anomaly(True):
        losses_G, grad_GK = epa_loss(scores_GK, mask_GK), gradient(scores_GK, mask_GK)
    others_GK = scores_GK.detach()[[0, 2]].requires_grad_()
    assert losses_G[1].item() == 0
    assert grad_GK[1].tolist() == [0, 0, 0]
    assert torch.equal(losses_G[[0, 2]], epa_loss(others_GK, counted(others_GK)))
    assert torch.equal(grad_GK[[0, 2]], gradient(others_GK, counted(others_GK)))


def test_a_batch_of_positives_only_has_zero_loss_and_gradient() -> None:
    scores_GK = torch.tensor([[0.5], [-3.0]], requires_grad=True)
    assert epa_loss(scores_GK, counted(scores_GK)).tolist() == [0, 0]
    assert gradient(scores_GK, counted(scores_GK)).tolist() == [[0], [0]]
