"""What a reader must know to read a table's numbers, in words, all of it taken from the run."""

import json
from collections import Counter
from collections.abc import Iterator

from epa_bench.config.grid import Arm
from epa_bench.config.schema import EmbeddedData
from epa_bench.config.supervised import Sft
from epa_bench.losses.table import get_loss
from epa_bench.pipeline.coverage import data_summary, score_pass_summary, supervised_summary
from epa_bench.pipeline.run import Run
from epa_bench.suites.definitions import AnsweredSuite, LinearitySuite

EMBEDDED = (
    "Embedded task: invented word instructions, a small model trained from scratch, a programmatic gold reward, and "
    "off-topic answers put into the reference on purpose. It shows the machine working; it is not evidence about large "
    "models."
)
"""What a table over the embedded task says first."""


def notes_of(run: Run) -> Iterator[str]:
    """What a reader must know to read the numbers, all of it taken from the run."""
    sweep = run.sweep
    training = sweep.training
    if isinstance(sweep.data, EmbeddedData):
        yield EMBEDDED
    yield f"Data: {data_summary(run.store, run.cells.preferences)}."
    yield (
        f"Training: {training.groups_per_step} groups a step, {training.num_train_epochs} epoch(s), {training.dtype}, "
        f"{_adapter(run)}on {run.cells.device} ({', '.join(_processors(run))}). "
        + (
            "A seed draws the order of the data and the weak negatives"
            if training.data_seed is None
            else f"Data seed {training.data_seed} fixes the comparison groups, a seed permutes the steps"
        )
        + "; all seeds share one reference and one preference data set, so the intervals do not cover their variance."
    )
    if any(isinstance(suite, AnsweredSuite) for suite in run.cells.suites.values()):
        yield f"Answers: {run.cells.answering}."
    if training.validation is not None:
        validation = training.validation
        kept = (
            f"each training keeps its checkpoint of the best {validation.metric_for_best_model} on them"
            if validation.load_best_model_at_end
            else "each training keeps its last checkpoint"
        )
        yield f"Held out of the training rows, never of the evaluation rows: {validation.rows} or more; {kept}."
    yield from _supervised_notes(run)
    for arm in run.cells.arms:
        yield f"{recipe_note(run, arm)} {_plan_summary(run, arm)}."
    yield from _probe_notes(run)
    yield from suite_notes(run)


def _adapter(run: Run) -> str:
    """What is trained, where that is less than all weights."""
    lora = run.sweep.training.lora
    if lora is None:
        return ""
    if run.cells.copies_adapter:
        return "a copy of the reference's LoRA adapter, "
    return f"LoRA {json.dumps(lora.recipe(), sort_keys=True)}, "


def recipe_note(run: Run, arm: Arm) -> str:
    """What an arm is trained by."""
    settings = {key: value for key, value in arm.recipe().items() if key != "options"}
    settings |= get_loss(arm.loss).resolved(arm.options)
    recipe = ", ".join(f"{key} {value}" for key, value in settings.items())
    method = run.sweep.methods[arm.method]
    control = f" (control {method.control} of {method.control_of})" if method.control else ""
    return f"{arm.name}{control}: {recipe}."


def suite_notes(run: Run) -> Iterator[str]:
    """Every suite's settings."""
    for name, suite in run.cells.suites.items():
        settings = suite.model_dump(mode="json", exclude={"description", "sources"}, exclude_none=True)
        yield f"{name}: {json.dumps(settings, sort_keys=True)}"


def _supervised_notes(run: Run) -> Iterator[str]:
    """How the reference was made, where that is more than cross-entropy on all rows of a model from scratch."""
    sft = run.sweep.reference.sft
    if sft is None or (isinstance(sft, Sft) and not sft.needs_scores):
        return
    recipe = json.dumps(sft.recipe(), sort_keys=True)
    scores = f"; scores of {', '.join(run.sweep.aligned)}" if sft.needs_scores else ""
    if isinstance(sft, Sft):
        yield f"Reference: {recipe}{scores}."
    else:
        assert run.cells.reference is not None
        made = supervised_summary(run.store, run.cells.reference)
        yield f"Reference: a given checkpoint trained further: {recipe}{scores}. Supervised data: {made}."


def _probe_notes(run: Run) -> Iterator[str]:
    """What one score pass covered, and what no probe could see."""
    if not run.cells.probing.probe_sets:
        return
    scored = score_pass_summary(run.store, run.cells.logps(run.cells.checkpoints[0]))
    yield f"Probes, one score pass a checkpoint: {scored}."
    for name, suite in run.cells.suites.items():
        if isinstance(suite, LinearitySuite) and not run.cells.probing.mismatched(suite):
            yield f"{name}: own responses only; mismatched ones have no gold score in this data."


def _processors(run: Run) -> list[str]:
    """Of the machines that trained the checkpoints. A sweep whose only suite is golden trains none."""
    found = [checkpoint.cell for checkpoint in run.cells.checkpoints if checkpoint.cell is not None]
    trained = [run.store.open(cell) for cell in found if run.store.has(cell)]
    processors = {cell.manifest.processor or "processor not recorded" for cell in trained}
    return sorted(processors) or ["nothing was trained: no suite asks a checkpoint"]


def _plan_summary(run: Run, arm: Arm) -> str:
    """Counts of the arm's plans, summed over seeds."""
    plans = [
        json.loads(run.store.open(run.cells.plan(arm, seed)).file("summary.json").read_text()) for seed in arm.seeds
    ]
    masked = sum((Counter(plan["masked"]) for plan in plans), Counter())

    def total(name: str) -> int:
        return sum(plan[name] for plan in plans)

    return (
        f"Over the seeds {total('groups')} groups in {total('steps')} steps, {total('dropped_groups')} left over at "
        f"the end of an epoch, {total('groups_without_negatives')} without a negative; negatives masked: "
        + (", ".join(f"{count} {reason}" for reason, count in sorted(masked.items())) or "none")
    )
