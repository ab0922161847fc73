"""A pretrained model trained further: its first loss and gradient are those of transformers, whatever the split."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from epa_bench.config.supervised import CheckpointSft
from epa_bench.core.errors import DataError, TrainingError
from epa_bench.data.supervised import order_of_rows
from epa_bench.training import memory
from epa_bench.training.sft import train_further
from tests.tiny import plain_logp, tiny_model, tiny_preferences, tiny_renderer

RENDERER = tiny_renderer()
SEQUENCES = [RENDERER.encode(p.prompt, p.chosen.text) for p in tiny_preferences()][:18]
ALIGNED = [(-0.5 - 0.1 * (i % 7), -2.0 - 0.2 * (i % 5)) for i in range(len(SEQUENCES))]
SGD: dict[str, Any] = {"optim": "sgd", "lr_scheduler_type": "constant", "max_grad_norm": 1e9, "learning_rate": 0.5}
"""One step of it subtracts half of the gradient."""


def further(
    folder: Path, batch: int, accumulation: int, *, stop_at: int | None = None, **settings: Any
) -> PreTrainedModel:
    model = tiny_model(0)

    def report(done: int, total: int) -> None:
        if done == stop_at:
            raise InterruptedError

    split = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation}
    train_further(
        model,
        SEQUENCES,
        CheckpointSft.model_validate({**split, "learning_rate": 1e-3, **settings}),
        folder,
        longest=128,
        device="cpu",
        report=report,
        aligned=ALIGNED,
    )
    return model


def log_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "training_log.jsonl").read_text().splitlines()]


def first_step(rows: int, seed: int = 0) -> list[int]:
    return order_of_rows(len(SEQUENCES), rows_per_step=rows, epochs=1, seed=seed)[:rows]


def labelled_loss(model: PreTrainedModel, rows: Sequence[int]) -> torch.Tensor:
    """transformers' own cross-entropy: a padded batch, labels of -100 but on the responses."""
    width = max(len(SEQUENCES[i].prompt_ids) + len(SEQUENCES[i].response_ids) for i in rows)
    ids_NT = torch.zeros(len(rows), width, dtype=torch.long)
    labels_NT = torch.full((len(rows), width), -100)
    for n, i in enumerate(rows):
        prompt, response = SEQUENCES[i].prompt_ids, SEQUENCES[i].response_ids
        ids_NT[n, : len(prompt) + len(response)] = torch.tensor([*prompt, *response])
        labels_NT[n, len(prompt) : len(prompt) + len(response)] = torch.tensor(response)
    logits_NTV = model(input_ids=ids_NT, labels=labels_NT).logits
    loss: torch.Tensor = model(input_ids=ids_NT, labels=labels_NT).loss
    torch.testing.assert_close(loss, cross_entropy(logits_NTV[:, :-1].flatten(0, 1), labels_NT[:, 1:].flatten()))
    return loss


def moved_by(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """What a step of `SGD` subtracted, over its learning rate."""
    before = dict(tiny_model(0).named_parameters())
    return {name: (before[name] - after).detach() / 0.5 for name, after in model.named_parameters()}


def gradients_of(model: PreTrainedModel, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    names, parameters = zip(*model.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))


@pytest.mark.parametrize(("batch", "accumulation"), [(18, 1), (6, 3), (1, 18), (4, 2)])
def test_the_first_step_is_that_of_transformers_own_cross_entropy(
    tmp_path: Path, batch: int, accumulation: int
) -> None:
    """Responses are of different lengths, so a mean of micro-batch means would be another loss."""
    trained = further(tmp_path, batch, accumulation, **SGD)
    model = tiny_model(0)
    loss = labelled_loss(model, first_step(batch * accumulation))
    assert log_of(tmp_path)[0]["loss"] == pytest.approx(loss.item(), abs=1e-5)
    if batch * accumulation == len(SEQUENCES):
        for name, expected in gradients_of(model, loss).items():
            torch.testing.assert_close(moved_by(trained)[name], expected, atol=2e-6, rtol=1e-4)


@pytest.mark.parametrize(("batch", "accumulation"), [(18, 1), (6, 3)])
def test_poft_weighs_the_gradient_of_each_row_by_its_tau(tmp_path: Path, batch: int, accumulation: int) -> None:
    """Equations 7 to 9: the gradient is the mean of tau times that of the row's cross-entropy a token."""
    trained = further(tmp_path, batch, accumulation, objective="poft", **SGD)
    model = tiny_model(0)
    means_N = torch.stack([plain_logp(model, s) / len(s.response_ids) for s in SEQUENCES])
    taus_N = (torch.tensor(ALIGNED).mean(1) - means_N.detach()).sigmoid()
    expected = gradients_of(model, -(taus_N * means_N).mean())
    for name, moved in moved_by(trained).items():
        torch.testing.assert_close(moved, expected[name], atol=2e-6, rtol=1e-4)
    assert log_of(tmp_path)[0]["tau/q50"] == pytest.approx(taus_N.median().item(), abs=0.01)


@pytest.mark.parametrize("objective", ["sft", "poft"])
def test_results_do_not_depend_on_the_split(tmp_path: Path, objective: str) -> None:
    settings: dict[str, Any] = {"objective": objective, "num_train_epochs": 2}
    runs = {
        split: further(tmp_path / f"{split}", *split, **settings, gradient_checkpointing=split == (2, 4))
        for split in [(8, 1), (2, 4)]
    }
    logs = [[step["loss"] for step in log_of(tmp_path / f"{split}")] for split in runs]
    # 36 rows make four whole steps of eight.
    assert len(logs[0]) == 4
    assert logs[0] == pytest.approx(logs[1], abs=1e-5)
    for first, second in zip(*(model.state_dict().values() for model in runs.values()), strict=True):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=0)


def test_the_schedule_warms_up_and_falls_as_a_cosine(tmp_path: Path) -> None:
    further(tmp_path, 3, 1, num_train_epochs=2, warmup_ratio=0.25, learning_rate=1e-3)
    rates = [step["learning_rate"] for step in log_of(tmp_path)]
    assert len(rates) == 12
    assert rates[:4] == pytest.approx([0.0, 1e-3 / 3, 2e-3 / 3, 1e-3])
    assert rates[7] == pytest.approx(1e-3 * (1 + torch.cos(torch.tensor(4 / 9 * torch.pi)).item()) / 2, rel=1e-5)


@pytest.mark.parametrize("stop_at", [1, 3, 5])
def test_a_resumed_run_is_the_same_run(tmp_path: Path, stop_at: int) -> None:
    settings: dict[str, Any] = {"num_train_epochs": 2, "objective": "poft", "save_steps": 2}
    whole = further(tmp_path / "whole", 3, 2, **settings)
    with pytest.raises(InterruptedError):
        further(tmp_path / "torn", 3, 2, stop_at=stop_at, **settings)
    resumed = further(tmp_path / "torn", 3, 2, **settings)
    logs = [(tmp_path / name / "training_log.jsonl").read_bytes() for name in ("whole", "torn")]
    assert logs[0] == logs[1]
    for first, second in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(first, second)


def test_what_makes_no_step_or_does_not_fit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"18 supervised rows in 1 epoch.* are less than one optimizer step of 20"):
        further(tmp_path, 5, 4)
    monkeypatch.setattr(memory, "free_memory", lambda device: 1)
    with pytest.raises(TrainingError, match=r"Less is needed with\n  reference\.sft\.per_device_train_batch_size: 1 "):
        further(tmp_path, 2, 1)
