"""From finished cells to the rows of the run and the margin table."""

from pathlib import Path

import pandas as pd

from epa_bench import __version__
from epa_bench.core.code import package_versions
from epa_bench.core.errors import ConfigError
from epa_bench.core.metric import MetricInfo
from epa_bench.engines.kinds import PACKAGES
from epa_bench.leaderboard.board import REFERENCE_METHOD, Leaderboard
from epa_bench.leaderboard.build import build_table
from epa_bench.leaderboard.rows import read_columns, score_frame
from epa_bench.leaderboard.run_files import write_kept, write_run
from epa_bench.pipeline.cells import Result
from epa_bench.pipeline.frontier_table import remove_frontier, write_frontier
from epa_bench.pipeline.judged import judge_notes, judge_of_suite
from epa_bench.pipeline.judged_files import write_judged
from epa_bench.pipeline.length_control import with_sweep_length_control
from epa_bench.pipeline.matched_kl import matched_kl
from epa_bench.pipeline.run import Run, needed_cells
from epa_bench.pipeline.run_cells import cells_behind, note_table
from epa_bench.pipeline.table_notes import notes_of
from epa_bench.suites.definitions import JudgedSuite, LmEvalSuite
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
    rows = score_frame(pd.concat(columns_of(run, result) for result in run.cells.results))
    kept_results = run.cells.kept_results
    kept = score_frame(pd.concat(columns_of(run, result) for result in kept_results)) if kept_results else None
    frontier, about_kl = matched_kl(run, rows, kept)
    board = build_table(
        rows,
        baseline=run.sweep.table.baseline,
        judge=judges_of(run),
        title=f"Sweep {run.sweep.name}",
        versions=versions_of(run),
        notes=[*notes_of(run), *judge_notes(run), *about_kl],
        metrics=metrics_of(run),
        level=run.sweep.table.level,
    )
    board = with_sweep_length_control(board, run)
    write_judged(run)
    note_table(run.folder, run.store, [cells_behind(result) for result in run.cells.results], needed_cells(run))
    write_run(run.folder, rows, board, Path(run.sweep.output.leaderboards))
    write_kept(run.folder, kept)
    matched = Path(run.sweep.output.leaderboards) / f"{run.sweep.name}.matched-kl"
    if frontier is None:
        remove_frontier(matched)
    else:
        write_frontier(frontier, matched)
    return board


def versions_of(run: Run) -> dict[str, str]:
    """Of this package and of what decides a result."""
    packages = [*_VERSIONS, *_packages_of_suites(run), *_engine_packages(run)]
    return {"epa-bench": __version__, **package_versions(packages)}


def _packages_of_suites(run: Run) -> tuple[str, ...]:
    """What scores answers besides this package."""
    return ("lm_eval",) if any(isinstance(suite, LmEvalSuite) for suite in run.cells.suites.values()) else ()


def columns_of(run: Run, result: Result) -> pd.DataFrame:
    """The values of a result, each with whose it is: columns of a `ScoreRow`. Raises DataError and StoreError."""
    arm = result.checkpoint.arm
    return read_columns(run.store.open(result.cell).file("values.jsonl"), Value).assign(
        suite=result.suite,
        arm=run.cells.name_of(result.checkpoint),
        method=arm.method if arm else REFERENCE_METHOD,
        beta=arm.beta if arm else 0.0,
        learning_rate=arm.learning_rate if arm else 0.0,
        seed=result.checkpoint.seed,
    )


def metrics_of(run: Run) -> dict[tuple[str, str], MetricInfo]:
    """How each (suite, metric) is shown."""
    return {
        (name, metric): info
        for name, suite in run.cells.suites.items()
        for metric, info in run.cells.probing.metrics(suite).items()
    }


def judges_of(run: Run) -> dict[str, str]:
    """Who judged, by suite."""
    return {
        name: judge_of_suite(run, suite) for name, suite in run.cells.suites.items() if isinstance(suite, JudgedSuite)
    }


def _engine_packages(run: Run) -> tuple[str, ...]:
    return PACKAGES if run.cells.engine.kind == "vllm" else ()
