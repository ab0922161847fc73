"""What is logged of a batch of groups."""

from math import exp

import pytest
import torch

from epa_bench.losses.metrics import Tally, group_metrics
from epa_bench.losses.scores import GroupScores

NAN = float("nan")

# beta 1, reference 0, so that scores and logps are the same numbers. Masked entries are NaN: they must not leak.
GROUPS = GroupScores(
    logps_GK=torch.tensor(
        [
            [2.0, 0.0, 1.0, -1.0, -3.0],  # two strong, two weak
            [1.0, 1.0, NAN, 4.0, NAN],  # a tie with the one strong, one weak above the positive
            [3.0, 5.0, NAN, NAN, NAN],  # a strong that wins, no weak
            [6.0, NAN, NAN, NAN, NAN],  # nothing to compare with
        ]
    ),
    ref_logps_GK=torch.zeros(4, 5),
    tokens_GK=torch.ones(4, 5, dtype=torch.long),
    mask_GK=torch.tensor(
        [
            [True, True, True, True, True],
            [True, True, False, True, False],
            [True, True, False, False, False],
            [True, False, False, False, False],
        ]
    ),
    strong_GK=torch.tensor([[False, True, True, False, False]]).expand(4, 5),
    beta=1.0,
)


def rows(*indices: int) -> GroupScores:
    chosen = list(indices)
    return GroupScores(
        logps_GK=GROUPS.logps_GK[chosen],
        ref_logps_GK=GROUPS.ref_logps_GK[chosen],
        tokens_GK=GROUPS.tokens_GK[chosen],
        mask_GK=GROUPS.mask_GK[chosen],
        strong_GK=GROUPS.strong_GK[chosen],
        beta=GROUPS.beta,
    )


# Sums of exp(score - positive's score) over what counts in groups 0, 1 and 2: the softmax denominators.
SUM_0, SUM_1, SUM_2 = 1 + exp(-2) + exp(-1) + exp(-3) + exp(-5), 1 + 1 + exp(3), 1 + exp(2)

WORKED = {
    "rewards/chosen": (2 + 1 + 3 + 6, 4),
    "rewards/rejected": (0.5 + 1 + 5, 3),
    "rewards/accuracies": (1 + 0 + 0, 3),  # a tie is not a win
    "rewards/margins": (1.5 + 0 - 2, 3),
    "rewards/weak": (-2 + 4, 2),
    "rewards/weak_margins": (4 - 3, 2),
    "logps/chosen": (2 + 1 + 3 + 6, 4),
    "logps/rejected": (0.5 + 1 + 5, 3),
    "softmax_mass/positive": (1 / SUM_0 + 1 / SUM_1 + 1 / SUM_2, 3),
    "softmax_mass/strong": ((exp(-2) + exp(-1)) / SUM_0 + 1 / SUM_1 + exp(2) / SUM_2, 3),
    "softmax_mass/weak": ((exp(-3) + exp(-5)) / SUM_0 + exp(3) / SUM_1, 2),
}


def test_the_metrics_are_exactly_those_worked_by_hand() -> None:
    assert list(group_metrics(GROUPS)) == list(WORKED)


@pytest.mark.parametrize("name", WORKED)
def test_totals_and_counts_worked_by_hand(name: str) -> None:
    tally = group_metrics(GROUPS)[name]
    total, count = WORKED[name]
    assert tally.total.item() == pytest.approx(total, abs=1e-5)
    assert tally.count.item() == count
    assert tally.mean() == pytest.approx(total / count, abs=1e-5)


@pytest.mark.parametrize("cut", [[(0,), (1,), (2,), (3,)], [(0, 1), (2, 3)], [(3,), (2, 1, 0)]])
def test_tallies_of_micro_batches_add_up_to_the_step(cut: list[tuple[int, ...]]) -> None:
    parts = [group_metrics(rows(*indices)) for indices in cut]
    for name, whole in group_metrics(GROUPS).items():
        summed = parts[0][name]
        for part in parts[1:]:
            summed = summed + part[name]
        assert summed.count.item() == whole.count.item()
        assert summed.mean() == pytest.approx(whole.mean(), abs=1e-6)


def test_a_metric_no_group_has_is_none_not_nan() -> None:
    metrics = group_metrics(rows(2))
    assert metrics["rewards/weak"].mean() is None
    assert metrics["softmax_mass/weak"].mean() is None
    assert group_metrics(rows(3))["softmax_mass/positive"].mean() is None


def test_masses_of_a_full_group_sum_to_one() -> None:
    metrics = group_metrics(rows(0))
    masses = [metrics[f"softmax_mass/{kind}"].total for kind in ("positive", "strong", "weak")]
    assert torch.stack(masses).sum().item() == pytest.approx(1, abs=1e-6)


def test_a_pair_has_trls_rejected_and_margin() -> None:
    metrics = group_metrics(rows(2))
    means = [metrics[f"rewards/{name}"].mean() for name in ("chosen", "rejected", "margins", "accuracies")]
    assert means == [3.0, 5.0, -2.0, 0.0]


def test_no_gradient_is_kept() -> None:
    groups = rows(0)
    groups.logps_GK.requires_grad_()
    assert not any(tally.total.requires_grad for tally in group_metrics(groups).values())


def test_both_halves_of_a_tally_stack_for_one_reduction() -> None:
    tally = group_metrics(GROUPS)["rewards/weak"]
    assert torch.stack([tally.total, tally.count]).tolist() == [2.0, 2.0]
    assert (tally + Tally(torch.tensor(1.0), torch.tensor(1.0))).mean() == 1.0
