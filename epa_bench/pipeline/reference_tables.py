"""Two tables of a sweep with several references: margins within each of them, and between them.

Rows are called RECIPE/nSHARE/ARM; `none` is the reference as it is. In both tables arms are paired by seed and prompt.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from epa_bench.core.errors import ConfigError
from epa_bench.leaderboard.board import REFERENCE_METHOD, Leaderboard
from epa_bench.leaderboard.build import build_table
from epa_bench.leaderboard.rows import score_frame
from epa_bench.leaderboard.run_files import write_run
from epa_bench.pipeline.cells import Result
from epa_bench.pipeline.reference_runs import Member, ReferenceRuns
from epa_bench.pipeline.run_cells import ResultCells, cells_behind, note_table
from epa_bench.pipeline.table import columns_of, judges_of, metrics_of, versions_of
from epa_bench.pipeline.table_notes import EMBEDDED, recipe_note, suite_notes
from epa_bench.suites.definitions import BenchSuite, GenerationSuite, LmEvalSuite, SuiteDefinition

UNTRAINED = "none"
"""What is trained from a reference where nothing is."""

_EVERY = "*/*"


def write_reference_tables(runs: ReferenceRuns) -> Leaderboard:
    """Writes the margins within references as NAME.md, .csv and .json, those between them as NAME-references.*.

    Gives the first. A sweep without methods has only the second, under NAME. Raises StoreError where a result is
    missing or damaged, ConfigError where there is nothing to put into a table.
    """
    named = [(member, result) for member in runs.members for result in member.run.cells.results]
    rows = score_frame(pd.concat(_columns(member, result) for member, result in named))
    note_table(runs.folder, runs.store, [_listed(member, result) for member, result in named], runs.needed_cells())
    leaderboards = Path(runs.sweep.output.leaderboards)
    alike = {name for name, suite in runs.members[0].run.cells.suites.items() if _asks_all_alike(suite)}
    comparable = rows[rows["suite"].isin(alike)]
    if comparable.empty and not runs.sweep.methods:
        raise ConfigError("no suite gives a row to put into a table; add one to `suites`: generation: {}")
    if not runs.sweep.methods:
        between = _between(runs, comparable)
        write_run(runs.folder, comparable, between, leaderboards)
        return between
    if not comparable.empty:
        folder = runs.folder.with_name(f"{runs.folder.name}-references")
        write_run(folder, comparable, _between(runs, comparable), leaderboards)
    baseline = f"{_EVERY}/{runs.sweep.table.baseline}"
    within = _board(runs, rows, baseline, "margins within each reference")
    write_run(runs.folder, rows, within, leaderboards)
    return within


def _between(runs: ReferenceRuns, comparable: pd.DataFrame) -> Leaderboard:
    """Margins of the rows that ask the same of all references."""
    references = runs.sweep.references
    assert references is not None
    first = references.recipes[0]
    return _board(runs, comparable, f"{first}/{_EVERY}", f"margins between references, against {first}")


def _asks_all_alike(suite: SuiteDefinition) -> bool:
    """Whether its questions and its scale do not depend on the reference.

    The preference rows that probes score are samples of the reference, implicit rewards and KL are relative to it, and
    pairs of answers are judged against its own.
    """
    return isinstance(suite, GenerationSuite | LmEvalSuite) or (
        isinstance(suite, BenchSuite) and suite.scoring != "implicit"
    )


def _board(runs: ReferenceRuns, rows: pd.DataFrame, baseline: str, what: str) -> Leaderboard:
    run = runs.members[0].run
    return build_table(
        rows,
        baseline=baseline,
        judge=judges_of(run),
        title=f"Sweep {runs.sweep.name}: {what}",
        versions=versions_of(run),
        notes=list(_notes(runs)),
        metrics=metrics_of(run),
        level=runs.sweep.table.level,
    )


def _listed(member: Member, result: Result) -> ResultCells:
    listed = cells_behind(result)
    return listed.model_copy(update={"arm": _named(member, listed.arm), "seed": member.seed})


def _columns(member: Member, result: Result) -> pd.DataFrame:
    columns = columns_of(member.run, result)
    names = {name: columns[name].map(lambda own: _named(member, own)) for name in ("arm", "method")}
    return columns.assign(**names, seed=member.seed)


def _named(member: Member, name: str) -> str:
    return f"{member.reference}/{UNTRAINED if name == REFERENCE_METHOD else name}"


def _notes(runs: ReferenceRuns) -> Iterator[str]:
    sweep, first = runs.sweep, runs.members[0].run
    training = sweep.training
    if first.cells.has_gold:
        yield EMBEDDED
    yield (
        "Rows are RECIPE/nSHARE/ARM: how the reference was made, under how many per cent of swapped outputs in its "
        f"supervised data, and what was trained from it; {UNTRAINED} is the reference itself. A seed draws the "
        "reference, the preferences sampled from it where they are, and the training, so intervals cover all three, "
        "but not another corpus or other aligned models: all seeds share those."
    )
    yield from _reference_notes(runs)
    made = [member.run.cells.reference for member in runs.members]
    processors = {runs.store.open(cell).manifest.processor or "processor not recorded" for cell in made if cell}
    yield f"Made and trained on {first.cells.device} ({', '.join(sorted(processors))})."
    if sweep.methods:
        yield (
            f"Training: {training.groups_per_step} groups a step, {training.num_train_epochs} epoch(s), "
            f"{training.dtype}."
        )
    yield from (recipe_note(first, arm) for arm in first.cells.arms)
    yield from suite_notes(first)


def _reference_notes(runs: ReferenceRuns) -> Iterator[str]:
    """What made each reference, and how often aligned models were asked."""
    told = set()
    for member in runs.members:
        made = member.run.cells.reference
        assert made is not None
        if member.reference not in told:
            told.add(member.reference)
            summary = json.loads(runs.store.open(made).file("summary.json").read_text())
            sft = {name: value for name, value in made.config["sft"].items() if name != "seed"}
            yield f"{member.reference}: {summary['sequences']} rows, {json.dumps(sft, sort_keys=True)}."
    scoring = [cell for cell in runs.needed_cells() if cell.step in ("aligned_scores", "aligned_file")]
    if scoring:
        pairs = sum(json.loads(runs.store.open(cell).file("summary.json").read_text())["rows"] for cell in scoring)
        yield (
            f"Aligned models: {', '.join(runs.sweep.aligned)}; {pairs} rows scored in {len(scoring)} cells, for all "
            f"{len(runs.members)} references."
        )
