"""EPA against the losses it must equal, each written here as its own paper writes it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from epa_bench.losses.dpo import dpo_loss
from epa_bench.losses.epa import epa_loss

Loss = Callable[[Tensor], Tensor]


def epa(scores_GK: Tensor) -> Tensor:
    return epa_loss(scores_GK, torch.ones_like(scores_GK, dtype=torch.bool))


def dpo(scores_GK: Tensor) -> Tensor:
    return dpo_loss(scores_GK, torch.ones_like(scores_GK, dtype=torch.bool))


def naive_softmax_loss(scores_GK: Tensor) -> Tensor:
    """The same function in exact arithmetic."""
    return torch.logsumexp(scores_GK, dim=1) - scores_GK[:, 0]


def energy_discrepancy(scores_GK: Tensor) -> Tensor:
    """Schroeder et al. 2023, arXiv 2307.06431: log(w/M + 1/M sum_j exp(E(y+) - E(y_j))), w = 1, energy E = -s."""
    energies_GK, negatives = -scores_GK, scores_GK.shape[1] - 1
    return torch.log(1 / negatives + torch.exp(energies_GK[:, :1] - energies_GK[:, 1:]).mean(dim=1))


def infonca_one_hot(scores_GK: Tensor) -> Tensor:
    """Chen et al. 2024, arXiv 2402.05369: cross-entropy of a soft label with the softmax, all label on the positive."""
    label_GK = torch.zeros_like(scores_GK)
    label_GK[:, 0] = 1
    return -(label_GK * torch.log_softmax(scores_GK, dim=1)).sum(dim=1)


def s_dpo(scores_GK: Tensor) -> Tensor:
    """Chen et al. 2024, arXiv 2406.09215: -log sigmoid(-log sum_l exp(s_l - s_w)), in its exp/log form."""
    return -torch.nn.functional.logsigmoid(-torch.log(torch.exp(scores_GK[:, 1:] - scores_GK[:, :1]).sum(dim=1)))


def random_scores(groups: int, candidates: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(20241218)
    return (4 * torch.randn(groups, candidates, generator=generator, dtype=torch.float64)).to(dtype)


def value_and_gradient(loss: Loss, scores_GK: Tensor) -> tuple[Tensor, Tensor]:
    scores_GK = scores_GK.clone().requires_grad_()
    losses_G = loss(scores_GK)
    (grad_GK,) = torch.autograd.grad(losses_G.sum(), scores_GK)
    return losses_G.detach(), grad_GK


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_one_negative_is_dpo_to_the_last_bit(dtype: torch.dtype) -> None:
    scores_GK = random_scores(5000, 2, dtype)
    for ours, dpos in zip(value_and_gradient(epa, scores_GK), value_and_gradient(dpo, scores_GK), strict=True):
        assert ours.dtype == dtype
        assert torch.equal(ours, dpos)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_one_negative_beside_masked_ones_is_dpo_to_the_last_bit(dtype: torch.dtype) -> None:
    scores_GK = random_scores(5000, 4, dtype)
    mask_GK = torch.tensor([True, False, True, False]).expand_as(scores_GK)
    losses_G, grad_GK = value_and_gradient(lambda scores: epa_loss(scores, mask_GK), scores_GK)
    dpo_G, dpo_grad_G2 = value_and_gradient(dpo, scores_GK[:, [0, 2]])
    assert torch.equal(losses_G, dpo_G)
    assert torch.equal(grad_GK[:, [0, 2]], dpo_grad_G2)


def test_the_naive_form_is_not_dpo_to_the_last_bit() -> None:
    scores_GK = random_scores(5000, 2, torch.bfloat16)
    assert (naive_softmax_loss(scores_GK) - dpo(scores_GK)).abs().max() > 0.01


@pytest.mark.parametrize("negatives", [1, 3, 7])
@pytest.mark.parametrize("loss", [naive_softmax_loss, infonca_one_hot, s_dpo])
def test_same_value_and_gradient(loss: Loss, negatives: int) -> None:
    scores_GK = random_scores(200, 1 + negatives)
    expected = value_and_gradient(loss, scores_GK)
    torch.testing.assert_close(value_and_gradient(epa, scores_GK), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("negatives", [1, 3, 7])
def test_energy_discrepancy_differs_by_a_constant(negatives: int) -> None:
    scores_GK = random_scores(200, 1 + negatives)
    losses_G, grad_GK = value_and_gradient(epa, scores_GK)
    discrepancies_G, discrepancy_grad_GK = value_and_gradient(energy_discrepancy, scores_GK)
    constant = torch.tensor(float(negatives), dtype=torch.float64).log()
    torch.testing.assert_close(discrepancies_G, losses_G - constant, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(discrepancy_grad_GK, grad_GK, rtol=1e-11, atol=1e-12)


def test_finite_where_the_exp_log_form_of_s_dpo_overflows() -> None:
    scores_GK = torch.tensor([[0.0, 100.0, 0.0]])
    assert s_dpo(scores_GK).isinf().all()
    losses_G, grad_GK = value_and_gradient(epa, scores_GK)
    assert losses_G.tolist() == [100]
    assert grad_GK.tolist() == [pytest.approx([-1, 1, 0], abs=1e-30)]
