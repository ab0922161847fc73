"""A sweep's trainings: plans, the reference's scores, and a checkpoint an arm and seed."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from epa_bench.config.grid import Arm, expand
from epa_bench.core.store import CellSpec
from epa_bench.leaderboard.board import REFERENCE_METHOD
from epa_bench.losses.table import get_loss
from epa_bench.pipeline.source_cells import ADAPTER_PACKAGES
from epa_bench.pipeline.start_cells import StartCells


@dataclass(frozen=True)
class Checkpoint:
    """A model the suites are run on: an arm with a seed, or the reference."""

    label: str
    arm: Arm | None
    seed: int
    cell: CellSpec | None
    """The training; None for the reference."""

    kept: int | None = None
    """Which of those kept on the way, from 1; None for the last one."""

    @property
    def arm_name(self) -> str:
        """What rows and tables call it."""
        return self.arm.name if self.arm else REFERENCE_METHOD


@dataclass(frozen=True)
class TrainingCells(StartCells):
    """Everything up to the checkpoints, and how cells on one of them are addressed."""

    @cached_property
    def arms(self) -> tuple[Arm, ...]:
        """Of an arm's options only those that are not the default, so that writing a default out changes no cell."""
        return tuple(
            arm.model_copy(update={"options": get_loss(arm.loss).changed(arm.options)}) for arm in expand(self.sweep)
        )

    def plan(self, arm: Arm, seed: int) -> CellSpec:
        """The comparison groups of an arm and seed; arms that differ only in loss, beta or learning rate share them."""
        training = self.sweep.training
        config: dict[str, Any] = {
            "strong": arm.strong,
            "weak": arm.weak,
            "weak_source": arm.weak_source,
            "weak_pool": arm.weak_pool,
            "groups_per_step": training.groups_per_step,
            "epochs": training.num_train_epochs,
            "data_seed": seed if training.data_seed is None else training.data_seed,
        }
        if training.validation is not None:
            config["validation"] = {"rows": training.validation.rows, "seed": training.validation.seed}
        label = f"plan 1:{arm.strong}:{arm.weak}, data seed {config['data_seed']}"
        return self._cell("plan", config, {"preferences": self.preferences}, label)

    @property
    def plans(self) -> list[CellSpec]:
        """The plan of every arm and seed."""
        return [self.plan(arm, seed) for arm in self.arms for seed in arm.seeds]

    @cached_property
    def own_scores(self) -> CellSpec:
        """The reference's log-probs of every response under its own prompt: one cell for all arms and seeds."""
        return self._reference_scores({}, "reference log-probs")

    def weak_scores(self, arm: Arm, seed: int) -> CellSpec:
        """The reference's log-probs of a plan's weak negatives."""
        plan = self.plan(arm, seed)
        return self._reference_scores({"plan": plan}, f"reference log-probs, {plan.label}")

    def _reference_scores(self, inputs: dict[str, CellSpec], label: str) -> CellSpec:
        training = self.sweep.training
        config = {
            "text": self._text,
            # As training computes: in bf16 with autocast over fp32 weights, but sharded with bf16 weights.
            "dtype": training.dtype if training.fsdp else "float32",
            "autocast": training.dtype == "bfloat16" and not training.fsdp,
            "batch_tokens": self.sweep.engine.score_tokens,
        }
        if self.copies_adapter:
            config["beside_base"] = True
        return self._on_reference("reference_scores", config, {"preferences": self.preferences, **inputs}, label)

    def _train(self, arm: Arm, seed: int) -> CellSpec:
        config = {
            "arm": arm.recipe(),
            "seed": seed,
            "training": self._training,
            "text": self._text,
            "dtype": "float32",
            **self._ranks,
        }
        inputs = {"preferences": self.preferences, "plan": self.plan(arm, seed), "own_scores": self.own_scores}
        # Under their own prompts they are responses of the data like others, and scored with them.
        if arm.weak and arm.weak_prompt == "this":
            inputs["weak_scores"] = self.weak_scores(arm, seed)
        # How often a training can be resumed from does not decide where it ends, nor does who watches it.
        hints = {"save_steps": self.sweep.training.save_steps, **self._tracking(arm, seed)}
        packages = () if self.sweep.training.lora is None else ADAPTER_PACKAGES
        return self._on_reference("train", config, inputs, f"train {arm.name}, seed {seed}", hints, packages)

    @property
    def _training(self) -> dict[str, Any]:
        """The settings of a new adapter say nothing of a copy, which has the reference's own."""
        recipe = self.sweep.training.recipe()
        return {**recipe, "lora": {}} if self.copies_adapter else recipe

    @property
    def copies_adapter(self) -> bool:
        """Whether what is trained is a copy of the adapter that the reference is."""
        external = self._external
        return self.sweep.training.lora is not None and external is not None and external.base is not None

    def _tracking(self, arm: Arm, seed: int) -> dict[str, Any]:
        output = self.sweep.output
        return {
            "report_to": output.report_to,
            "run_name": f"{self.sweep.name}/{arm.name}/seed-{seed}",
            "tracking_folder": f"{output.folder}/{self.sweep.name}/tracking",
        }

    @cached_property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """The reference, then every arm with every seed."""
        trained = [
            Checkpoint(f"{arm.name}, seed {seed}", arm, seed, self._train(arm, seed))
            for arm in self.arms
            for seed in arm.seeds
        ]
        return (Checkpoint(REFERENCE_METHOD, None, 0, None), *trained)

    @cached_property
    def kept_checkpoints(self) -> tuple[Checkpoint, ...]:
        """Those on the way, arm by arm and seed by seed."""
        count = self.sweep.training.keep_checkpoints
        return tuple(
            replace(checkpoint, label=f"{checkpoint.label}, {number} of {count + 1} of the way", kept=number)
            for checkpoint in self.checkpoints[1:]
            for number in range(1, count + 1)
        )

    def _is_adapter(self, checkpoint: Checkpoint) -> bool:
        """Whether its folder holds a LoRA adapter instead of whole weights."""
        if checkpoint.cell is not None:
            return self.sweep.training.lora is not None
        return self._external is not None and self._external.base is not None

    def name_of(self, checkpoint: Checkpoint) -> str:
        """What rows call it: its arm, with `@2/4` after it at half of the training."""
        if checkpoint.kept is None:
            return checkpoint.arm_name
        return f"{checkpoint.arm_name}@{checkpoint.kept}/{self.sweep.training.keep_checkpoints + 1}"

    def _on_checkpoint(
        self,
        step: str,
        config: dict[str, Any],
        inputs: dict[str, CellSpec],
        checkpoint: Checkpoint,
        hints: dict[str, Any] | None = None,
        packages: tuple[str, ...] = (),
    ) -> CellSpec:
        label = f"{step} {checkpoint.label}"
        if checkpoint.cell is None:
            return self._on_reference(step, config, inputs, label, hints, packages)
        inputs = {**inputs, "checkpoint": checkpoint.cell}
        if checkpoint.kept is not None:
            config = {**config, "kept": checkpoint.kept}
        if self.sweep.training.lora is None:
            return self._cell(step, config, inputs, label, hints, packages)
        # The checkpoint is an adapter: the weights below it are the reference's.
        return self._on_reference(step, config, inputs, label, hints, packages)
