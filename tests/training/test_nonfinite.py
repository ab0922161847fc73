"""What an error over values that are not finite names."""

import math
from pathlib import Path

import pytest
import torch

from epa_bench.losses.scores import GroupScores
from epa_bench.training.nonfinite import not_finite, rows_at_fault
from epa_bench.training.seal import SEAL


def test_rows_are_named_once_and_the_rest_counted(tmp_path: Path) -> None:
    rows = [f"train.jsonl, row {i}" for i in range(1, 24)]
    lines = str(not_finite("the loss is nan at step 3", [*rows, *rows], tmp_path)).splitlines()
    assert lines[0] == "the loss is nan at step 3, over these rows:"
    assert lines[1:21] == [f"  {row}" for row in rows[:20]]
    assert lines[21:] == [
        "  ... and 3 more",
        "Lower the learning rate or beta, or look at these rows. No checkpoint was saved before it.",
    ]


def test_the_newest_sealed_checkpoint_is_named(tmp_path: Path) -> None:
    for step, sealed in ((9, True), (10, True), (11, False)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if sealed:
            (tmp_path / f"checkpoint-{step}" / SEAL).touch()
    message = str(not_finite("the grad_norm is inf at step 10", [], tmp_path))
    assert message == (
        "the grad_norm is inf at step 10.\nLower the learning rate. The last good checkpoint is "
        f"{tmp_path / 'checkpoint-10'}."
    )


@pytest.mark.parametrize(
    ("odd", "rows"),
    [
        ([(1, 2)], [20, 22]),  # one response of another row
        ([(1, 0), (1, 1), (1, 2)], [20]),  # the whole group: its prompt
        ([(0, 1), (1, 2)], [10, 11, 20, 22]),
        ([], []),
    ],
)
def test_rows_at_fault(odd: list[tuple[int, int]], rows: list[int]) -> None:
    logps_GK = torch.zeros(3, 3)
    for place in odd:
        logps_GK[place] = math.nan
    mask_GK = torch.tensor([[True, True, True], [True, True, True], [True, True, False]])
    logps_GK[2, 2] = math.nan  # masked: it counts for nothing
    groups = GroupScores(
        logps_GK=logps_GK,
        ref_logps_GK=torch.zeros(3, 3),
        tokens_GK=torch.ones(3, 3),
        mask_GK=mask_GK,
        strong_GK=torch.zeros(3, 3, dtype=torch.bool),
        beta=0.1,
    )
    losses_G = logps_GK.masked_fill(~mask_GK, 0.0).sum(1)
    example_GK = torch.tensor([[10, 11, 12], [20, 21, 22], [30, 31, -1]])
    assert rows_at_fault(losses_G, groups, example_GK) == rows


def test_a_loss_that_overflows_from_finite_scores_names_its_group() -> None:
    groups = GroupScores(
        logps_GK=torch.zeros(1, 2),
        ref_logps_GK=torch.zeros(1, 2),
        tokens_GK=torch.ones(1, 2),
        mask_GK=torch.ones(1, 2, dtype=torch.bool),
        strong_GK=torch.tensor([[False, True]]),
        beta=0.1,
    )
    assert rows_at_fault(torch.tensor([math.inf]), groups, torch.tensor([[7, 8]])) == [7]
