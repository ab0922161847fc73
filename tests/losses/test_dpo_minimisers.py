"""DPO's several minimisers, and EPA telling them apart.

Y = {a, b, c}, uniform reference, beta = 1, p(a beats b) = 3/4, and c never compared. The policies pi proportional to
(3, 1, t) agree on a against b and differ in pi(c) = t / (4 + t).
"""

import math

import pytest
import torch
from torch import Tensor

from epa_bench.losses.dpo import dpo_loss
from epa_bench.losses.epa import epa_loss

LIKES = torch.tensor([0.6, 0.2, 0.2], dtype=torch.float64)
"""How often a, b and c are the preferred one when all of Y is on offer: the softmax of rewards (log 3, 0, 0)."""

A, B, C = 0, 1, 2


def policy(t: float) -> Tensor:
    """log pi of a, b, c; a leaf, so that losses can be differentiated by it."""
    weights = torch.tensor([3.0, 1.0, t], dtype=torch.float64)
    return (weights / weights.sum()).log().requires_grad_()


def scores(logps: Tensor, groups: list[list[int]]) -> Tensor:
    return (logps + math.log(3))[torch.tensor(groups)]


def population_dpo(logps: Tensor) -> Tensor:
    scores_GK = scores(logps, [[A, B], [B, A]])
    return dpo_loss(scores_GK, torch.ones(2, 2, dtype=torch.bool)) @ torch.tensor([0.75, 0.25], dtype=torch.float64)


def population_epa(logps: Tensor) -> Tensor:
    scores_GK = scores(logps, [[A, B, C], [B, A, C], [C, A, B]])
    return epa_loss(scores_GK, torch.ones(3, 3, dtype=torch.bool)) @ LIKES


def steepness(loss: Tensor, logps: Tensor) -> float:
    (grad,) = torch.autograd.grad(loss, logps)
    return float(grad.abs().max())


@pytest.mark.parametrize(("t", "mass_of_c"), [(1e-6, 2.5e-7), (1.0, 0.2), (100.0, 0.9615384615)])
def test_dpo_cannot_see_the_mass_of_c(t: float, mass_of_c: float) -> None:
    logps = policy(t)
    assert logps[C].exp().item() == pytest.approx(mass_of_c, rel=1e-6)
    assert population_dpo(logps).item() == pytest.approx(0.562335144619, abs=1e-12)
    assert steepness(population_dpo(logps), logps) < 1e-12


@pytest.mark.parametrize(("t", "excess"), [(1e-6, 2.5399588), (1.0, 0.0), (100.0, 2.1139189)])
def test_epa_over_all_of_y_has_one_minimiser(t: float, excess: float) -> None:
    # At its minimum the loss is the entropy of LIKES, .950271; elsewhere it is larger by KL(LIKES || pi).
    logps = policy(t)
    assert population_epa(logps).item() - 0.950270539 == pytest.approx(excess, abs=1e-6)
    assert (steepness(population_epa(logps), logps) < 1e-12) == (t == 1.0)
