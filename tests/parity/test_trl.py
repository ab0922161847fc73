"""TRL as an oracle: the same losses and gradients from its trainers' own code, in fp64.

TRL computes a loss inside its trainer, from what the model returns. Here a model returns log-probs that are given, so
that nothing but the loss is compared.
"""

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset  # type: ignore[import-untyped]
from torch import Tensor

from epa_bench.losses.scores import GroupScores
from epa_bench.losses.table import get_loss
from tests.tiny import tiny_model, tiny_preferences, tiny_tokenizer

trl = pytest.importorskip("trl", reason="TRL is not installed (extra `dev` or `parity`)")

PAIRS, TOKENS, BETA = 16, 12, 0.3

SAME = [
    ("dpo", "sigmoid", {}),
    ("dpo_norm", "sigmoid_norm", {}),
    ("hinge", "hinge", {}),
    ("ipo", "ipo", {}),
    ("nca_pair", "nca_pair", {}),
    ("bco_pair", "bco_pair", {}),
    ("sppo_hard", "sppo_hard", {}),
    ("apo_zero", "apo_zero", {}),
    ("apo_down", "apo_down", {}),
    ("robust", "robust", {"label_smoothing": 0.0}),
    ("robust", "robust", {"label_smoothing": 0.3}),
    ("exo_pair", "exo_pair", {"label_smoothing": 0.001}),
    ("exo_pair", "exo_pair", {"label_smoothing": 0.3}),
    ("discopop", "discopop", {"tau": 0.05}),
    ("discopop", "discopop", {"tau": 1.0}),
]


class Given:
    """A batch of pairs as both sides take it: log-probs a token [2 PAIRS, TOKENS - 1], chosen first."""

    def __init__(self, pairs: int = PAIRS, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        lengths_N = torch.randint(1, TOKENS, (2 * pairs,), generator=generator)
        # The first token is the prompt, and no log-prob is predicted for it.
        self.completion_mask = (torch.arange(TOKENS) >= 1) & (torch.arange(TOKENS) <= lengths_N[:, None])
        noise = torch.randn(2, 2 * pairs, TOKENS - 1, generator=generator, dtype=torch.float64)
        masked = noise.abs().neg() * self.completion_mask[:, 1:]
        self.logps = masked[0].clone().requires_grad_()
        self.ref_logps_N = masked[1].sum(1)
        self.lengths_N = lengths_N

    def inputs(self) -> dict[str, Tensor]:
        chosen, rejected = self.ref_logps_N.chunk(2)
        ids = torch.ones_like(self.completion_mask, dtype=torch.long)
        return {
            "input_ids": ids,
            "attention_mask": ids,
            "completion_mask": self.completion_mask.long(),
            "ref_chosen_logps": chosen,
            "ref_rejected_logps": rejected,
        }

    def model(self, **_: Any) -> SimpleNamespace:
        nothing = torch.zeros_like(self.logps)
        return SimpleNamespace(log_probs=self.logps, entropy=nothing, mean_logits=nothing, is_top1=nothing.bool())

    def groups(self) -> GroupScores:
        def columns(values_N: Tensor) -> Tensor:
            return torch.stack(values_N.chunk(2), dim=1)

        logps_GK = columns(self.logps.sum(1))
        everything = torch.ones_like(logps_GK, dtype=torch.bool)
        return GroupScores(
            logps_GK=logps_GK,
            ref_logps_GK=columns(self.ref_logps_N),
            tokens_GK=columns(self.lengths_N),
            mask_GK=everything,
            strong_GK=everything & torch.tensor([False, True]),
            beta=BETA,
        )

    def gradient(self, loss: Tensor) -> Tensor:
        (grad,) = torch.autograd.grad(loss, self.logps)
        return grad * self.completion_mask[:, 1:]


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A DPOTrainer on a model of our own, with reference log-probs from the data."""
    folder: Path = tmp_path_factory.mktemp("trl")
    tiny_model().save_pretrained(folder / "model")
    tiny_tokenizer().save_pretrained(folder / "model")
    rows = [
        {"prompt": f"{p.prompt} ", "chosen": p.chosen.text, "rejected": p.rejected[0].text} for p in tiny_preferences(8)
    ]
    return trl.DPOTrainer(
        model=str(folder / "model"),
        args=trl.DPOConfig(output_dir=str(folder / "out"), use_cpu=True, bf16=False, beta=BETA, report_to="none"),
        train_dataset=Dataset.from_list(rows),
        processing_class=tiny_tokenizer(),
    )


def trls(trainer: Any, loss: str, options: dict[str, float], given: Given) -> Tensor:
    trainer.loss_types, trainer.loss_weights = [loss], [1.0]
    trainer.precompute_ref_logps = True
    trainer.label_smoothing = options.get("label_smoothing", 0.0)
    trainer.args.discopop_tau = options.get("tau", 0.05)
    value: Tensor = trainer._compute_loss(given.model, given.inputs(), False)
    return value


def compare(ours: Tensor, theirs: Tensor, given: Given) -> None:
    assert ours.dtype == theirs.dtype == torch.float64
    # TRL takes log(label_smoothing) in fp32.
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    expected = given.gradient(theirs)
    assert expected.norm() > 0
    assert (given.gradient(ours) - expected).norm() <= 1e-6 * expected.norm()


@pytest.mark.parametrize(("name", "theirs", "options"), SAME)
@pytest.mark.parametrize("seed", [0, 1])
def test_value_and_gradient_are_those_of_dpo_trainer(
    trainer: Any, name: str, theirs: str, options: dict[str, float], seed: int
) -> None:
    given = Given(seed=seed)
    ours = get_loss(name).load(options)(given.groups()).mean()
    compare(ours, trls(trainer, theirs, options, given), given)


@pytest.mark.parametrize("seed", range(4))
def test_cdpo_is_dpo_trainers_aot_of_a_single_pair(trainer: Any, seed: int) -> None:
    """Its `sigmoid` no longer smooths labels; `aot` does, and sorting a batch of one changes nothing."""
    given = Given(pairs=1, seed=seed)
    options = {"label_smoothing": 0.2}
    compare(get_loss("cdpo").load(options)(given.groups()).mean(), trls(trainer, "aot", options, given), given)


@pytest.mark.parametrize("gamma", [0.0, 0.5])
def test_simpo_is_that_of_cpo_trainer(gamma: float) -> None:
    trainer = importlib.import_module("trl.experimental.cpo").CPOTrainer
    given = Given()
    settings = SimpleNamespace(
        alpha=0.0,
        loss_type="simpo",
        simpo_gamma=gamma,
        beta=BETA,
        label_smoothing=0.0,
        accelerator=SimpleNamespace(device="cpu"),
    )
    per_token = given.logps.sum(1) / given.lengths_N
    theirs_G, _, _ = trainer.cpo_loss(settings, *per_token.chunk(2))
    compare(get_loss("simpo").load({"gamma": gamma})(given.groups()).mean(), theirs_G.mean(), given)
