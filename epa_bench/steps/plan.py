"""The plan of comparison groups."""

from epa_bench.core.files import write_json, write_records
from epa_bench.data.plan import build_plan, permute_steps
from epa_bench.steps.context import StepContext


def run(context: StepContext) -> None:
    """Writes `plan.jsonl` and `summary.json`. Raises PlanError."""
    config = dict(context.config)
    order_seed = config.pop("order_seed")
    plan = build_plan(context.preferences("train"), **config)
    groups = plan.groups if order_seed is None else permute_steps(plan.groups, order_seed)
    write_records(context.folder / "plan.jsonl", groups)
    write_json(context.folder / "summary.json", {"steps": plan.steps, **plan.summary.model_dump()})
