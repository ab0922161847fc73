"""What a training leaves, and its arguments."""

import dataclasses
import json
from pathlib import Path

import pytest
from transformers import TrainerState, TrainingArguments

from epa_bench.training import run
from epa_bench.training.live_log import logged_steps
from tests.tiny import Problem, tiny_problem, train


@pytest.fixture(scope="module")
def problem() -> Problem:
    return tiny_problem(1, 0)


def test_a_training_leaves_its_log_and_its_checkpoints(problem: Problem, tmp_path: Path) -> None:
    """Until the model is saved a kill would cost the training, so that step removes them."""
    reports: list[tuple[int, int]] = []
    trained = train(
        problem, tmp_path, loss="dpo", save_steps=2, report=lambda done, total: reports.append((done, total))
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoints",
        "training_log.jsonl",
        "training_speed.jsonl",
    ]
    run.remove_checkpoints(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["training_log.jsonl", "training_speed.jsonl"]
    assert len(trained.log_bytes.splitlines()) == problem.steps
    assert reports == [(step, problem.steps) for step in range(1, problem.steps + 1)]


@pytest.mark.parametrize(("save_steps", "kept"), [(None, []), (2, [2, 4]), (1, [3, 4])])
def test_checkpoints_of_a_run_that_stops(
    problem: Problem, tmp_path: Path, save_steps: int | None, kept: list[int]
) -> None:
    """At most two, each sealed."""

    def stop(done: int, total: int) -> None:
        if done == problem.steps:
            raise InterruptedError

    assert problem.steps == 5
    with pytest.raises(InterruptedError):
        train(problem, tmp_path, loss="dpo", save_steps=save_steps, report=stop)
    folders = sorted(tmp_path.glob("checkpoints/checkpoint-*"))
    assert [folder.name for folder in folders] == [f"checkpoint-{step}" for step in kept]
    assert all((folder / "complete").exists() for folder in folders)
    assert not (tmp_path / "training_log.jsonl").exists()
    live = (tmp_path / "training_log.live.jsonl").read_text().splitlines()
    # The step that stopped it was not logged any more.
    assert [json.loads(line)["step"] for line in live] == [1, 2, 3, 4]


def test_steps_read_from_a_checkpoint_are_those_that_were_logged() -> None:
    """To the order of their names, which the card of a training resumed after its last step shows."""
    state = TrainerState(
        log_history=[{"loss": 0.5, "grad_norm": 1.0, "epoch": 1.0, "seconds": 3.0}, {"eval_loss": 1.0}]
    )
    kept = json.loads(json.dumps(dataclasses.asdict(state), sort_keys=True))["log_history"]
    for history in (state.log_history, kept):
        assert [list(row.items()) for row in logged_steps(history)] == [
            [("epoch", 1.0), ("grad_norm", 1.0), ("loss", 0.5)]
        ]


def test_several_gpus_do_not_multiply_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan has counted the groups of a step."""

    class FourGpus(TrainingArguments):
        def __post_init__(self) -> None:
            super().__post_init__()  # type: ignore[no-untyped-call]
            self._n_gpu = 4

    monkeypatch.setattr(run, "TrainingArguments", FourGpus)
    arguments = run.training_arguments(tmp_path, device="cpu", save_steps=None, per_device_train_batch_size=8)
    assert (arguments.n_gpu, arguments.train_batch_size) == (1, 8)


def test_nothing_is_sent_anywhere(tmp_path: Path) -> None:
    arguments = run.training_arguments(tmp_path, device="cpu", save_steps=None)
    assert arguments.report_to == []
    assert not arguments.push_to_hub
