"""The plan of comparison groups."""

from epa_bench.core.files import write_json, write_records
from epa_bench.data.plan import build_plan
from epa_bench.data.validation import hold_out, plan_of_rest, validation_pairs
from epa_bench.steps.context import StepContext


def run(context: StepContext) -> None:
    """Writes `plan.jsonl`, `summary.json`, and `validation.jsonl` where rows are held out. Raises PlanError."""
    settings = dict(context.config)
    validation = settings.pop("validation", None)
    preferences = context.preferences("train")
    counts = {}
    if validation is None:
        plan = build_plan(preferences, **settings)
    else:
        held_out = hold_out(preferences, **validation)
        plan = plan_of_rest(preferences, held_out, **settings)
        pairs = validation_pairs(preferences, held_out, seed=validation["seed"])
        write_records(context.folder / "validation.jsonl", pairs)
        counts = {"validation_rows": len(held_out.validation)}
    write_records(context.folder / "plan.jsonl", plan.groups)
    write_json(context.folder / "summary.json", {"steps": plan.steps, **plan.summary.model_dump(), **counts})
