"""The pair losses: numbers worked by hand, limit identities, signs, masks."""

import math
from math import log

import pytest
import torch
from torch import Tensor

from epa_bench.losses.table import LOSSES, get_loss
from tests.losses.groups import evaluate, groups_of, random_scores, value_and_gradient

PAIR_LOSSES = [spec.name for spec in LOSSES.values() if spec.max_strong == 1 and not spec.uses_weak]
EVERY_PAIR_LOSS = pytest.mark.parametrize("name", PAIR_LOSSES)

# Scores (log 2, -log 2), so sigmoid(s_w) = 2/3, sigmoid(s_l) = 1/3, d = log 4 and sigmoid(d) = 4/5; beta = 1/2, so the
# log-ratios are (log 4, -log 4); 2 and 4 tokens, so s a token is (log 2 / 2, -log 2 / 4), apart by 3/4 log 2.
# Name, options, value, gradient by s_w and s_l.
WORKED = [
    # -.9 log .8 - .1 log .2;  -.9 * .2 + .1 * .8
    ("cdpo", {"label_smoothing": 0.1}, 0.361772987426, (-0.1, 0.1)),
    # (-.9 log .8 + .1 log .2) / .8;  (-.9 * .2 - .1 * .8) / .8
    ("robust", {"label_smoothing": 0.1}, 0.049856756174, (-0.325, 0.325)),
    # .8 log(.8 / .9) + .2 log(.2 / .1);  .8 * .2 * (log 4 - log 9)
    ("exo_pair", {"label_smoothing": 0.1}, 0.044403007587, (-0.129748834595, 0.129748834595)),
    # (1.5 log 2 - 1)^2;  2 * .039721 / .5, over 2 and over 4
    ("ipo", {}, 0.001577739636, (0.079441541680, -0.039720770840)),
    # (4 log 2 - 1)^2;  2 * 1.772589 / .5
    ("ipo_sum", {}, 3.142070778212, (7.090354888959, -7.090354888959)),
    ("hinge", {}, 0.0, (0.0, 0.0)),
    # -log 2/3 - 1/2 log 1/3 - 1/2 log 2/3;  -1/3 + 1/2 * 2/3: s_w is where NCA wants it
    ("nca_pair", {}, 1.157503806496, (0.0, 1 / 6)),
    # -2 log 2/3
    ("bco_pair", {}, 0.810930216216, (-1 / 3, 1 / 3)),
    # 2 (log 4 - 1)^2;  2 (log 4 - 1) / .5
    ("sppo_hard", {}, 0.298446666866, (1.545177444480, -1.545177444480)),
    # 1/3 + 1/3;  2/3 * 1/3
    ("apo_zero", {}, 2 / 3, (-2 / 9, 2 / 9)),
    # 2/3 + 1/5;  2/9 - 4/25
    ("apo_down", {}, 13 / 15, (14 / 225, 4 / 25)),
    # -.2 log .8 + .8 * .25;  .16 log .8 - .2 * .2 + .16 * .25 - .8 * .25
    ("discopop", {"tau": 1.0}, 0.244628710263, (-0.235702968210, 0.235702968210)),
    # log(1 + 2^-.75);  2^-.75 / (1 + 2^-.75), over 2 and over 4
    ("dpo_norm", {}, 0.466625152052, (-0.186442440412, 0.093221220206)),
    # a margin as large as what they are apart: log 2;  1/2, over 2 and over 4
    ("simpo", {"gamma": 0.75 * log(2)}, log(2), (-0.25, 0.125)),
]


@pytest.mark.parametrize(("name", "options", "value", "gradient"), WORKED, ids=[row[0] for row in WORKED])
def test_a_number_worked_by_hand(
    name: str, options: dict[str, float], value: float, gradient: tuple[float, float]
) -> None:
    scores_GK = torch.tensor([[log(2), -log(2)]], dtype=torch.float64)
    loss = get_loss(name).load(options)
    losses_G, grad_GK = value_and_gradient(lambda scores: loss(groups_of(scores)), scores_GK)
    assert losses_G.item() == pytest.approx(value, abs=1e-11)
    assert grad_GK[0].tolist() == pytest.approx(gradient, abs=1e-11)


def test_every_pair_loss_is_worked_by_hand() -> None:
    assert {row[0] for row in WORKED} | {"dpo"} == set(PAIR_LOSSES)


def test_hinge_worked_by_hand_where_it_is_not_met() -> None:
    scores_GK = torch.tensor([[0.25, -0.25]], dtype=torch.float64)
    losses_G, grad_GK = value_and_gradient(lambda scores: evaluate("hinge", scores), scores_GK)
    assert losses_G.tolist() == [0.5]
    assert grad_GK.tolist() == [[-1, 1]]


# Limit identities

SCORES = random_scores(200)
GAPS = SCORES[:, 0] - SCORES[:, 1]


def close(first: Tensor, second: Tensor, rtol: float = 1e-11) -> None:
    torch.testing.assert_close(first, second, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("name", ["cdpo", "robust"])
def test_without_flipped_labels_it_is_dpo(name: str) -> None:
    ours = value_and_gradient(lambda scores: evaluate(name, scores, label_smoothing=0), SCORES)
    dpos = value_and_gradient(lambda scores: evaluate("dpo", scores), SCORES)
    close(ours[0], dpos[0])
    close(ours[1], dpos[1])


def test_robust_is_dpo_on_average_over_flipped_labels() -> None:
    right, flipped = (evaluate("robust", scores, label_smoothing=0.3) for scores in (SCORES, SCORES.flip(1)))
    close(0.7 * right + 0.3 * flipped, evaluate("dpo", SCORES))


@pytest.mark.parametrize("name", ["cdpo", "exo_pair"])
def test_is_least_where_the_odds_are_those_of_the_labels(name: str) -> None:
    scores_GK = torch.tensor([[log(9), 0.0]], dtype=torch.float64)
    losses_G, grad_GK = value_and_gradient(lambda scores: evaluate(name, scores, label_smoothing=0.1), scores_GK)
    entropy = -0.9 * log(0.9) - 0.1 * log(0.1)
    assert losses_G.item() == pytest.approx(entropy if name == "cdpo" else 0, abs=1e-14)
    assert grad_GK.abs().max() < 1e-14


def test_exo_towards_a_coin_is_log_2_minus_the_entropy() -> None:
    p_G = GAPS.sigmoid()
    entropy_G = -torch.special.xlogy(p_G, p_G) - torch.special.xlogy(1 - p_G, 1 - p_G)
    close(evaluate("exo_pair", SCORES, label_smoothing=0.5 - 1e-12), log(2) - entropy_G, rtol=1e-9)


def test_ipo_of_one_token_each_is_ipo_over_sums() -> None:
    close(evaluate("ipo", SCORES, tokens=(1, 1)), evaluate("ipo_sum", SCORES))


def test_hinge_is_the_limit_of_a_steep_dpo_around_its_margin() -> None:
    steep = torch.stack([1e4 * (GAPS - 1), torch.zeros_like(GAPS)], dim=1)
    close(evaluate("dpo", steep) / 1e4, evaluate("hinge", SCORES), rtol=1e-4)


def test_nca_of_equal_scores_is_bco() -> None:
    equal = SCORES[:, :1].expand(-1, 2)
    close(evaluate("nca_pair", equal), evaluate("bco_pair", equal))


def test_bco_of_opposite_scores_is_two_dpos_of_half_the_gap() -> None:
    opposite = torch.stack([GAPS, -GAPS], dim=1) / 2
    close(evaluate("bco_pair", opposite), 2 * evaluate("dpo", opposite / 2))


def test_sppo_of_opposite_scores_is_two_ipos_of_half_the_gap() -> None:
    opposite = torch.stack([GAPS, -GAPS], dim=1) / 2
    close(evaluate("sppo_hard", opposite), 2 * evaluate("ipo_sum", opposite / 2))


def test_apo_of_both_kinds_agree_where_the_preferred_response_has_not_moved() -> None:
    still = SCORES * torch.tensor([0.0, 1.0])
    close(evaluate("apo_zero", still), evaluate("apo_down", still))


def test_discopop_of_a_wide_blend_is_the_mean_of_dpo_and_the_exponential() -> None:
    close(evaluate("discopop", SCORES, tau=1e13), (evaluate("dpo", SCORES) + (-GAPS).exp()) / 2)


def test_discopop_of_a_narrow_blend_is_one_or_the_other() -> None:
    expected = torch.where(GAPS < 0, evaluate("dpo", SCORES), (-GAPS).exp())
    away = GAPS.abs() > 0.01
    close(evaluate("discopop", SCORES, tau=1e-5)[away], expected[away])


def test_discopop_of_a_badly_lost_pair_is_finite() -> None:
    scores_GK = torch.tensor([[-1000.0, 0.0]])
    losses_G, grad_GK = value_and_gradient(lambda scores: evaluate("discopop", scores), scores_GK)
    assert losses_G.tolist() == [1000]
    assert grad_GK.tolist() == [[-1, 1]]


@pytest.mark.parametrize("tokens", [1, 5])
def test_dpo_norm_of_equal_lengths_is_dpo_at_beta_over_the_length(tokens: int) -> None:
    close(evaluate("dpo_norm", SCORES, tokens=(tokens, tokens)), evaluate("dpo", SCORES / tokens))


def test_simpo_without_margin_is_dpo_norm_against_a_flat_reference() -> None:
    close(evaluate("simpo", SCORES, gamma=0), evaluate("dpo_norm", SCORES))


# Signs and masks

UP, STILL, DOWN = -1, 0, 1
"""Signs of the gradient: a loss falls where it moves a score up."""

FIRST_MOVE = {"apo_down": (STILL, DOWN), "discopop": (DOWN, UP)}
"""What the others do at policy == reference is (UP, DOWN). APO-down's two terms on s_w cancel there; DiscoPOP's slope
has the wrong sign at 0, as its paper says."""


@EVERY_PAIR_LOSS
def test_the_first_update_moves_the_preferred_up_and_the_other_down(name: str) -> None:
    zeros = torch.zeros(1, 2, dtype=torch.float64)
    _, grad_GK = value_and_gradient(lambda scores: evaluate(name, scores), zeros)
    assert tuple(grad_GK.sign()[0].int().tolist()) == FIRST_MOVE.get(name, (UP, DOWN))


@EVERY_PAIR_LOSS
def test_a_lost_pair_is_turned(name: str) -> None:
    lost = torch.tensor([[-3.0, 3.0]], dtype=torch.float64)
    _, grad_GK = value_and_gradient(lambda scores: evaluate(name, scores), lost)
    assert grad_GK[0, 1] > 0
    if name == "apo_down":
        assert grad_GK[0, 0] > 0  # both down
    elif name == "exo_pair":
        assert grad_GK[0, 0] < 0
    else:
        assert grad_GK[0, 0] < -1e-3


@EVERY_PAIR_LOSS
@pytest.mark.parametrize("value", [0.0, math.inf, -math.inf, math.nan])
def test_a_masked_response_gives_exactly_zero_and_leaves_the_others_alone(name: str, value: float) -> None:
    scores_GK = torch.tensor([[0.4, value], [0.3, -0.2]], dtype=torch.float64)
    mask_GK = torch.tensor([[True, False], [True, True]])
    loss = get_loss(name).load()
    with torch.autograd.set_detect_anomaly(True):
        losses_G, grad_GK = value_and_gradient(lambda s: loss(groups_of(s, mask_GK=mask_GK)), scores_GK)
    alone_G, alone_grad_GK = value_and_gradient(lambda s: loss(groups_of(s)), scores_GK[1:])
    assert losses_G[0].item() == 0
    assert grad_GK[0].tolist() == [0, 0]
    assert torch.equal(losses_G[1:], alone_G)
    assert torch.equal(grad_GK[1:], alone_grad_GK)


@EVERY_PAIR_LOSS
@pytest.mark.parametrize("candidates", [1, 3])
def test_refuses_anything_but_a_pair_and_says_what_to_do(name: str, candidates: int) -> None:
    with pytest.raises(ValueError, match=rf"expected 2 candidates a group, got {candidates}\. Plan 1:1:0"):
        evaluate(name, torch.zeros(4, candidates))
