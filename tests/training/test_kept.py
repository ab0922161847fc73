"""Checkpoints kept on the way: after which steps, and that nothing else changes."""

from pathlib import Path

import pytest
import torch
from torch import nn

from epa_bench.training.kept import KeepCheckpoints, kept_steps
from tests.tiny import same_weights, tiny_model, tiny_problem, train


@pytest.mark.parametrize(
    ("count", "steps", "expected"),
    [(0, 10, []), (1, 10, [5]), (3, 100, [25, 50, 75]), (2, 5, [2, 3]), (4, 2, [1, 1, 1, 2]), (2, 1, [1, 1])],
)
def test_evenly_spaced_before_the_last(count: int, steps: int, expected: list[int]) -> None:
    assert kept_steps(count, steps) == expected


def weight(model: nn.Module) -> torch.Tensor:
    return next(model.parameters()).detach().clone()


def test_weights_are_those_after_the_step_and_the_training_is_the_same(tmp_path: Path) -> None:
    """Where the same training stands when it is stopped there."""
    problem = tiny_problem(1, 1)
    model, kept = tiny_model(0), dict[int, torch.Tensor]()
    keep = KeepCheckpoints(kept_steps(2, problem.steps), lambda number: kept.update({number: weight(model)}))
    watched = train(problem, tmp_path / "watched", model=model, callbacks=[keep], save_steps=1)
    plain = train(problem, tmp_path / "plain")
    assert same_weights(plain, watched)
    assert kept.keys() == {1, 2}
    assert not torch.equal(kept[1], kept[2])
    stopped = tiny_model(0)

    def stop(done: int, total: int) -> None:
        if done == kept_steps(2, problem.steps)[0]:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(problem, tmp_path / "stopped", model=stopped, report=stop)
    assert torch.equal(kept[1], weight(stopped))
