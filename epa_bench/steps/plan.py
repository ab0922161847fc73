"""The plan of comparison groups."""

from epa_bench.core.files import write_json, write_records
from epa_bench.data.plan import build_plan
from epa_bench.steps.context import StepContext


def run(context: StepContext) -> None:
    """Writes `plan.jsonl` and `summary.json`. Raises PlanError."""
    plan = build_plan(context.preferences("train"), **context.config)
    write_records(context.folder / "plan.jsonl", plan.groups)
    write_json(context.folder / "summary.json", {"steps": plan.steps, **plan.summary.model_dump()})
