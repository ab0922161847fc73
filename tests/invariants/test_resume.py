"""A killed training, run again, is bit for bit the training that was not killed."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from epa_bench.core.files import atomic_write_text
from epa_bench.core.notices import Notice
from epa_bench.training import run
from tests.tiny import Problem, Trained, same_weights, tiny_problem, train

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def problem() -> Problem:
    return tiny_problem(1, 1)


@pytest.fixture(scope="module")
def whole(problem: Problem, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    assert problem.steps == 5
    return train(problem, tmp_path_factory.mktemp("whole"), batch=4, accumulation=2)


def resume(problem: Problem, folder: Path, save_steps: int) -> tuple[Trained, list[int]]:
    """The finished training and the steps it still did."""
    done: list[int] = []
    trained = train(
        problem, folder, batch=4, accumulation=2, save_steps=save_steps, report=lambda step, _: done.append(step)
    )
    return trained, done


@pytest.mark.parametrize("save_steps", [1, 2])
@pytest.mark.parametrize("stop_at", [1, 2, 3, 4, 5])
def test_stopped_at_any_step(problem: Problem, whole: Trained, tmp_path: Path, stop_at: int, save_steps: int) -> None:
    def stop(step: int, _: int) -> None:
        if step == stop_at:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(problem, tmp_path, batch=4, accumulation=2, save_steps=save_steps, report=stop)
    resumed, done = resume(problem, tmp_path, save_steps)
    # Progress is reported before the step's checkpoint is written.
    kept = (stop_at - 1) // save_steps * save_steps
    assert done == list(range(kept + 1, 6))
    assert same_weights(resumed, whole)
    assert resumed.log_bytes == whole.log_bytes


def test_stopped_behind_the_last_step(
    problem: Problem, whole: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(path: Path, text: str) -> None:
        raise InterruptedError

    monkeypatch.setattr(run, "atomic_write_text", stop)
    with pytest.raises(InterruptedError):
        train(problem, tmp_path, batch=4, accumulation=2, save_steps=1)
    monkeypatch.setattr(run, "atomic_write_text", atomic_write_text)
    resumed, done = resume(problem, tmp_path, 1)
    assert done == []
    assert same_weights(resumed, whole)
    assert resumed.log_bytes == whole.log_bytes


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt", "trainer_state.json"])
def test_a_bit_flipped_in_the_newest_checkpoint(problem: Problem, whole: Trained, tmp_path: Path, file: str) -> None:
    """It goes on from the one before."""

    def stop(step: int, _: int) -> None:
        if step == 5:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(problem, tmp_path, batch=4, accumulation=2, save_steps=1, report=stop)
    damaged = tmp_path / "checkpoints" / "checkpoint-4" / file
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    with pytest.warns(Notice, match=rf"checkpoint-4 \({file} is not what was written\).* goes on from checkpoint-3"):
        resumed, done = resume(problem, tmp_path, 1)
    assert done == [4, 5]
    assert same_weights(resumed, whole)
    assert resumed.log_bytes == whole.log_bytes


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from epa_bench.training.seal import SealCheckpoints
    from epa_bench.training.trainer import PreferenceTrainer
    from tests.tiny import tiny_problem, train

    def kill(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    moment = sys.argv[2]
    if moment == "while checkpoint 4 is written":
        save = PreferenceTrainer._save_optimizer_and_scheduler
        PreferenceTrainer._save_optimizer_and_scheduler = (
            lambda self, folder: kill() if self.state.global_step == 4 else save(self, folder)
        )
    else:
        seal = SealCheckpoints.on_save
        SealCheckpoints.on_save = (
            lambda self, args, state, control, **other:
            kill() if state.global_step == 4 else seal(self, args, state, control, **other)
        )
    train(tiny_problem(1, 1), Path(sys.argv[1]), batch=4, accumulation=2, save_steps=1)
"""


@pytest.mark.parametrize(
    ("moment", "whole_ones"),
    [("while checkpoint 4 is written", [2, 3]), ("before checkpoint 4 is sealed", [3])],
)
def test_killed_in_another_process(
    problem: Problem, whole: Trained, tmp_path: Path, moment: str, whole_ones: list[int]
) -> None:
    """By SIGKILL, and with other hash seeds than here."""
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path), moment],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONHASHSEED": "7"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    left = {path.name: (path / "complete").exists() for path in (tmp_path / "checkpoints").iterdir()}
    assert left == {**{f"checkpoint-{step}": True for step in whole_ones}, "checkpoint-4": False}
    resumed, done = resume(problem, tmp_path, 1)
    assert done == [4, 5]
    assert same_weights(resumed, whole)
    assert resumed.log_bytes == whole.log_bytes
