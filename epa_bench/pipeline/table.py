"""From finished cells to the rows of the run and the margin table."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from epa_bench import __version__
from epa_bench.config.grid import Arm
from epa_bench.config.schema import EmbeddedData
from epa_bench.core.code import package_versions
from epa_bench.core.errors import ConfigError
from epa_bench.core.files import read_records
from epa_bench.core.metric import MetricInfo
from epa_bench.core.records import ScoreRow
from epa_bench.engines.kinds import PACKAGES
from epa_bench.leaderboard.board import REFERENCE_METHOD, Leaderboard
from epa_bench.leaderboard.build import build_table
from epa_bench.leaderboard.run_files import write_run
from epa_bench.losses.table import get_loss
from epa_bench.pipeline.cells import Result
from epa_bench.pipeline.coverage import data_summary, score_pass_summary
from epa_bench.pipeline.judged import judge_notes, judge_of_suite
from epa_bench.pipeline.judged_files import write_judged
from epa_bench.pipeline.length_control import with_sweep_length_control
from epa_bench.pipeline.run import Run, needed_cells
from epa_bench.pipeline.run_cells import note_table
from epa_bench.suites.definitions import AnsweredSuite, JudgedSuite, LinearitySuite, LmEvalSuite
from epa_bench.suites.values import Value

_VERSIONS = ("torch", "transformers", "tokenizers", "numpy", "pandas")


def write_table(run: Run) -> Leaderboard:
    """Gathers the rows of every result, writes them to the run's `rows.jsonl`, and the table as .md, .csv and .json.

    Everything written follows from the store: writing again changes no byte. Raises StoreError where a result is
    missing or damaged, ConfigError where the sweep names no suite.
    """
    if not run.cells.results:
        raise ConfigError(
            "`suites` names no suite, so there is nothing to put into a table; add one, e.g. generation: {}"
        )
    rows = [row for result in run.cells.results for row in _rows(run, result)]
    board = build_table(
        rows,
        baseline=run.sweep.table.baseline,
        judge=_judges(run),
        title=f"Sweep {run.sweep.name}",
        versions={
            "epa-bench": __version__,
            **package_versions([*_VERSIONS, *_packages_of_suites(run), *_engine_packages(run)]),
        },
        notes=[*_notes(run), *judge_notes(run)],
        metrics=_metrics(run),
        level=run.sweep.table.level,
    )
    board = with_sweep_length_control(board, run)
    write_judged(run)
    note_table(run.folder, run.store, run.cells.results, needed_cells(run))
    write_run(run.folder, rows, board, Path(run.sweep.output.leaderboards))
    return board


def _packages_of_suites(run: Run) -> tuple[str, ...]:
    """What scores answers besides this package."""
    return ("lm_eval",) if any(isinstance(suite, LmEvalSuite) for suite in run.cells.suites.values()) else ()


def _rows(run: Run, result: Result) -> Iterator[ScoreRow]:
    arm = result.checkpoint.arm
    for value in read_records(run.store.open(result.cell).file("values.jsonl"), Value):
        yield ScoreRow(
            suite=result.suite,
            arm=result.checkpoint.arm_name,
            method=arm.method if arm else REFERENCE_METHOD,
            beta=arm.beta if arm else 0.0,
            learning_rate=arm.learning_rate if arm else 0.0,
            seed=result.checkpoint.seed,
            **value.model_dump(),
        )


def _metrics(run: Run) -> dict[tuple[str, str], MetricInfo]:
    return {
        (name, metric): info
        for name, suite in run.cells.suites.items()
        for metric, info in run.cells.probing.metrics(suite).items()
    }


def _judges(run: Run) -> dict[str, str]:
    return {
        name: judge_of_suite(run, suite) for name, suite in run.cells.suites.items() if isinstance(suite, JudgedSuite)
    }


def _engine_packages(run: Run) -> tuple[str, ...]:
    return PACKAGES if run.cells.engine.kind == "vllm" else ()


def _notes(run: Run) -> Iterator[str]:
    """What a reader must know to read the numbers, all of it taken from the run."""
    sweep = run.sweep
    training = sweep.training
    if isinstance(sweep.data, EmbeddedData):
        yield (
            "Embedded task: invented word instructions, a small model trained from scratch, a programmatic gold "
            "reward, and off-topic answers put into the reference on purpose. It shows the machine working; it is not "
            "evidence about large models."
        )
    yield f"Data: {data_summary(run.store, run.cells.preferences)}."
    yield (
        f"Training: {training.groups_per_step} groups a step, {training.num_train_epochs} epoch(s), {training.dtype}, "
        f"on {run.cells.device} ({', '.join(_processors(run))}). "
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
    for arm in run.cells.arms:
        settings = {key: value for key, value in arm.recipe().items() if key != "options"}
        settings |= get_loss(arm.loss).resolved(arm.options)
        recipe = ", ".join(f"{key} {value}" for key, value in settings.items())
        method = sweep.methods[arm.method]
        control = f" (control {method.control} of {method.control_of})" if method.control else ""
        yield f"{arm.name}{control}: {recipe}. {_plan_summary(run, arm)}."
    yield from _probe_notes(run)
    for name, suite in run.cells.suites.items():
        settings = suite.model_dump(mode="json", exclude={"description", "sources"}, exclude_none=True)
        yield f"{name}: {json.dumps(settings, sort_keys=True)}"


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
