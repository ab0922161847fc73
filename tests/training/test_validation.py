"""Held-out pairs: what is measured on them, which checkpoint is kept, and that a resumed run keeps the same one."""

import json
import math
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from epa_bench.core.errors import TrainingError
from epa_bench.core.notices import Notice
from epa_bench.core.records import Group
from epa_bench.data.validation import hold_out
from epa_bench.models.scoring import sequence_key
from tests.tiny import (
    BETA,
    Problem,
    Trained,
    counted,
    plain_logp,
    same_weights,
    tiny_model,
    tiny_preferences,
    tiny_problem,
    train,
)

EVERY_2 = {"rows": 10, "eval_steps": 2}


@pytest.fixture(scope="module")
def problem() -> Problem:
    """Four steps of eight groups; ten rows held out of the 48."""
    held_out = hold_out(tiny_preferences(), rows=10, seed=0)
    found = tiny_problem(1, 1, held_out=held_out)
    assert found.steps == 4
    assert len(found.validation) == 10
    return found


def evaluations(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "validation_log.jsonl").read_text().splitlines()]


def fit(problem: Problem, folder: Path, *, validation: dict[str, Any] | None = None, **settings: Any) -> Trained:
    return train(problem, folder, validation={**EVERY_2, **(validation or {})}, **settings)


@torch.no_grad()
def by_hand(model: Any, problem: Problem) -> dict[str, float]:
    """DPO's loss (EPA's with one negative) and the metrics of the held-out pairs."""
    reference = tiny_model(0)

    def score(group: Group, candidate: int) -> Tensor:
        sequence = counted(problem, group)[candidate]
        return BETA * (plain_logp(model, sequence) - plain_logp(reference, sequence))

    gaps = [float(score(group, 0) - score(group, 1)) for group in problem.validation]
    return {
        "eval_loss": mean(math.log1p(math.exp(-gap)) for gap in gaps),
        "eval_rewards/accuracies": mean(gap > 0 for gap in gaps),
        "eval_rewards/margins": mean(gaps),
    }


@pytest.mark.parametrize("loss", ["epa", "dpo"])
@pytest.mark.parametrize("nll", [0.0, 0.3])
def test_metrics_are_those_computed_by_hand(problem: Problem, tmp_path: Path, loss: str, nll: float) -> None:
    """Also where the last batch is smaller than the others: ten pairs in batches of four."""
    if loss == "dpo":
        problem = tiny_problem(1, 0, held_out=hold_out(tiny_preferences(), rows=10, seed=0))
    model = tiny_model(0)
    fit(problem, tmp_path, loss=loss, nll=nll, batch=4, accumulation=2, model=model)
    last = evaluations(tmp_path)[-1]
    expected = by_hand(model, problem)
    with torch.no_grad():
        positives = [counted(problem, group)[0] for group in problem.validation]
        nlls = [-plain_logp(model, s).item() / len(s.response_ids) for s in positives]
    expected["eval_loss"] += nll * mean(nlls)
    assert {name: last[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    assert last["step"] == problem.steps
    assert last["eval_logps/chosen"] == pytest.approx(mean(plain_logp(model, s).item() for s in positives), rel=1e-4)


def test_every_evaluation_is_logged_and_nothing_of_how_long_it_took(problem: Problem, tmp_path: Path) -> None:
    fit(problem, tmp_path, validation={"eval_steps": 3})
    log = evaluations(tmp_path)
    assert [entry["step"] for entry in log] == [3, 4]  # the last step too
    names = {name for entry in log for name in entry}
    assert {"eval_loss", "eval_rewards/accuracies", "eval_rewards/margins", "epoch", "step", "chosen"} <= names
    assert not [name for name in names if "second" in name or "time" in name]
    assert all(name.startswith("eval_") for name in names - {"epoch", "step", "chosen"})


def test_evaluations_change_nothing_of_the_training(problem: Problem, tmp_path: Path) -> None:
    plain = train(problem, tmp_path / "plain")
    watched = fit(problem, tmp_path / "watched", validation={"eval_steps": 1, "load_best_model_at_end": False})
    assert same_weights(plain, watched)
    assert plain.log_bytes == watched.log_bytes
    assert "chosen" not in {name for entry in evaluations(tmp_path / "watched") for name in entry}
    assert not (tmp_path / "plain" / "validation_log.jsonl").exists()


# Which checkpoint is kept


class WeightsOfSteps(TrainerCallback):
    """Copies the weights after every step."""

    def __init__(self) -> None:
        self.weights: dict[int, dict[str, Tensor]] = {}

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        model: torch.nn.Module = kwargs["model"]
        self.weights[state.global_step] = {name: tensor.clone() for name, tensor in model.state_dict().items()}


DIVERGING: dict[str, Any] = {"learning_rate": 0.05, "warmup_ratio": 0.0, "lr_scheduler_type": "constant"}
"""Too fast: the held-out loss soon rises."""


@pytest.mark.parametrize("metric", ["loss", "rewards/margins", "rewards/accuracies"])
@pytest.mark.parametrize("save_steps", [None, 3])
def test_the_weights_are_those_of_the_best_evaluation(
    problem: Problem, tmp_path: Path, metric: str, save_steps: int | None
) -> None:
    watch = WeightsOfSteps()
    validation = {"eval_steps": 1, "metric_for_best_model": metric}
    trained = fit(problem, tmp_path, validation=validation, callbacks=[watch], save_steps=save_steps, **DIVERGING)
    log = evaluations(tmp_path)
    values = [entry[f"eval_{metric}"] for entry in log]
    best = min(values) if metric == "loss" else max(values)
    chosen = trained.outcome.chosen
    assert chosen is not None
    assert chosen.value == best
    assert chosen.metric == f"eval_{metric}"
    assert chosen.step == 1 + values.index(best)  # of equal ones the earliest
    assert [entry["step"] for entry in log if entry.get("chosen")] == [chosen.step]
    kept = watch.weights[chosen.step]
    assert all(torch.equal(kept[name], tensor) for name, tensor in trained.weights.items())


def test_the_best_is_not_always_the_last(problem: Problem, tmp_path: Path) -> None:
    """Or the test above could not tell."""
    chosen = fit(problem, tmp_path, validation={"eval_steps": 1}, **DIVERGING).outcome.chosen
    assert chosen is not None
    assert chosen.step < problem.steps


# Resume


@pytest.mark.parametrize(("stop_at", "save_steps"), [(2, None), (3, 3), (4, None)])
def test_a_resumed_run_keeps_the_same_checkpoint(
    problem: Problem, tmp_path: Path, stop_at: int, save_steps: int | None
) -> None:
    settings = {"validation": {"eval_steps": 1}, "save_steps": save_steps, **DIVERGING}
    whole = fit(problem, tmp_path / "whole", **settings)

    def stop(step: int, _: int) -> None:
        if step == stop_at:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fit(problem, tmp_path / "torn", report=stop, **settings)
    # Wherever the folder stands by then.
    (tmp_path / "torn").rename(tmp_path / "moved")
    done: list[int] = []
    resumed = fit(problem, tmp_path / "moved", report=lambda step, _: done.append(step), **settings)
    assert done[0] == stop_at
    assert same_weights(resumed, whole)
    assert resumed.log_bytes == whole.log_bytes
    assert resumed.outcome == whole.outcome
    assert evaluations(tmp_path / "moved") == evaluations(tmp_path / "whole")


def test_stopped_behind_the_last_step(problem: Problem, tmp_path: Path) -> None:
    """Nothing is left to train, and the best checkpoint is loaded all the same, from where it is now."""
    settings = {"validation": {"eval_steps": 1}, **DIVERGING}
    whole = fit(problem, tmp_path / "whole", **settings)
    (tmp_path / "whole").rename(tmp_path / "moved")
    done: list[int] = []
    again = fit(problem, tmp_path / "moved", report=lambda step, _: done.append(step), **settings)
    assert done == []
    assert same_weights(again, whole)
    assert again.outcome == whole.outcome


def test_a_damaged_best_checkpoint_is_trained_again(problem: Problem, tmp_path: Path) -> None:
    settings = {"validation": {"eval_steps": 1}, **DIVERGING}
    whole = fit(problem, tmp_path, **settings)
    assert whole.outcome.chosen is not None
    damaged = tmp_path / "checkpoints" / f"checkpoint-{whole.outcome.chosen.step}" / "model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    with pytest.warns(Notice, match=r"starts from the beginning, to the same result"):
        again = fit(problem, tmp_path, **settings)
    assert same_weights(again, whole)
    assert again.outcome == whole.outcome


# Values that are not finite


def test_a_held_out_loss_that_is_not_finite_names_its_row(problem: Problem, tmp_path: Path) -> None:
    group = problem.validation[3]
    key = sequence_key(counted(problem, group)[1])
    reference = {**problem.reference, key: problem.reference[key].model_copy(update={"logp": -math.inf})}
    with pytest.raises(TrainingError, match="not finite on held-out rows after 2 steps") as caught:
        fit(replace(problem, reference=reference), tmp_path)
    assert str(caught.value).splitlines()[1] == f"  {problem.preferences[group.example].source}"
    assert "No checkpoint was saved before it" in str(caught.value)


# What others add


def test_callbacks_are_called_and_may_stop_the_training(problem: Problem, tmp_path: Path) -> None:
    events: list[str] = []

    class Stop(TrainerCallback):
        def __getattribute__(self, name: str) -> Any:
            if name.startswith("on_"):
                events.append(name)
            return super().__getattribute__(name)

        def on_evaluate(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
        ) -> None:
            assert kwargs["metrics"]["eval_rewards/margins"] is not None
            control.should_training_stop = True

    trained = fit(problem, tmp_path, callbacks=[Stop()])
    assert [entry["step"] for entry in trained.log] == [1, 2]
    assert trained.outcome.chosen is not None
    assert trained.outcome.chosen.step == 2
    assert {"on_train_begin", "on_step_end", "on_log", "on_evaluate", "on_save", "on_train_end"} <= set(events)
