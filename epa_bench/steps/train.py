"""One checkpoint: one arm of the grid, one seed."""

from collections.abc import Sequence

from epa_bench.config.schema import Training
from epa_bench.core.records import Group, ReferenceScore
from epa_bench.data.plan import permute_steps
from epa_bench.losses.table import get_loss
from epa_bench.models.checkpoint import save_checkpoint
from epa_bench.steps.context import StepContext
from epa_bench.steps.loading import open_checkpoint
from epa_bench.training.batches import GroupDataset, check_gold, encoder_of
from epa_bench.training.preference import train_preference


def run(context: StepContext) -> None:
    """Writes `model/` and `training_log.jsonl`. Raises PlanError or TrainingError."""
    arm = context.config["arm"]
    settings = Training.model_validate({**context.config["training"], "save_steps": context.hints["save_steps"]})
    groups: Sequence[Group] = context.records("plan", "plan.jsonl", Group)
    if settings.data_seed is not None:
        groups = permute_steps(groups, context.config["seed"])
    preferences = context.preferences("train")
    if get_loss(arm["loss"]).needs_gold:
        check_gold(arm["loss"], groups, preferences)
    opened = open_checkpoint(context, context.reference_folder())
    reference = {
        score.key: score
        for name in ("own_scores", "weak_scores")
        if name in context.inputs
        for score in context.records(name, "scores.jsonl", ReferenceScore)
    }
    encode = encoder_of(preferences, opened.renderer.encode)
    train_preference(
        opened.model,
        GroupDataset(groups, preferences, encode, reference),
        context.folder,
        loss=arm["loss"],
        options=arm.get("options", {}),
        beta=arm["beta"],
        learning_rate=arm["learning_rate"],
        nll=arm["nll"],
        seed=context.config["seed"],
        steps=groups[-1].step + 1,
        settings=settings,
        candidates=1 + arm["strong"] + arm["weak"],
        longest=context.config["text"]["max_length"],
        device=context.device,
        report=context.report,
    )
    identity: dict[str, object] = {
        "kind": "trained",
        "reference": context.reference_identity(),
        "recipe": dict(context.config),
    }
    save_checkpoint(context.folder / "model", opened.model, opened.tokenizer, identity)
