"""PoFT in the supervised stage: its loss on packed batches is the one of each sequence alone."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from epa_bench.config.supervised import Sft
from epa_bench.data.chat import EncodedResponse
from epa_bench.losses.poft import poft_loss
from epa_bench.models.logprobs import ScorePass
from epa_bench.models.packing import pack_sequences
from epa_bench.models.self_check import choose_score_pass
from epa_bench.training.poft import QUANTILES, scored_sequences
from epa_bench.training.sft import train_sft
from tests.tiny import plain_logp, tiny_model, tiny_preferences, tiny_renderer

RENDERER = tiny_renderer()
SEQUENCES = [RENDERER.encode(p.prompt, p.chosen.text) for p in tiny_preferences()]
ALIGNED = [(-0.5 - 0.1 * (i % 7), -2.0 - 0.2 * (i % 5)) for i in range(len(SEQUENCES))]


def train(folder: Path, aligned: Sequence[Sequence[float]] = ALIGNED, **settings: Any) -> PreTrainedModel:
    model = tiny_model(0)
    train_sft(
        model,
        SEQUENCES,
        Sft.model_validate({"batch_size": len(SEQUENCES), "warmup_ratio": 0.0, "objective": "poft", **settings}),
        folder,
        longest=128,
        device="cpu",
        save_steps=None,
        report=lambda done, total: None,
        aligned=aligned,
    )
    return model


def first_step(folder: Path) -> dict[str, float]:
    step: dict[str, float] = json.loads((folder / "training_log.jsonl").read_text().splitlines()[0])
    return step


@torch.no_grad()
def margins(sequences: Sequence[EncodedResponse], whole_text: bool = False) -> list[float]:
    """r_theta - mean_j r_j of each sequence, by the model's plain forward over it alone."""
    model, found = tiny_model(0), []
    for sequence, aligned in zip(sequences, ALIGNED, strict=True):
        tokens = len(sequence.response_ids)
        logp = plain_logp(model, sequence).item()
        if whole_text:
            prompt = EncodedResponse(sequence.prompt_ids[:1], sequence.prompt_ids[1:], truncated=False)
            logp, tokens = logp + plain_logp(model, prompt).item(), tokens + len(prompt.response_ids)
        found.append(logp / tokens - sum(aligned) / 2)
    return found


@pytest.mark.parametrize(
    ("mask", "beta", "gamma"), [("response", 1.0, 0.0), ("response", 2.0, 0.5), ("released", 1.0, 0.0)]
)
def test_the_loss_is_the_mean_over_sequences(tmp_path: Path, mask: str, beta: float, gamma: float) -> None:
    """In one packed batch; `released` takes the prompt's tokens into the trained model's mean, but the first."""
    train(tmp_path, poft={"mask": mask, "beta": beta, "gamma": gamma})
    step = first_step(tmp_path)
    logits = [beta * margin - gamma for margin in margins(SEQUENCES, whole_text=mask == "released")]
    losses = [math.log1p(math.exp(-logit)) for logit in logits]
    assert step["loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    taus = torch.tensor([beta / (1 + math.exp(logit)) for logit in logits]).quantile(torch.tensor(QUANTILES))
    logged = [step[f"tau/q{q}"] for q in ("05", "25", "50", "75", "95")]
    assert logged == pytest.approx(taus.tolist(), rel=1e-4)


@pytest.mark.parametrize(
    "score_pass", [ScorePass(True, True), ScorePass(False, True), ScorePass(False, False)], ids=str
)
@pytest.mark.parametrize("mask", ["response", "released"])
def test_a_sequence_does_not_depend_on_its_batch(score_pass: ScorePass, mask: Any) -> None:
    """Neither on longer ones it is packed or padded with, nor on their order."""
    rows = scored_sequences(SEQUENCES[:6], ALIGNED[:6], mask)
    model = tiny_model(0)
    # Sets the attention that sharing prompts needs.
    assert choose_score_pass(model, longest=128) == ScorePass(True, True)

    def losses(indices: Sequence[int]) -> list[float]:
        batch = [rows[i] for i in indices]
        with torch.no_grad():
            result = score_pass(model, pack_sequences([row.sequence for row in batch]))
        aligned_NJ = torch.tensor([list(row.aligned) for row in batch])
        return poft_loss(result.logps_N, result.tokens_N, aligned_NJ).tolist()

    together, turned = losses(range(6)), losses(range(5, -1, -1))
    assert turned[::-1] == pytest.approx(together, abs=2e-5)
    assert [losses([i])[0] for i in range(6)] == pytest.approx(together, abs=2e-5)


def test_aligned_models_decide_what_is_learnt(tmp_path: Path) -> None:
    """Rows that the aligned models hold for impossible are not trained on; the others are."""
    half = len(SEQUENCES) // 2
    aligned = [(0.0,)] * half + [(-60.0,)] * (len(SEQUENCES) - half)
    model = train(tmp_path, aligned, num_train_epochs=15, learning_rate=5e-3)
    before = tiny_model(0)
    with torch.no_grad():
        gained = [(plain_logp(model, s) - plain_logp(before, s)).item() / len(s.response_ids) for s in SEQUENCES]
    assert sum(gained[:half]) / half > 1
    assert sum(gained[:half]) / half > sum(gained[half:]) / (len(SEQUENCES) - half) + 0.5
    step = first_step(tmp_path)
    assert step["tau/q05"] < 1e-6
    assert step["tau/q95"] > 0.9
