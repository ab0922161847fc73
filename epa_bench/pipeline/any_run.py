"""A sweep with one reference or with several, for the verbs that take both."""

from collections.abc import Sequence
from typing import Any

from epa_bench.config.yaml12 import Document
from epa_bench.leaderboard.board import Leaderboard
from epa_bench.pipeline.reference_runs import ReferenceRuns, open_references, run_references
from epa_bench.pipeline.reference_tables import write_reference_tables
from epa_bench.pipeline.run import Run, Stage, cells_of, load_checked, open_store, run_stage
from epa_bench.pipeline.summaries import stage_summary
from epa_bench.pipeline.table import write_table
from epa_bench.suites.registry import Registry

AnyRun = Run | ReferenceRuns


def open_any(document: Document, overrides: Sequence[str], suites: Registry) -> AnyRun:
    """Raises as `open_run`."""
    loaded, definitions = load_checked(document, overrides, suites)
    if loaded.config.references is not None:
        return open_references(loaded, definitions)
    return Run(loaded, cells_of(loaded, definitions), open_store(loaded.config))


def run_any(opened: AnyRun, stage: Stage) -> None:
    """Computes what is owed up to and including a stage."""
    if isinstance(opened, ReferenceRuns):
        run_references(opened, stage)
    else:
        run_stage(opened, stage)


def write_any(opened: AnyRun) -> Leaderboard:
    """Writes the tables."""
    return write_reference_tables(opened) if isinstance(opened, ReferenceRuns) else write_table(opened)


def summary_of(opened: AnyRun, stage: Stage) -> list[dict[str, Any]]:
    """Rows of a stage for the terminal and `--json`."""
    if isinstance(opened, Run):
        return stage_summary(opened, stage)
    return [
        {"reference": member.reference, **row} for member in opened.members for row in stage_summary(member.run, stage)
    ]
