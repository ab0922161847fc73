"""Training an adapter: the base stays, step 0 is the reference, splits and resumes are the same run."""

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor

from epa_bench.config.lora import Lora
from epa_bench.core.errors import TrainingError
from epa_bench.data.validation import hold_out
from epa_bench.models.adapters import add_adapter, load_adapter, merge, save_adapter
from epa_bench.models.scoring import score_sequences
from tests.tiny import (
    Problem,
    Trained,
    counted,
    same_weights,
    tiny_model,
    tiny_preferences,
    tiny_problem,
    tiny_tokenizer,
    train,
)

REPOSITORY = Path(__file__).resolve().parents[2]
SETTINGS: dict[str, Any] = {"learning_rate": 1e-2, "nll": 0.1, "warmup_ratio": 0.0}


def new_policy(seed: int = 1) -> PeftModel:
    return add_adapter(tiny_model(0), Lora(r=4), seed=seed)


@pytest.fixture(scope="module")
def problem() -> Problem:
    found = tiny_problem(1, 1)
    assert found.steps == 5
    return found


@pytest.fixture(scope="module")
def whole(problem: Problem, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(problem, tmp_path_factory.mktemp("whole"), batch=8, accumulation=1, model=new_policy(), **SETTINGS)


def of_adapter(trained: Trained) -> dict[str, Tensor]:
    return {name: weight for name, weight in trained.weights.items() if ".lora_" in name}


def of_base(trained: Trained) -> dict[str, Tensor]:
    return {
        name.removeprefix("base_model.model.").replace(".base_layer.", "."): weight
        for name, weight in trained.weights.items()
        if ".lora_" not in name
    }


def test_the_base_keeps_every_bit_while_the_adapter_moves(whole: Trained) -> None:
    before = tiny_model(0).state_dict()
    after = of_base(whole)
    assert after.keys() == before.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    start = new_policy().state_dict()
    assert all(not torch.equal(start[name], weight) for name, weight in of_adapter(whole).items())


def test_step_0_is_the_reference_without_any_rounding(whole: Trained, problem: Problem, tmp_path: Path) -> None:
    """The reference was scored without an adapter; a new one adds exactly zero."""
    full = train(problem, tmp_path, batch=8, accumulation=1, **SETTINGS)
    shared = set(full.log[0]) - {"grad_norm"}
    assert {name: whole.log[0][name] for name in shared} == {name: full.log[0][name] for name in shared}
    assert whole.log[0]["loss/over_step0"] == pytest.approx(1, abs=1e-6)
    assert whole.log[0]["grad_norm"] != full.log[0]["grad_norm"]
    assert whole.log[-1]["loss"] < 0.9 * whole.log[0]["loss"]


def test_an_adapter_that_is_not_the_reference_stops_training(problem: Problem, tmp_path: Path) -> None:
    policy = new_policy()
    for name, parameter in policy.named_parameters():
        if ".lora_B." in name:
            parameter.data.fill_(0.1)
    with pytest.raises(TrainingError, match="at step 0 policy and reference must give the same log-probs"):
        train(problem, tmp_path, model=policy)


def test_another_split_is_the_same_run(problem: Problem, whole: Trained, tmp_path: Path) -> None:
    split = train(problem, tmp_path, batch=2, accumulation=4, model=new_policy(), **SETTINGS)
    losses = [[entry["loss"] for entry in trained.log] for trained in (split, whole)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    for name, weight in of_adapter(split).items():
        torch.testing.assert_close(weight, whole.weights[name], rtol=0, atol=1e-4)


def test_seeds_are_different_runs_of_one_start(problem: Problem, whole: Trained, tmp_path: Path) -> None:
    """The seed of the trainer is the same here: what differs is how A was drawn."""
    again, other = (
        train(problem, tmp_path / str(seed), batch=8, accumulation=1, model=new_policy(seed), **SETTINGS)
        for seed in (1, 2)
    )
    assert same_weights(again, whole)
    assert again.log_bytes == whole.log_bytes
    assert other.log[0]["loss"] == whole.log[0]["loss"]
    assert other.log[-1]["loss"] != whole.log[-1]["loss"]


# Resume


def resume(problem: Problem, folder: Path, save_steps: int) -> tuple[Trained, list[int]]:
    done: list[int] = []
    trained = train(
        problem,
        folder,
        batch=8,
        accumulation=1,
        save_steps=save_steps,
        report=lambda step, _: done.append(step),
        model=new_policy(),
        **SETTINGS,
    )
    return trained, done


@pytest.mark.parametrize(("stop_at", "save_steps"), [(1, 1), (4, 2)])
def test_stopped_at_any_step(problem: Problem, whole: Trained, tmp_path: Path, stop_at: int, save_steps: int) -> None:
    def stop(step: int, _: int) -> None:
        if step == stop_at:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(
            problem,
            tmp_path,
            batch=8,
            accumulation=1,
            save_steps=save_steps,
            report=stop,
            model=new_policy(),
            **SETTINGS,
        )
    resumed, done = resume(problem, tmp_path, save_steps)
    kept = (stop_at - 1) // save_steps * save_steps
    assert done == list(range(kept + 1, 6))
    assert same_weights(resumed, whole)
    assert resumed.log_bytes == whole.log_bytes


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from tests.tiny import tiny_problem, train
    from tests.training.test_lora import SETTINGS, new_policy

    def kill(step, _):
        if step == 4:
            os.kill(os.getpid(), signal.SIGKILL)

    train(
        tiny_problem(1, 1), Path(sys.argv[1]), batch=8, accumulation=1, save_steps=1, report=kill, model=new_policy(),
        **SETTINGS,
    )
"""


def test_killed_in_another_process(problem: Problem, whole: Trained, tmp_path: Path) -> None:
    """By SIGKILL, and with other hash seeds than here: PEFT keeps target modules as a set."""
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONHASHSEED": "7"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (checkpoint, _) = sorted(path for path in (tmp_path / "checkpoints").iterdir())[::-1]
    names = {path.name for path in checkpoint.iterdir()}
    assert "adapter_model.safetensors" in names
    assert "model.safetensors" not in names
    resumed, done = resume(problem, tmp_path, 1)
    assert done == [4, 5]
    assert same_weights(resumed, whole)
    assert resumed.log_bytes == whole.log_bytes


# The best checkpoint


def test_the_best_evaluation_is_the_adapter_that_is_kept(tmp_path: Path) -> None:
    """Whether the run was stopped or not; the Trainer loads adapters on a path of its own."""
    problem = tiny_problem(1, 1, epochs=2, held_out=hold_out(tiny_preferences(), rows=10, seed=0))
    after: dict[int, dict[str, Tensor]] = {}
    settings: dict[str, Any] = {
        "validation": {"rows": 10, "eval_steps": 1},
        # High enough that the last step is not the best one.
        "learning_rate": 0.05,
        "warmup_ratio": 0.0,
    }

    def run(folder: str, stop_at: int | None = None) -> Trained:
        policy = new_policy()

        def report(step: int, _: int) -> None:
            after[step] = {name: w.clone() for name, w in policy.state_dict().items() if ".lora_" in name}
            if step == stop_at:
                raise InterruptedError

        return train(problem, tmp_path / folder, model=policy, report=report, **settings)

    kept = run("whole")
    assert kept.outcome.chosen is not None
    assert kept.outcome.chosen.step < problem.steps
    assert all(torch.equal(kept.weights[name], w) for name, w in after[kept.outcome.chosen.step].items())
    with pytest.raises(InterruptedError):
        run("stopped", stop_at=problem.steps)
    assert same_weights(run("stopped"), kept)


# Memory and precision


def test_gradient_checkpointing_changes_nothing_but_runs_layers_twice(
    problem: Problem, whole: Trained, tmp_path: Path
) -> None:
    """Inputs of the first layer carry no gradient: the reentrant kind would compute none, with a warning."""
    calls = []
    for name, checkpointing in (("without", False), ("with", True)):
        policy = new_policy()
        count = [0]
        first: Any = policy.get_submodule("base_model.model.model.layers.0.mlp.up_proj.base_layer")
        first.register_forward_hook(lambda *_, count=count: count.__setitem__(0, count[0] + 1))
        trained = train(
            problem,
            tmp_path / name,
            batch=8,
            accumulation=1,
            gradient_checkpointing=checkpointing,
            model=policy,
            **SETTINGS,
        )
        assert same_weights(trained, whole)
        calls.append(count[0])
    assert calls[1] - calls[0] == problem.steps


def test_mixed_precision_starts_at_a_reference_scored_like_it(problem: Problem, tmp_path: Path) -> None:
    sequences = [s for group in problem.groups for s in counted(problem, group)]
    scores = score_sequences(tiny_model(0), sequences, batch_tokens=4096, autocast=True)
    alike = replace(problem, reference={score.key: score for score in scores})
    policy = new_policy()
    log = train(alike, tmp_path, dtype="bfloat16", model=policy, **SETTINGS).log
    full = train(alike, tmp_path, dtype="bfloat16", **SETTINGS).log
    assert log[0]["loss"] == full[0]["loss"]
    assert {p.dtype for p in policy.parameters()} == {torch.float32}
    assert log[-1]["loss"] < 0.9 * log[0]["loss"]


# A copy of an adapter that the reference is


def an_adapter(folder: Path) -> Path:
    """One that was trained before."""
    policy = add_adapter(tiny_model(0), Lora(r=2, lora_alpha=4, target_modules=("q_proj", "up_proj")), seed=9)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in policy.named_parameters():
        if ".lora_" in name:
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    save_adapter(folder, policy, tiny_tokenizer(), base="base", identity={})
    return folder


def scored_by(policy: torch.nn.Module, problem: Problem) -> Problem:
    sequences = [s for group in problem.groups for s in counted(problem, group)]
    scores = {score.key: score for score in score_sequences(policy, sequences, batch_tokens=4096)}
    return replace(problem, reference=scores)


def test_a_copy_of_an_adapter_starts_at_the_adapter(problem: Problem, tmp_path: Path) -> None:
    folder = an_adapter(tmp_path / "adapter")
    kept = (folder / "adapter_model.safetensors").read_bytes()
    reference = scored_by(load_adapter(tiny_model(0), folder), problem)
    policy = load_adapter(tiny_model(0), folder)
    trained = train(reference, tmp_path / "run", batch=8, accumulation=1, model=policy, **SETTINGS)
    assert trained.log[0]["rewards/chosen"] == pytest.approx(0, abs=1e-5)
    assert trained.log[-1]["loss"] < 0.95 * trained.log[0]["loss"]
    # Its own ranks and layers, trained on; the original and the base as they were.
    assert {weight.shape[0] for name, weight in of_adapter(trained).items() if "lora_A" in name} == {2}
    assert len(of_adapter(trained)) == 2 * 2 * 2
    assert (folder / "adapter_model.safetensors").read_bytes() == kept
    before = tiny_model(0).state_dict()
    assert all(torch.equal(before[name], weight) for name, weight in of_base(trained).items())
    with pytest.raises(TrainingError, match="belong to another model"):
        train(problem, tmp_path / "base", model=load_adapter(tiny_model(0), folder))


def test_full_training_from_a_merged_adapter_moves_every_weight(problem: Problem, tmp_path: Path) -> None:
    def merged() -> Any:
        return merge(load_adapter(tiny_model(0), tmp_path / "adapter"))

    an_adapter(tmp_path / "adapter")
    trained = train(scored_by(merged(), problem), tmp_path / "run", model=merged(), **SETTINGS)
    start = merged().state_dict()
    assert trained.weights.keys() == start.keys()
    assert all(not torch.equal(start[name], weight) for name, weight in trained.weights.items())
