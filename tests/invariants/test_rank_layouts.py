"""How many processes share a training, and whether they shard the model, changes neither losses, metrics nor weights.

Real ranks: torchrun starts two that talk through gloo, as a user would; see `tests/rank_trainings.py`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from epa_bench.models.adapters import load_adapter
from epa_bench.models.checkpoint import load_model, save_checkpoint
from tests.rank_trainings import (
    RECIPE,
    SPLITS,
    STOPS,
    VALIDATED,
    adapted_model,
    short_problem,
    supervised_settings,
    train_further_from_tiny,
    untied_model,
    validated_problem,
    wide_problem,
)
from tests.tiny import Problem, Trained, tiny_model, tiny_tokenizer, train

REPOSITORY = Path(__file__).resolve().parents[2]
KINDS = ["ddp", "fsdp"]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all trainings on two ranks."""
    folder = tmp_path_factory.mktemp("ranks")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, "tests/rank_trainings.py", str(folder)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def problem() -> Problem:
    return wide_problem()


@pytest.fixture(scope="module")
def alone(problem: Problem, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The same training in one process, whole steps at a time."""
    return train(problem, tmp_path_factory.mktemp("alone"), batch=8, accumulation=1, **RECIPE)


def weights(folder: Path) -> dict[str, Tensor]:
    return load_model(folder / "model", dtype="float32", device="cpu").state_dict()


def log(folder: Path, name: str = "training_log.jsonl") -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def told(folder: Path) -> list[dict[str, Any]]:
    """What each rank says of itself."""
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("batch", "accumulation"), SPLITS)
def test_two_ranks_are_the_same_run_as_one_process(
    ranks: Path, problem: Problem, alone: Trained, kind: str, batch: int, accumulation: int
) -> None:
    folder = ranks / kind / f"{batch}x{accumulation}"
    assert len(log(folder)) == len(alone.log) == problem.steps
    for ours, theirs in zip(log(folder), alone.log, strict=True):
        # While the policy is the reference, which of two equal rewards is larger is a matter of rounding.
        undecided = {"rewards/accuracies"} if theirs["step"] <= 2 else set()
        assert ours.keys() == theirs.keys()
        for name in ours.keys() - undecided:
            assert ours[name] == pytest.approx(theirs[name], rel=1e-5, abs=1e-5), (theirs["step"], name)
    ours_after = weights(folder)
    assert ours_after.keys() == alone.weights.keys()
    for name, weight in ours_after.items():
        torch.testing.assert_close(weight, alone.weights[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("objective", ["sft", "poft"])
def test_two_ranks_train_a_checkpoint_further_as_one_process(
    ranks: Path, kind: str, objective: str, tmp_path: Path
) -> None:
    """Responses of different lengths, of which each rank and pass has others."""
    alone = train_further_from_tiny(tmp_path, supervised_settings(8, 1, objective=objective))
    folder = ranks / kind / f"supervised-{objective}"
    assert len(log(folder)) == len(log(tmp_path)) > 5
    for ours, theirs in zip(log(folder), log(tmp_path), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-5)
    start, expected = tiny_model(0).state_dict(), alone.state_dict()
    for name, weight in weights(folder).items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-5)
    assert max(float((expected[name] - start[name]).abs().max()) for name in start) > 100 * 1e-5


def test_it_is_a_run_in_which_weights_and_metrics_move(alone: Trained) -> None:
    """Or the comparison above could not fail."""
    start = tiny_model(0).state_dict()
    assert max(float((alone.weights[name] - start[name]).abs().max()) for name in start) > 100 * 1e-5
    assert alone.log[-1]["rewards/margins"] > 0.1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("batch", "accumulation"), SPLITS)
def test_each_step_is_shared_out_as_planned(
    ranks: Path, problem: Problem, kind: str, batch: int, accumulation: int
) -> None:
    shares = [rank["asked"] for rank in told(ranks / kind / f"{batch}x{accumulation}")]
    for step in range(problem.steps):
        first, second = (share[4 * step : 4 * step + 4] for share in shares)
        assert sorted(first + second) == [i for i, group in enumerate(problem.groups) if group.step == step]
    # Passes take turns, each with consecutive groups: 4 a pass, or 2 where the settings allow no more.
    assert shares[0][:4] == ([0, 1, 2, 3] if batch == 8 else [0, 1, 4, 5])


def test_fsdp_does_shard(ranks: Path) -> None:
    whole = sum(parameter.numel() for parameter in tiny_model(0).parameters())
    assert [rank["parameters"] for rank in told(ranks / "ddp" / "8x1")] == [whole, whole]
    assert [rank["parameters"] for rank in told(ranks / "fsdp" / "8x1")] == [whole / 2, whole / 2]


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoint_has_the_files_and_names_of_a_training_in_one_process(
    ranks: Path, tmp_path: Path, kind: str
) -> None:
    save_checkpoint(tmp_path, tiny_model(0), tiny_tokenizer(), {"kind": "trained"})
    folder = ranks / kind / "8x1" / "model"
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in tmp_path.iterdir())
    assert json.loads((folder / "config.json").read_text())["architectures"] == ["LlamaForCausalLM"]
    with safe_open(folder / "model.safetensors", "pt") as ours, safe_open(tmp_path / "model.safetensors", "pt") as one:
        assert ours.keys() == one.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_validation_on_ranks_measures_and_keeps_the_same(ranks: Path, tmp_path: Path, kind: str) -> None:
    one = train(validated_problem(), tmp_path, batch=4, accumulation=2, **RECIPE, **VALIDATED)
    folder = ranks / kind / "validated"
    ours, theirs = (log(place, "validation_log.jsonl") for place in (folder, tmp_path))
    assert len(ours) == len(theirs) == validated_problem().steps
    for our, their in zip(ours, theirs, strict=True):
        assert our.keys() == their.keys()
        for name in our:
            assert our[name] == pytest.approx(their[name], rel=1e-5, abs=1e-5), (their["step"], name)
    assert one.outcome.chosen is not None
    assert one.outcome.chosen.step < validated_problem().steps
    for name, weight in weights(folder).items():
        torch.testing.assert_close(weight, one.weights[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stop_at", STOPS)
def test_resumed_on_ranks_to_the_same_bits(ranks: Path, kind: str, stop_at: int) -> None:
    undisturbed, stopped = ranks / kind / "undisturbed", ranks / kind / f"stopped-at-{stop_at}"
    for file in ("model/model.safetensors", "training_log.jsonl"):
        assert (stopped / file).read_bytes() == (undisturbed / file).read_bytes()
    # It did resume: the step it was stopped behind had no checkpoint yet, those before had.
    assert [len(rank["asked"]) for rank in told(stopped)] == [4 * (5 - (stop_at - 1))] * 2
    assert not (stopped / "checkpoints").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_adapters_are_trained_on_ranks_as_in_one_process(ranks: Path, tmp_path: Path, kind: str) -> None:
    one = train(short_problem(), tmp_path, batch=2, accumulation=4, model=adapted_model(), **RECIPE)
    whole, stopped = ranks / kind / "adapter-None" / "model", ranks / kind / "adapter-3" / "model"
    policy = load_adapter(tiny_model(0), whole)
    ours = {name: weight for name, weight in policy.state_dict().items() if ".lora_" in name}
    assert ours
    for name, weight in ours.items():
        torch.testing.assert_close(weight, one.weights[name], rtol=0, atol=1e-5)
    assert any(float(weight.abs().max()) > 20 * 1e-5 for name, weight in ours.items() if ".lora_B." in name)
    weights_file = "adapter_model.safetensors"
    assert (stopped / weights_file).read_bytes() == (whole / weights_file).read_bytes()


def test_checkpoint_is_sealed_when_every_rank_has_written(ranks: Path) -> None:
    """Steps 2, 4 and the last."""
    assert json.loads((ranks / "ddp" / "slow-rank" / "sealed-before-whole.json").read_text()) == [False, False, False]


def test_sharded_output_layer_of_its_own(ranks: Path, tmp_path: Path) -> None:
    """Its weight is used in a hook before the layer, which itself then gets nothing to do."""
    model = untied_model()
    assert "lm_head.weight" not in model.all_tied_weights_keys
    one = train(short_problem(), tmp_path, batch=2, accumulation=4, model=model, warmup_ratio=0.1, **RECIPE)
    sharded = weights(ranks / "fsdp" / "untied")
    assert sharded.keys() == one.weights.keys()
    assert not torch.equal(sharded["lm_head.weight"], sharded["model.embed_tokens.weight"])
    for name, weight in sharded.items():
        torch.testing.assert_close(weight, one.weights[name], rtol=0, atol=1e-5)


def test_gradient_checkpointing_on_shards_changes_nothing(ranks: Path) -> None:
    plain, checkpointed = (log(ranks / "fsdp" / name) for name in ("undisturbed", "checkpointing"))
    assert [step["loss"] for step in checkpointed] == pytest.approx([step["loss"] for step in plain], rel=1e-6)


def test_bf16_on_shards(ranks: Path) -> None:
    """Meets a reference scored in bf16, computes in it, and keeps weights in fp32."""
    full, half = (log(ranks / "fsdp" / name) for name in ("undisturbed", "bf16"))
    assert half[0]["rewards/chosen"] == pytest.approx(0, abs=5e-3)
    assert [step["loss"] for step in half] == pytest.approx([step["loss"] for step in full], abs=0.02)
    assert half[-1]["loss"] != pytest.approx(full[-1]["loss"], abs=1e-5)
    after = weights(ranks / "fsdp" / "bf16")
    assert any(not torch.equal(weight, weight.bfloat16().float()) for weight in after.values())


def test_short_problem_has_a_step_for_every_stop() -> None:
    assert short_problem().steps == max(STOPS) == 5
