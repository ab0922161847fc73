"""How a step is cut into micro-batches is a matter of memory: it changes neither losses, metrics nor weights."""

from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from tests.tiny import Problem, Trained, same_weights, tiny_problem, train

SPLITS = [(4, 2), (2, 4), (1, 8)]
SETTINGS: dict[str, Any] = {"learning_rate": 5e-4, "nll": 0.1, "warmup_ratio": 0.0}


@pytest.fixture(scope="module")
def problem() -> Problem:
    found = tiny_problem(2, 2, epochs=2)
    # Groups of different widths are what a mean over micro-batches could get wrong.
    assert len({sum(c.masked is None for c in group.candidates) for group in found.groups}) > 1
    return found


@pytest.fixture(scope="module")
def whole(problem: Problem, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(problem, tmp_path_factory.mktemp("whole"), batch=8, accumulation=1, **SETTINGS)


def without(metrics: dict[str, float], names: set[str]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name not in names}


@pytest.mark.parametrize(("batch", "accumulation"), SPLITS)
def test_every_split_is_the_same_run(
    problem: Problem, whole: Trained, tmp_path: Path, batch: int, accumulation: int
) -> None:
    split = train(problem, tmp_path, batch=batch, accumulation=accumulation, **SETTINGS)
    assert len(split.log) == len(whole.log) == problem.steps
    for ours, theirs in zip(split.log, whole.log, strict=True):
        assert ours.keys() == theirs.keys()
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=1e-5)
        # While the policy is the reference, which of two equal rewards is larger is a matter of rounding.
        undecided = {"rewards/accuracies"} if theirs["step"] == 1 else set()
        assert without(ours, undecided) == pytest.approx(without(theirs, undecided), rel=1e-3, abs=1e-4)
    for name, weight in split.weights.items():
        torch.testing.assert_close(weight, whole.weights[name], rtol=0, atol=1e-5)


def test_it_is_a_run_in_which_weights_move(whole: Trained, problem: Problem, tmp_path: Path) -> None:
    """Or the comparison above could not fail."""
    still = train(problem, tmp_path, learning_rate=1e-30)
    moved = max(float((whole.weights[name] - still.weights[name]).abs().max()) for name in whole.weights)
    assert moved > 100 * 1e-5


@pytest.mark.parametrize("split", [(8, 1), (2, 4)])
def test_epa_with_one_strong_negative_is_dpo_to_the_last_bit(tmp_path: Path, split: tuple[int, int]) -> None:
    problem = tiny_problem(1, 0, epochs=2)
    losses: tuple[Literal["epa", "dpo"], ...] = ("epa", "dpo")
    epa, dpo = (train(problem, tmp_path / loss, loss=loss, batch=split[0], accumulation=split[1]) for loss in losses)
    assert same_weights(epa, dpo)
    assert epa.log_bytes == dpo.log_bytes
    assert epa.log[-1]["loss"] < epa.log[0]["loss"]


def test_the_same_run_twice_is_the_same_bits(problem: Problem, whole: Trained, tmp_path: Path) -> None:
    again = train(problem, tmp_path, batch=8, accumulation=1, **SETTINGS)
    assert same_weights(again, whole)
    assert again.log_bytes == whole.log_bytes
