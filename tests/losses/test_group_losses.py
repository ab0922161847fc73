"""S-DPO, InfoNCA and EPA's weights: numbers worked by hand, limit identities, signs, masks."""

import math
from math import log

import pytest
import torch
from torch import Tensor

from epa_bench.losses.epa import epa_loss
from epa_bench.losses.infonca import infonca
from epa_bench.losses.table import get_loss
from tests.losses.groups import evaluate, groups_of, random_scores, value_and_gradient

SCORES = random_scores(200, 4)
# exp of the scores: 2 against 1, 4 and 3.
WORKED = torch.tensor([[log(2), log(1), log(4), log(3)]], dtype=torch.float64)


def close(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], rtol: float = 1e-11) -> None:
    for ours, theirs in zip(first, second, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=rtol, atol=rtol)


def everything(scores_GK: Tensor) -> Tensor:
    return torch.ones_like(scores_GK, dtype=torch.bool)


# S-DPO


def test_sdpo_worked_by_hand() -> None:
    losses_G, grad_GK = value_and_gradient(lambda scores: evaluate("sdpo", scores), WORKED)
    assert losses_G.item() == pytest.approx(1.6094379124341003, abs=1e-12)  # -log 2/10
    assert grad_GK[0].tolist() == pytest.approx([-0.8, 0.1, 0.4, 0.3], abs=1e-12)


def test_sdpo_is_epa_without_weak_negatives_and_of_one_negative_dpo() -> None:
    ours, epas = (value_and_gradient(lambda s, n=name: evaluate(n, s), SCORES) for name in ("sdpo", "epa"))  # type: ignore[misc]
    assert torch.equal(ours[0], epas[0])
    assert torch.equal(ours[1], epas[1])
    pairs = SCORES[:, :2]
    assert torch.equal(evaluate("sdpo", pairs), evaluate("dpo", pairs))


# InfoNCA


def infonca_of(gold: list[float], temperature: float, mask: list[bool] | None = None) -> tuple[Tensor, Tensor]:
    gold_GK = torch.tensor([gold], dtype=torch.float64)
    mask_GK = None if mask is None else torch.tensor([mask])
    return value_and_gradient(
        lambda scores: infonca(groups_of(scores, gold_GK=gold_GK, mask_GK=mask_GK), temperature=temperature), WORKED
    )


def test_infonca_worked_by_hand() -> None:
    # Labels (4, 2, 1, 1) / 8 from gold scores of temperature 2; softmax (2, 1, 4, 3) / 10.
    losses_G, grad_GK = infonca_of([2 * log(4), 2 * log(2), 0.0, 0.0], 2.0)
    expected = -(4 * log(0.2) + 2 * log(0.1) + log(0.4) + log(0.3)) / 8
    assert expected == pytest.approx(1.645398171491, abs=1e-12)
    assert losses_G.item() == pytest.approx(expected, abs=1e-12)
    assert grad_GK[0].tolist() == pytest.approx([0.2 - 0.5, 0.1 - 0.25, 0.4 - 0.125, 0.3 - 0.125], abs=1e-12)


def test_infonca_of_cold_labels_is_epa_without_weak_negatives() -> None:
    gold_GK = torch.tensor([[0.9, 0.1, 0.5, 0.2]], dtype=torch.float64).expand_as(SCORES)
    ours = value_and_gradient(lambda s: infonca(groups_of(s, gold_GK=gold_GK), temperature=1e-3), SCORES)
    close(ours, value_and_gradient(lambda s: epa_loss(s, everything(s)), SCORES))


def test_infonca_of_scores_that_agree_with_gold_has_no_gradient() -> None:
    losses_G, grad_GK = infonca_of([log(2) + 5, log(1) + 5, log(4) + 5, log(3) + 5], 1.0)
    assert grad_GK.abs().max() < 1e-14
    assert losses_G.item() == pytest.approx(-sum(p * log(p) for p in (0.2, 0.1, 0.4, 0.3)), abs=1e-12)


def test_infonca_moves_scores_towards_their_share_of_gold() -> None:
    _, grad_GK = value_and_gradient(
        lambda s: infonca(groups_of(s, gold_GK=torch.tensor([[3.0, 1.0, 2.0, 0.0]])), temperature=1.0),
        torch.zeros(1, 4),
    )
    assert grad_GK.sign().tolist() == [[-1, 1, 1, 1]]  # shares .64, .09, .24, .03 against a quarter


@pytest.mark.parametrize("value", [0.0, math.inf, math.nan])
def test_infonca_leaves_masked_responses_out_with_their_gold(value: float) -> None:
    scores_GK = torch.tensor([[0.3, value, -0.2], [0.4, value, value]], dtype=torch.float64)
    gold_GK = torch.tensor([[1.0, value, 2.0], [1.0, value, value]], dtype=torch.float64)
    mask_GK = torch.tensor([[True, False, True], [True, False, False]])
    losses_G, grad_GK = value_and_gradient(
        lambda s: infonca(groups_of(s, gold_GK=gold_GK, mask_GK=mask_GK), temperature=1.0), scores_GK
    )
    kept = [0, 2]
    alone_G, alone_grad_GK = value_and_gradient(
        lambda s: infonca(groups_of(s, gold_GK=gold_GK[:1, kept]), temperature=1.0), scores_GK[:1, kept]
    )
    torch.testing.assert_close(losses_G[:1], alone_G)
    torch.testing.assert_close(grad_GK[:1, kept], alone_grad_GK)
    assert losses_G[1].item() == 0
    assert grad_GK[:, 1].tolist() == [0, 0]
    assert grad_GK[1].tolist() == [0, 0, 0]


# Weights of EPA


def weighted(scores_GK: Tensor, **weights: float) -> tuple[Tensor, Tensor]:
    """Two of three negatives are weak."""
    loss = get_loss("epa").load(weights)
    return value_and_gradient(lambda scores: loss(groups_of(scores, weak=2)), scores_GK)


def test_weights_worked_by_hand() -> None:
    # 2 * 2 against 1 * 3 (strong), 4 / 2 and 3 / 2 (weak): 4 of 10.5.
    losses_G, grad_GK = weighted(WORKED, weight_strong=3, weight_weak=0.5, weight_positive=2)
    assert losses_G.item() == pytest.approx(log(10.5 / 4), abs=1e-12)
    assert grad_GK[0].tolist() == pytest.approx([4 / 10.5 - 1, 3 / 10.5, 2 / 10.5, 1.5 / 10.5], abs=1e-12)


def test_weights_of_one_change_no_bit() -> None:
    ours = weighted(SCORES)
    plain = value_and_gradient(lambda scores: epa_loss(scores, everything(scores)), SCORES)
    assert torch.equal(ours[0], plain[0])
    assert torch.equal(ours[1], plain[1])


def test_a_vanishing_weight_leaves_the_negatives_of_that_kind_out() -> None:
    losses_G, grad_GK = weighted(SCORES, weight_weak=1e-300)
    dpo_G, dpo_grad_GK = value_and_gradient(lambda scores: evaluate("dpo", scores), SCORES[:, :2])
    close((losses_G, grad_GK[:, :2]), (dpo_G, dpo_grad_GK))
    assert grad_GK[:, 2:].abs().max() < 1e-200


def test_a_whole_weight_is_that_many_copies() -> None:
    columns = [0, 1, 1, 1, 2, 2, 3, 3]
    copies_G = epa_loss(SCORES[:, columns], torch.ones(200, 8, dtype=torch.bool))
    torch.testing.assert_close(weighted(SCORES, weight_strong=3, weight_weak=2)[0], copies_G, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("w", [0.25, 1.0, 4.0])
def test_the_positives_weight_is_energy_discrepancys_w_up_to_a_constant(w: float) -> None:
    def energy_discrepancy(scores_GK: Tensor) -> Tensor:
        return torch.log(w + (scores_GK[:, 1:] - scores_GK[:, :1]).exp().sum(dim=1)) - log(w)

    close(weighted(SCORES, weight_positive=w), value_and_gradient(energy_discrepancy, SCORES))
