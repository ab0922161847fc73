"""What a training leaves about its speed."""

import json
from pathlib import Path
from typing import Any

import pytest

from epa_bench.bench.batches import count_tokens
from epa_bench.training.speed import SPEED_FILE
from tests.tiny import Problem, counted, tiny_problem, train


@pytest.fixture(scope="module")
def problem() -> Problem:
    return tiny_problem(1, 2)


def speed(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / SPEED_FILE).read_text().splitlines()]


def test_every_step_has_its_tokens_and_seconds(problem: Problem, tmp_path: Path) -> None:
    """Tokens as the benchmark counts them: of all candidates that are not masked."""
    train(problem, tmp_path)
    found = speed(tmp_path)
    assert [entry["step"] for entry in found] == list(range(1, problem.steps + 1))
    for entry in found:
        groups = [list(counted(problem, group)) for group in problem.groups if group.step == entry["step"] - 1]
        assert entry["tokens"] == count_tokens(groups)
        assert entry["seconds"] > 0


def test_a_resumed_training_keeps_the_seconds_of_before(problem: Problem, tmp_path: Path) -> None:
    """The log is the same as without the interruption: seconds stand in no log."""

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(problem, tmp_path / "torn", save_steps=2, report=stop)
    state = tmp_path / "torn" / "checkpoints" / "checkpoint-2" / "trainer_state.json"
    before = [entry["seconds"] for entry in json.loads(state.read_text())["log_history"]]
    torn, whole = train(problem, tmp_path / "torn", save_steps=2), train(problem, tmp_path / "whole")
    assert len(before) == 2
    assert [entry["seconds"] for entry in speed(tmp_path / "torn")][:2] == before
    assert [entry["tokens"] for entry in speed(tmp_path / "torn")] == [
        entry["tokens"] for entry in speed(tmp_path / "whole")
    ]
    assert torn.log_bytes == whole.log_bytes
    assert b"seconds" not in torn.log_bytes
    assert "seconds" not in torn.outcome.last
