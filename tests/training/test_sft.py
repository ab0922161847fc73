"""The supervised stage: the loss is that of response tokens only, and a resumed run is the same run."""

import json
import math
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from epa_bench.config.supervised import Sft
from epa_bench.core.errors import TrainingError
from epa_bench.training.sft import train_sft
from tests.tiny import plain_logp, tiny_model, tiny_preferences, tiny_renderer

RENDERER = tiny_renderer()
SEQUENCES = [RENDERER.encode(p.prompt, p.chosen.text) for p in tiny_preferences()]


def sft(
    folder: Path, *, stop_at: int | None = None, save_steps: int | None = None, **settings: float
) -> PreTrainedModel:
    model = tiny_model(0)

    def report(done: int, total: int) -> None:
        if done == stop_at:
            raise InterruptedError

    train_sft(
        model,
        SEQUENCES,
        Sft.model_validate({"batch_size": 16, **settings}),
        folder,
        longest=128,
        device="cpu",
        save_steps=save_steps,
        report=report,
    )
    return model


def log_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "training_log.jsonl").read_text().splitlines()]


@torch.no_grad()
def total_logp(model: PreTrainedModel) -> float:
    return sum(plain_logp(model, s).item() for s in SEQUENCES)


def test_the_loss_is_the_mean_over_response_tokens(tmp_path: Path) -> None:
    """Of all sequences in one step: neither prompts nor padding count, and a long response counts by its tokens."""
    sft(tmp_path, batch_size=len(SEQUENCES))
    model = tiny_model(0)
    total = total_logp(model)
    tokens = sum(len(s.response_ids) for s in SEQUENCES)
    (entry,) = log_of(tmp_path)
    assert entry["loss"] == pytest.approx(-total / tokens, rel=1e-5)


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    model = sft(tmp_path, num_train_epochs=4, learning_rate=5e-3)
    losses = [entry["loss"] for entry in log_of(tmp_path)]
    assert len(losses) == 4 * -(-len(SEQUENCES) // 16)
    assert losses[-1] < 0.6 * losses[0]
    assert total_logp(model) > 0.6 * total_logp(tiny_model(0))


@pytest.mark.parametrize("stop_at", [1, 4, 8])
def test_a_resumed_run_is_the_same_run(tmp_path: Path, stop_at: int) -> None:
    """The order of the data is shuffled, so it has to be taken up where it was left."""
    whole = sft(tmp_path / "whole", num_train_epochs=3)
    assert len(log_of(tmp_path / "whole")) == 9
    with pytest.raises(InterruptedError):
        sft(tmp_path / "torn", num_train_epochs=3, save_steps=2, stop_at=stop_at)
    resumed = sft(tmp_path / "torn", num_train_epochs=3, save_steps=2)
    assert (tmp_path / "torn" / "training_log.jsonl").read_bytes() == (
        tmp_path / "whole" / "training_log.jsonl"
    ).read_bytes()
    for first, second in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(first, second)


def test_a_divergence_is_an_error_not_a_reference(tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError, match=r"the (loss|grad_norm) is (nan|inf) at step 1\.\nLower the learning rate\. No"
    ):
        sft(tmp_path, learning_rate=1e30, warmup_ratio=0.0)
    assert not (tmp_path / "training_log.jsonl").exists()


def test_the_seed_decides_the_order(tmp_path: Path) -> None:
    logs = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        sft(tmp_path / name, seed=seed)
        logs.append([entry["loss"] for entry in log_of(tmp_path / name)])
    assert logs[0] == logs[1] != logs[2]
    assert all(map(math.isfinite, logs[2]))
