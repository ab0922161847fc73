"""What the probe accepts of an engine, and what it says of an adapter that it hardly sees."""

import warnings
from pathlib import Path

import pytest
import torch

from epa_bench.core.errors import CheckpointError
from epa_bench.core.notices import Notice
from epa_bench.models.canary import Canary, canary_of
from tests.tiny import tiny_model

CANARY = Canary((3, 1, 2), (-1.0, -2.0))
"""Of a checkpoint with an adapter."""

FOLDER = Path("my-adapter")


def test_it_is_the_plain_forward_of_ids_that_only_the_vocabulary_decides() -> None:
    first, second = canary_of(tiny_model(0)), canary_of(tiny_model(1))
    assert first.token_ids == second.token_ids
    assert first.logps != second.logps
    with torch.no_grad():
        logits_TV = tiny_model(0)(input_ids=torch.tensor([first.token_ids])).logits[0]
    worked = [float(torch.log_softmax(row, -1)[token]) for row, token in zip(logits_TV, first.token_ids[1:])]  # noqa: B905
    assert first.logps == pytest.approx(worked)


@pytest.mark.parametrize(("dtype", "right", "wrong"), [("float32", 9e-5, 1.1e-4), ("bfloat16", 0.09, 0.11)])
def test_the_mean_difference_counts(dtype: str, right: float, wrong: float) -> None:
    CANARY.check((-1.0 + 2 * right, -2.0), dtype, FOLDER)
    with pytest.raises(CheckpointError, match="the checkpoint in my-adapter, expected at most"):
        CANARY.check((-1.0 + 2 * wrong, -2.0), dtype, FOLDER)


def test_the_same_figures_without_the_adapter_are_refused() -> None:
    """However near they are."""
    with pytest.raises(CheckpointError, match="same with the adapter in my-adapter as without it"):
        CANARY.check_attached((-1.0, -2.0), (-1.0, -2.0), "float32", FOLDER)


def test_an_adapter_that_rounding_could_hide_is_told() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CANARY.check_attached((-1.3, -2.0), (-1.0, -2.0), "bfloat16", FOLDER)
    with pytest.warns(Notice, match=r"my-adapter vLLM is only 0\.05 nats a token off it .* and 0\.1 are taken"):
        CANARY.check_attached((-1.1, -2.0), (-1.01, -2.0), "bfloat16", FOLDER)
