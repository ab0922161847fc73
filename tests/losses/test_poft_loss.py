"""PoFT: a number by hand, the gradient it claims, its three limits, and that the mean stands inside the sigmoid."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from epa_bench.losses.poft import poft_loss, poft_weights

means = st.floats(-20, 0)


def one(r_theta: float, *aligned: float, tokens: int = 3, **options: float) -> tuple[float, float]:
    """Loss and weight of one sequence in double precision, from mean log-probs."""
    logps_N, tokens_N = torch.tensor([r_theta * tokens], dtype=torch.float64), torch.tensor([tokens])
    aligned_NJ = torch.tensor([aligned], dtype=torch.float64)
    loss_N = poft_loss(logps_N, tokens_N, aligned_NJ, **options)
    return loss_N.item(), poft_weights(logps_N, tokens_N, aligned_NJ, **options).item()


def test_numbers_worked_by_hand() -> None:
    """r_theta = -6 / 3 = -2 against (-1 - 2) / 2 = -1.5, half a nat above."""
    loss, tau = one(-2.0, -1.0, -2.0)
    assert loss == pytest.approx(math.log(1 + math.exp(0.5)))
    assert tau == pytest.approx(1 / (1 + math.exp(-0.5)))
    loss, tau = one(-2.0, -1.0, -2.0, beta=2.0, gamma=0.5)
    assert loss == pytest.approx(math.log(1 + math.exp(1.5)))
    assert tau == pytest.approx(2 / (1 + math.exp(-1.5)))


def _sequences() -> tuple[Tensor, list[Tensor], Tensor]:
    """Parameters of a softmax over 7 tokens, six responses of 1 to 6 tokens, two aligned models."""
    generator = torch.Generator().manual_seed(0)
    theta_V = torch.randn(7, generator=generator, dtype=torch.float64, requires_grad=True)
    responses = [torch.randint(7, (length,), generator=generator) for length in range(1, 7)]
    aligned_NJ = -4 * torch.rand(6, 2, generator=generator, dtype=torch.float64)
    return theta_V, responses, aligned_NJ


def _scores(theta_V: Tensor, responses: list[Tensor]) -> tuple[Tensor, Tensor]:
    logps_V = theta_V.log_softmax(0)
    return torch.stack([logps_V[r].sum() for r in responses]), torch.tensor([len(r) for r in responses])


@pytest.mark.parametrize(("beta", "gamma"), [(1.0, 0.0), (2.5, 0.3)])
def test_the_gradient_is_tau_times_that_of_cross_entropy(beta: float, gamma: float) -> None:
    theta_V, responses, aligned_NJ = _sequences()
    for n in range(len(responses)):
        logps_N, tokens_N = _scores(theta_V, responses)
        scores = logps_N, tokens_N, aligned_NJ
        (poft_V,) = torch.autograd.grad(poft_loss(*scores, beta=beta, gamma=gamma)[n], theta_V, retain_graph=True)
        (ce_V,) = torch.autograd.grad(-logps_N[n] / tokens_N[n], theta_V, retain_graph=True)
        tau = poft_weights(*scores, beta=beta, gamma=gamma)[n].detach()
        torch.testing.assert_close(poft_V, tau * ce_V, rtol=0, atol=5e-9)


def _gradients(aligned_NJ: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Losses, the gradient of their sum, and that of the sequences' mean cross-entropies."""
    theta_V, responses, _ = _sequences()
    logps_N, tokens_N = _scores(theta_V, responses)
    losses_N = poft_loss(logps_N, tokens_N, aligned_NJ)
    (poft_V,) = torch.autograd.grad(losses_N.sum(), theta_V, retain_graph=True)
    (ce_V,) = torch.autograd.grad(-(logps_N / tokens_N).sum(), theta_V)
    return losses_N.detach(), poft_V, ce_V


def test_strong_aligned_models_give_cross_entropy() -> None:
    _, poft_V, ce_V = _gradients(torch.full((6, 2), 50.0, dtype=torch.float64))
    torch.testing.assert_close(poft_V, ce_V, rtol=0, atol=1e-12)


def test_aligned_models_that_equal_the_target_give_log_2_and_half_the_gradient() -> None:
    theta_V, responses, _ = _sequences()
    logps_N, tokens_N = _scores(theta_V.detach(), responses)
    losses_N, poft_V, ce_V = _gradients((logps_N / tokens_N)[:, None].expand(6, 2))
    torch.testing.assert_close(losses_N, torch.full((6,), math.log(2), dtype=torch.float64))
    torch.testing.assert_close(poft_V, ce_V / 2)


def test_hopeless_aligned_models_give_no_gradient() -> None:
    losses_N, poft_V, _ = _gradients(torch.full((6, 2), -1e4, dtype=torch.float64))
    assert losses_N.tolist() == [0.0] * 6
    assert poft_V.tolist() == [0.0] * 7


def test_the_mean_over_models_stands_inside_the_sigmoid() -> None:
    """-log of the mean of two sigmoids, and the mean of two losses, are other numbers."""
    loss, _ = one(-2.0, 0.0, -4.0)
    assert loss == pytest.approx(one(-2.0, -2.0)[0]) == pytest.approx(math.log(2))
    lowest, highest = one(-2.0, 0.0)[0], one(-2.0, -4.0)[0]
    assert abs(loss - (lowest + highest) / 2) > 0.4
    outside = -math.log((math.exp(-lowest) + math.exp(-highest)) / 2)
    # Here both sigmoids sum to one, so only an uneven pair tells this form from ours.
    assert outside == pytest.approx(math.log(2))
    uneven = -math.log((math.exp(-one(-2.0, 0.0)[0]) + math.exp(-one(-2.0, -8.0)[0])) / 2)
    assert abs(one(-2.0, 0.0, -8.0)[0] - uneven) > 0.2


@given(means, means, means, st.floats(0.1, 5), st.floats(-2, 2))
def test_tau_is_bounded_and_falls_as_the_model_fits(
    low: float, high: float, aligned: float, beta: float, gamma: float
) -> None:
    low, high = sorted((low, high))
    loss_low, tau_low = one(low, aligned, beta=beta, gamma=gamma)
    loss_high, tau_high = one(high, aligned, beta=beta, gamma=gamma)
    assert 0 <= tau_high <= tau_low <= beta
    assert 0 <= loss_high <= loss_low


@given(means, means, st.integers(1, 500))
def test_a_response_counts_by_its_tokens_mean_not_their_sum(r_theta: float, aligned: float, tokens: int) -> None:
    assert one(r_theta, aligned, tokens=tokens) == pytest.approx(one(r_theta, aligned, tokens=1), rel=1e-9, abs=1e-12)


@given(st.lists(means, min_size=1, max_size=5))
def test_the_order_of_the_models_does_not_matter(aligned: list[float]) -> None:
    assert one(-2.0, *aligned) == pytest.approx(one(-2.0, *sorted(aligned)), rel=1e-9)


def test_a_hopeless_target_has_a_finite_loss_in_single_precision() -> None:
    scores = torch.tensor([-1e6], requires_grad=True), torch.tensor([2]), torch.tensor([[-1.0]])
    loss = poft_loss(*scores).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 499_999
    assert scores[0].grad is not None
    assert scores[0].grad.item() == pytest.approx(-0.5)
