"""The Trainer subclass: any loss of the registry on the score matrix of a batch of comparison groups."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from transformers import Trainer

from epa_bench.core.errors import TrainingError
from epa_bench.losses.metrics import Tally, group_metrics
from epa_bench.losses.nll import length_normalised_nll
from epa_bench.losses.scores import GroupScores
from epa_bench.losses.spec import LossSpec
from epa_bench.models.logprobs import ResponseLogps, ScorePass
from epa_bench.training.batches import GroupDataset
from epa_bench.training.distributed import of_all_ranks, shard_on_cpu, sum_over_ranks
from epa_bench.training.nonfinite import not_finite, rows_at_fault

STEP0_TOLERANCE = {"float32": 1e-3, "bfloat16": 0.05}
"""Nats a response token by which policy and reference may differ at step 0: many times what rounding gives."""


class PreferenceTrainer(Trainer):
    """Trains on a `GroupDataset` in the plan's order, with reference log-probs that come with the data.

    The loss of a micro-batch is the mean over its groups, so equal micro-batches give the mean over the step whatever
    the split. Logs TRL's metric names, weak-negative margins and softmax mass, each averaged over the groups that have
    it. Raises TrainingError where the first loss is not what policy == reference must give, or a loss is not finite.
    """

    def __init__(
        self,
        *,
        loss: LossSpec,
        options: Mapping[str, float],
        beta: float,
        nll: float,
        dtype: str,
        score_pass: ScorePass,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # Our loss is already a mean over groups: the Trainer must divide it by the accumulation steps, and must not
        # trust the model to have divided it by a count of label tokens.
        self.model_accepts_loss_kwargs = False
        self._spec = loss
        self._options = loss.resolved(options)
        self._loss = loss.load(options)
        self._beta = beta
        self._nll = nll
        self._step0_tolerance = STEP0_TOLERANCE[dtype]
        self._score_pass = score_pass
        self._tallies: dict[str, Tally] = {}
        self._examples: list[Tensor] = []

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        shard_on_cpu(self)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Mean loss over the micro-batch's groups, in nats."""
        result = self._score_pass(model, inputs["sequences"])
        groups = _score_matrix(result, inputs, self._beta)
        losses_G = self._loss(groups)
        self._examples.append(inputs["example_GK"][:, 0])
        self._check(losses_G.detach(), groups, inputs["example_GK"])
        loss = losses_G.mean()
        self._tally(groups, losses_G.detach(), result, inputs)
        if self._nll:
            nll_G = length_normalised_nll(groups.logps_GK, groups.tokens_GK)
            self._add("nll", _tally_of(nll_G.detach()))
            loss = loss + self._nll * nll_G.mean()
        return (loss, {}) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the metrics gathered since the last log."""
        super().log(logs | self._gathered(), start_time)
        self._examples.clear()

    def rows_of_step(self) -> list[str]:
        """Where the rows stand that were trained on since the last log. Every rank must call it."""
        return of_all_ranks(self._sources([example for examples in self._examples for example in examples.tolist()]))

    def _sources(self, examples: list[int]) -> list[str]:
        dataset = cast(GroupDataset, self.train_dataset)
        return [dataset.source(example) for example in examples]

    def _gathered(self) -> dict[str, float]:
        """The metrics gathered since the last call on all ranks, each a mean over the groups that have it."""
        means = {name: tally.mean() for name, tally in sum_over_ranks(self._tallies).items()}
        self._tallies.clear()
        return {name: mean for name, mean in means.items() if mean is not None}

    def _check(self, losses_G: Tensor, groups: GroupScores, example_GK: Tensor) -> None:
        step = self.state.global_step
        if not bool(torch.isfinite(losses_G).all()):
            rows = self._sources(rows_at_fault(losses_G, groups, example_GK))
            where = f"at step {step}" if torch.is_grad_enabled() else f"on held-out rows after {step} steps"
            raise not_finite(f"the loss is not finite {where}", rows, Path(str(self.args.output_dir)))
        if step > 0:
            return
        # What the two score passes differ by, in nats: the tokens are the same, so only rounding may show.
        apart_GK = (groups.logps_GK.detach() - groups.ref_logps_GK).masked_fill(~groups.mask_GK, 0.0).abs()
        apart = float((apart_GK / groups.tokens_GK).max())
        if apart > self._step0_tolerance:
            raise TrainingError(
                f"at step 0 policy and reference must give the same log-probs; they differ by {apart:.3g} nats a "
                "token. The reference log-probs belong to another model, tokenizer, template or precision."
            )
        self._check_start(groups)

    def _check_start(self, groups: GroupScores) -> None:
        """The loss against its table where policy == reference to the last bit, so rounding needs no allowance."""
        expected_G = self._step0(groups)
        if expected_G is None:
            return
        losses_G = self._loss(replace(groups, logps_GK=groups.ref_logps_GK))
        worst = float(((losses_G - expected_G).abs() / expected_G.abs().clamp(min=1)).max())
        if worst > 1e-5:
            raise TrainingError(
                f"at step 0 the {self._spec.name} loss must be {float(expected_G.max()):.6g} because policy and "
                f"reference are the same; it is off by {worst:.3g}."
            )

    def _step0(self, groups: GroupScores) -> Tensor | None:
        return self._spec.step0(groups, self._options) if self._spec.step0 else None

    def _tally(self, groups: GroupScores, losses_G: Tensor, result: ResponseLogps, inputs: dict[str, Any]) -> None:
        for name, tally in group_metrics(groups).items():
            self._add(name, tally)
        # Losses of recipes with different numbers of negatives compare only relative to where they start.
        step0_G = self._step0(groups)
        if step0_G is not None:
            self._add("loss/over_step0", _tally_of((losses_G / step0_G)[step0_G > 0]))
        logits_GK = result.mean_logits_N[inputs["row_GK"]]
        self._add("logits/chosen", _tally_of(logits_GK[:, 0]))
        self._add("logits/rejected", _tally_of(logits_GK[groups.counted_strong_GK]))

    def _add(self, name: str, tally: Tally) -> None:
        self._tallies[name] = self._tallies[name] + tally if name in self._tallies else tally


def _score_matrix(result: ResponseLogps, inputs: dict[str, Any], beta: float) -> GroupScores:
    row_GK, mask_GK = inputs["row_GK"], inputs["mask_GK"]
    # Slots without a candidate point at row 0; the mask keeps their value and gradient out of every loss.
    return GroupScores(
        logps_GK=result.logps_N[row_GK].masked_fill(~mask_GK, 0.0),
        ref_logps_GK=inputs["ref_logps_GK"],
        tokens_GK=result.tokens_N[row_GK].masked_fill(~mask_GK, 1),
        mask_GK=mask_GK,
        strong_GK=inputs["strong_GK"],
        beta=beta,
        gold_GK=inputs["gold_GK"],
    )


def _tally_of(values: Tensor) -> Tally:
    return Tally(values.sum(), torch.tensor(float(values.numel()), device=values.device))


def warmup_steps(ratio: float, steps: int) -> int:
    """Warm-up as a whole number of optimizer steps."""
    return math.ceil(ratio * steps)
