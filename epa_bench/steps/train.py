"""One checkpoint: one arm of the grid, one seed."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from epa_bench.config.lora import Lora
from epa_bench.config.schema import Training
from epa_bench.core.records import Group, Preference, ReferenceScore
from epa_bench.data.plan import permute_steps
from epa_bench.losses.table import get_loss
from epa_bench.models import card
from epa_bench.models.adapters import add_adapter, save_adapter
from epa_bench.models.checkpoint import load_tokenizer, save_checkpoint
from epa_bench.models.identity import content_digest
from epa_bench.models.tokenizers import check_same_tokenizer
from epa_bench.steps.context import StepContext, kept_name
from epa_bench.steps.loading import Opened, open_checkpoint, open_reference_adapter
from epa_bench.training.batches import GroupDataset, check_gold, encoder_of
from epa_bench.training.distributed import is_first_rank, join_ranks, leave_ranks, whole_weights
from epa_bench.training.kept import KeepCheckpoints, kept_steps
from epa_bench.training.preference import Outcome, train_preference
from epa_bench.training.run import remove_checkpoints
from epa_bench.training.trackers import tracking_arguments


def run(context: StepContext) -> None:
    """Writes `model/`, checkpoints kept on the way, the log and speed of training, and its validation's log.

    Also run by several ranks, each with the same context. Raises PlanError, TrainingError or CheckpointError.
    """
    join_ranks(context.device)
    arm = context.config["arm"]
    settings = Training.model_validate({**context.config["training"], "save_steps": context.hints["save_steps"]})
    groups: Sequence[Group] = context.records("plan", "plan.jsonl", Group)
    if settings.data_seed is not None:
        groups = permute_steps(groups, context.config["seed"])
    held_out = context.records("plan", "validation.jsonl", Group) if settings.validation is not None else []
    preferences = context.preferences("train")
    if get_loss(arm["loss"]).needs_gold:
        check_gold(arm["loss"], [*groups, *held_out], preferences)
    # What is sharded may never be whole on one GPU.
    opened = _open_policy(dataclasses.replace(context, device="cpu") if settings.fsdp else context, settings.lora)
    encode = encoder_of(preferences, opened.renderer.encode)
    reference = _reference_scores(context)
    steps = groups[-1].step + 1

    def keep(number: int) -> None:
        weights = whole_weights(opened.model)
        if is_first_rank():
            _save_model(context, opened, weights, context.folder / kept_name(number), {"kept": number})

    outcome = train_preference(
        opened.model,
        GroupDataset(groups, preferences, encode, reference, arm.get("weak_prompt", "this")),
        context.folder,
        loss=arm["loss"],
        options=arm.get("options", {}),
        beta=arm["beta"],
        learning_rate=arm["learning_rate"],
        nll=arm["nll"],
        seed=context.config["seed"],
        steps=steps,
        settings=settings,
        candidates=1 + arm["strong"] + arm["weak"],
        longest=context.config["text"]["max_length"],
        device=context.device,
        report=context.report,
        validation=GroupDataset(held_out, preferences, encode, reference) if held_out else None,
        callbacks=[KeepCheckpoints(kept_steps(settings.keep_checkpoints, steps), keep)],
        tracking=tracking_arguments(context.hints),
    )
    weights = whole_weights(opened.model)
    if is_first_rank():
        _save(context, opened, preferences, outcome, weights)
        remove_checkpoints(context.folder)
    leave_ranks()


def _reference_scores(context: StepContext) -> dict[str, ReferenceScore]:
    return {
        score.key: score
        for name in ("own_scores", "weak_scores")
        if name in context.inputs
        for score in context.records(name, "scores.jsonl", ReferenceScore)
    }


def _open_policy(context: StepContext, lora: Lora | None) -> Opened[PreTrainedModel | PeftModel]:
    """What is trained: the reference's weights, a new adapter on them, or a copy of the adapter it is."""
    if lora is not None and context.reference_is_adapter:
        return open_reference_adapter(context)
    opened = open_checkpoint(context, context.reference_folder())
    if lora is None:
        return opened
    policy = add_adapter(opened.model, lora, seed=context.config["seed"])
    return Opened(policy, opened.tokenizer, opened.renderer)


def _reference_content(context: StepContext) -> str:
    """What the reference's files are: a digest that whoever holds them can compute."""
    return content_digest(context.reference_folder()) if "reference" in context.inputs else context.reference_identity()


def _save_model(
    context: StepContext,
    opened: Opened[PreTrainedModel | PeftModel],
    weights: Mapping[str, Tensor] | None,
    folder: Path,
    which: Mapping[str, Any],
) -> None:
    """A checkpoint with its identity, and a tokenizer that comes back as it went. `which`: of this training's."""
    identity: dict[str, Any] = {
        "kind": "trained",
        "reference": context.reference_identity(),
        "reference_content": _reference_content(context),
        "recipe": dict(context.config),
        **which,
    }
    if isinstance(opened.model, PeftModel):
        # The base's path would be this machine's.
        base = context.reference_identity()
        save_adapter(folder, opened.model, opened.tokenizer, base=base, identity=identity, weights=weights)
    else:
        save_checkpoint(folder, opened.model, opened.tokenizer, identity, weights)
    trust = context.config["text"]["trust_remote_code"]
    check_same_tokenizer(opened.tokenizer, load_tokenizer(folder, trust_remote_code=trust))


def _save(
    context: StepContext,
    opened: Opened[PreTrainedModel | PeftModel],
    preferences: Sequence[Preference],
    outcome: Outcome,
    weights: Mapping[str, Tensor] | None,
) -> None:
    """The checkpoint with its card."""
    folder = context.folder / "model"
    chosen = {} if outcome.chosen is None else {"chosen": dataclasses.asdict(outcome.chosen)}
    _save_model(context, opened, weights, folder, chosen)
    card.write_card(
        folder,
        card.Trained(
            arm=context.config["arm"],
            settings=context.config["training"],
            seed=context.config["seed"],
            reference=context.reference_identity(),
            reference_step=context.inputs["reference"].manifest.recipe["step"]
            if "reference" in context.inputs
            else None,
            preferences=preferences,
            result=outcome.last,
            validation=chosen.get("chosen"),
        ),
    )
