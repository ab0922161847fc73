"""The score matrix of a batch of groups."""

import dataclasses
from typing import Any

import pytest
import torch

from epa_bench.losses.scores import GroupScores


def build(**changes: Any) -> GroupScores:
    """One group: positive, strong, masked strong, weak, masked weak, padding."""
    fields: dict[str, Any] = {
        "logps_GK": torch.tensor([[-10.0, -12.0, -1.0, -30.0, -2.0, 0.0]]),
        "ref_logps_GK": torch.tensor([[-11.0, -10.0, -1.0, -26.0, -2.0, 0.0]]),
        "tokens_GK": torch.tensor([[5, 6, 1, 9, 1, 0]]),
        "mask_GK": torch.tensor([[True, True, False, True, False, False]]),
        "strong_GK": torch.tensor([[False, True, True, False, False, False]]),
        "beta": 0.1,
    }
    return GroupScores(**(fields | changes))


def test_scores_are_beta_times_the_log_ratio() -> None:
    assert build().scores_GK[0].tolist() == pytest.approx([0.1, -0.2, 0.0, -0.4, 0.0, 0.0])


def test_scores_equal_to_the_reference_are_exactly_zero() -> None:
    assert build(ref_logps_GK=build().logps_GK.clone()).scores_GK.tolist() == [[0.0] * 6]


def test_gradient_of_a_score_is_beta() -> None:
    logps_GK = build().logps_GK.requires_grad_()
    (grad_GK,) = torch.autograd.grad(build(logps_GK=logps_GK).scores_GK.sum(), logps_GK)
    torch.testing.assert_close(grad_GK, torch.full((1, 6), 0.1))


def test_every_counting_negative_is_strong_or_weak() -> None:
    groups = build()
    assert groups.counted_strong_GK[0].tolist() == [False, True, False, False, False, False]
    assert groups.counted_weak_GK[0].tolist() == [False, False, False, True, False, False]
    assert groups.mask_GK[0].tolist() == [True, True, False, True, False, False]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ref_logps_GK": torch.zeros(1, 1)}, "one shape"),  # would broadcast
        ({"strong_GK": torch.zeros(1, 6)}, "must be bool"),
        ({"ref_logps_GK": torch.zeros(1, 6, dtype=torch.float16)}, "share a dtype"),
        (
            {field: torch.zeros(6) for field in ("logps_GK", "ref_logps_GK", "tokens_GK", "mask_GK", "strong_GK")},
            "matrix",
        ),
    ],
)
def test_refuses_what_would_silently_broadcast_or_round(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        build(**changes)


def test_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        build().beta = 1.0  # type: ignore[misc]
