"""One table of several runs: their arms side by side or by model, data and beta, where their verdicts compare."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from epa_bench import __version__
from epa_bench.core.errors import ConfigError
from epa_bench.leaderboard.board import Leaderboard
from epa_bench.leaderboard.build import build_table
from epa_bench.leaderboard.group_tables import write_groups
from epa_bench.leaderboard.groups import GroupedBoard, factors_of, group_board, is_trained
from epa_bench.leaderboard.opponents import baseline_of
from epa_bench.leaderboard.render import write_board
from epa_bench.leaderboard.run_files import read_run
from epa_bench.pipeline.run_groups import hidden_differences, own_baseline, places_of, read_sweep
from epa_bench.pipeline.stale import Stale, mark_stale, stale_results
from epa_bench.suites.registry import Registry


def compare_runs(
    folders: Sequence[Path], out: Path, baseline: str | None, suites: Registry, *, mix: bool
) -> Leaderboard:
    """Writes OUT.md, .csv and .json; sweeps and imports alike. See `_board_of`."""
    board = _board_of(folders, baseline, suites, mix=mix)
    write_board(board, out)
    return board


def compare_groups(
    folders: Sequence[Path], out: Path, by: str, baseline: str | None, suites: Registry, *, mix: bool
) -> GroupedBoard:
    """Writes OUT.md, .csv and .json: sweeps by `by`, see `factors_of`, every arm against the baseline of its own run.

    `baseline`: a METHOD, by default the one that all runs have. Raises as `_board_of`, and ConfigError for an import, a
    sweep with several references, or runs or arms that would share a cell of the table.
    """
    factors = factors_of(by)
    sweeps = {folder.name: read_sweep(folder) for folder in folders}
    method = baseline or own_baseline(list(sweeps.values()))
    if "/" in method:
        raise ConfigError(f"--baseline {method}: with --by it is a METHOD, in each run its own")
    board = _board_of(folders, f"*/{method}", suites, mix=mix)
    places = places_of(sweeps, method)
    trained = {result.arm for table in board.tables for result in table.arms if is_trained(result)}
    if unknown := sorted(trained - places.keys()):
        raise ConfigError(
            f"{', '.join(unknown)}: in the run's table, and not in its sweep.yaml, which was changed since; finish the "
            "sweep with `epa-bench run`"
        )
    grouped = group_board(board, {arm: places[arm] for arm in sorted(trained)}, factors, method)
    notes = (*hidden_differences(sweeps, grouped), *board.notes)
    grouped = grouped.model_copy(update={"board": board.model_copy(update={"notes": notes})})
    write_groups(grouped, out)
    return grouped


def _board_of(folders: Sequence[Path], baseline: str | None, suites: Registry, *, mix: bool) -> Leaderboard:
    """All arms, called RUN/ARM. A margin is paired by prompt, over those in common.

    `baseline`: RUN/METHOD, by default the first run's; */METHOD is each run's own. `mix`: allow verdicts of different
    judges, prompts, orders or reference sets in one suite; the table then says whose are whose. Arms of sweeps whose
    cells would be others today, with the suites here, are marked stale. Raises ConfigError for runs of one name, an
    unknown baseline or verdicts that do not compare, StoreError where a folder holds no table of a run.
    """
    runs = {folder.name: read_run(folder) for folder in folders}
    boards = {name: board for name, (_, board) in runs.items()}
    if len(boards) < len(folders):
        raise ConfigError("two of the runs have the same name; an arm would not say which it is of")
    judges = {suite: of_suite for suite in _suites(boards) if (of_suite := _judges(boards, suite))}
    mixed = [suite for suite, of_suite in judges.items() if len(set(of_suite.values())) > 1]
    if mixed and not mix:
        raise ConfigError(
            f"the runs' verdicts do not compare: {'; '.join(f'{s}: {_listed(judges[s])}' for s in mixed)}. Judge them "
            "alike, or --mix, which the table will state"
        )
    rows = pd.concat([_named(name, of_run) for name, (of_run, _) in runs.items()], ignore_index=True)
    chosen = baseline or f"{folders[0].name}/{boards[folders[0].name].baseline}"
    methods = sorted(rows["method"].unique())
    if not any(baseline_of(method, chosen) == method for method in methods):
        raise ConfigError(f"--baseline {chosen}: no such method; there are {', '.join(methods)}")
    stale, unchecked = _stale(folders, suites)
    board = build_table(
        rows,
        baseline=chosen,
        judge={suite: _listed(found) if suite in mixed else _only(found) for suite, found in judges.items()},
        title=f"Runs {', '.join(boards)}",
        versions={"epa-bench": __version__, **_versions(boards)},
        notes=[
            *_mixed_notes(mixed),
            *_settings_notes(boards),
            *unchecked,
            *(f"{name}: {note}" for name, board in boards.items() for note in board.notes),
        ],
        metrics={(table.suite, table.metric): table.info for board in boards.values() for table in board.tables},
    )
    return mark_stale(board, stale)


def _stale(folders: Sequence[Path], suites: Registry) -> tuple[Stale, list[str]]:
    """Of all runs, by the arms' names in the table; and what could not be compared, as notes."""
    stale: dict[tuple[str, str], tuple[str, ...]] = {}
    notes = []
    for folder in folders:
        found, unchecked = stale_results(folder, suites)
        stale |= {(suite, f"{folder.name}/{arm}"): changes for (suite, arm), changes in found.items()}
        notes += [f"{folder.name}: whether it is stale is not known: {why}" for why in unchecked]
    return stale, notes


def _suites(boards: Mapping[str, Leaderboard]) -> list[str]:
    return sorted({table.suite for board in boards.values() for table in board.tables})


def _judges(boards: Mapping[str, Leaderboard], suite: str) -> dict[str, str]:
    """Run -> judge, of the runs that hold judged rows of this suite."""
    return {
        name: table.judge
        for name, board in boards.items()
        for table in board.tables
        if table.suite == suite and table.judge is not None
    }


def _listed(judges: Mapping[str, str]) -> str:
    return ", ".join(f"{name} by {judge}" for name, judge in judges.items())


def _only(found: Mapping[str, str]) -> str:
    """The value that all have."""
    return next(iter(found.values()))


def _mixed_notes(mixed: Sequence[str]) -> list[str]:
    return [f"{suite}: MIXED JUDGES, so a margin between runs is also one between judges." for suite in mixed]


def _settings_notes(boards: Mapping[str, Leaderboard]) -> Iterator[str]:
    for suite in _suites(boards):
        if len({settings for board in boards.values() if (settings := board.settings(suite)) is not None}) > 1:
            yield f"{suite}: SET DIFFERENTLY in the runs (their notes tell), so they do not answer one question."


def _named(run: str, rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(arm=f"{run}/" + rows["arm"], method=f"{run}/" + rows["method"])


def _versions(boards: Mapping[str, Leaderboard]) -> dict[str, str]:
    """Of every package; where the runs had different ones, run by run."""
    found: dict[str, dict[str, str]] = {}
    for name, board in boards.items():
        for package, version in board.versions.items():
            found.setdefault(package, {})[name] = version
    return {
        package: _only(of) if len(set(of.values())) == 1 else "; ".join(f"{run} {v}" for run, v in of.items())
        for package, of in sorted(found.items())
    }
