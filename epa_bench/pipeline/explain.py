"""From a number of a table back to everything it was made of, with a mark on what would be made otherwise today."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from epa_bench.config.yaml12 import read_document
from epa_bench.core.code import checkout_commit
from epa_bench.core.digest import canonical_json
from epa_bench.core.errors import ConfigError, EpaBenchError
from epa_bench.core.records import Record
from epa_bench.core.store import CellSpec
from epa_bench.leaderboard.board import Leaderboard, MetricTable
from epa_bench.leaderboard.run_files import BOARD, read_run
from epa_bench.pipeline.cells import SweepCells
from epa_bench.pipeline.run import load_cells
from epa_bench.pipeline.run_cells import ResultCells, RunCells, open_cell, read_run_cells
from epa_bench.suites.registry import Registry

Origin = tuple[str, str, int]
"""Suite, arm and seed of a result."""


class Link(Record):
    """A cell of the chain, as its manifest tells it."""

    digest: str
    step: str
    label: str
    config: dict[str, Any]
    versions: dict[str, str]

    inputs: dict[str, str]
    """What the step calls them -> digest."""

    stale: tuple[str, ...] = ()
    """What would be otherwise were it computed today, from the sweep, the data, the code and the engines here."""


class Explanation(Record):
    """What `epa-bench explain` tells."""

    run: str
    suite: str
    metric: str
    arm: str
    seeds: tuple[int, ...]
    judge: str | None

    value: float | None
    """The table's mean, or the seed's where one was asked for."""

    n: int
    failed: int

    margin: dict[str, Any] | None
    """Against the baseline, with its interval, as the table has it; None for one seed."""

    roots: tuple[str, ...]
    """Digests of the cells that the table read."""

    links: tuple[Link, ...]
    """Every cell once, what it was made of after it."""

    remarks: tuple[str, ...]
    """What was not checked, or does not agree."""

    commit: str | None
    """Of the checkout that explains. Cells whose code is not stale were computed by code equal to it."""


def explain(
    place: Path, runs: Path, suite: str, metric: str, arm: str, seed: int | None, suites: Registry
) -> Explanation:
    """`place`: a run's folder, or a leaderboard's file, whose run is `runs`/NAME.

    Raises ConfigError for a table cell that is not there, StoreError where the run or a cell of it is not.
    """
    folder = place if place.is_dir() else runs / place.stem
    rows, board = read_run(folder)
    listed = read_run_cells(folder)
    table = _table(board, suite, metric)
    found = [each for each in listed.results if (each.suite, each.arm) == (suite, arm)]
    chosen = [each for each in found if seed in (None, each.seed)]
    result = next((each for each in table.arms if each.arm == arm), None)
    if result is None or not chosen:
        arms = ", ".join(each.arm for each in table.arms)
        seeds = ", ".join(str(each.seed) for each in found) or "none"
        raise ConfigError(f"no such cell in {folder}: arms of {suite} {metric} are {arms}; seeds of {arm}: {seeds}")
    own = rows[(rows["suite"] == suite) & (rows["metric"] == metric) & (rows["arm"] == arm)]
    own = own if seed is None else own[own["seed"] == seed]
    values = own["value"].dropna().tolist()
    today, unchecked = compared_with_today(folder, suites)
    links = chain(folder, listed, chosen, today)
    mean = fmean(values) if values else None
    return Explanation(
        run=str(folder),
        suite=suite,
        metric=metric,
        arm=arm,
        seeds=tuple(each.seed for each in chosen),
        judge=table.judge,
        value=result.score.value if seed is None else mean,
        n=len(values),
        failed=len(own) - len(values),
        margin=result.margin.model_dump(mode="json") if result.margin and seed is None else None,
        roots=tuple(digest for each in chosen for digest in each.cells),
        links=tuple(links.values()),
        remarks=(*_written_otherwise(place, folder), *unchecked),
        commit=checkout_commit(),
    )


def _table(board: Leaderboard, suite: str, metric: str) -> MetricTable:
    for table in board.tables:
        if (table.suite, table.metric) == (suite, metric):
            return table
    there = ", ".join(f"{table.suite} {table.metric}" for table in board.tables)
    raise ConfigError(f"no table of {suite} {metric}; there are {there}")


def _written_otherwise(place: Path, folder: Path) -> Iterator[str]:
    board = place.with_suffix(".json")
    if place.is_file() and (not board.is_file() or board.read_bytes() != (folder / BOARD).read_bytes()):
        yield f"{place} is not the table of {folder} as it is now: stale, or of another run; write it again"


def chain(
    folder: Path, listed: RunCells, chosen: Iterable[ResultCells], today: Mapping[Origin, Sequence[CellSpec | None]]
) -> dict[str, Link]:
    """Every cell that some results were made of, by digest, what it was made of after it.

    `today`: what the cells of a result would be now; nothing is stale where it is not said. Raises StoreError.
    """
    links: dict[str, Link] = {}

    def visit(digest: str, now: CellSpec | None) -> None:
        if digest in links:
            return
        manifest = open_cell(folder, listed, digest).manifest
        recipe = manifest.recipe
        changed = () if now is None or now.digest == digest else tuple(_changes(recipe, now))
        links[digest] = Link(
            digest=digest,
            step=recipe["step"],
            label=manifest.label,
            config=recipe["config"],
            versions=recipe["versions"],
            inputs=recipe["inputs"],
            stale=changed,
        )
        for name, needed in recipe["inputs"].items():
            visit(needed, None if now is None else now.inputs.get(name))

    for result in chosen:
        specs = today.get((result.suite, result.arm, result.seed), (None,) * len(result.cells))
        for digest, spec in zip(result.cells, specs, strict=False):
            visit(digest, spec)
    return links


def compared_with_today(folder: Path, suites: Registry) -> tuple[Mapping[Origin, Sequence[CellSpec | None]], list[str]]:
    """The run's cells as they would be today, and why they are not known, if so."""
    try:
        return _today(load_cells(read_document(folder / "sweep.yaml"), [], suites)[1]), []
    except EpaBenchError as error:
        return {}, [f"not compared with what is here today: {error}"]


def _today(cells: SweepCells) -> dict[Origin, tuple[CellSpec | None, ...]]:
    return {
        (result.suite, result.checkpoint.arm_name, result.checkpoint.seed): (result.cell, *result.beside)
        for result in cells.results
    }


def _changes(recipe: Mapping[str, Any], today: CellSpec) -> Iterator[str]:
    # As a manifest would hold it: files know lists only.
    now = json.loads(canonical_json(today.recipe()))
    for part in ("config", "versions"):
        yield from differences(recipe[part], now[part], part)


def differences(old: Any, new: Any, name: str) -> Iterator[str]:
    """`name: old -> new` of every leaf in which two recipes or configurations differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from differences(old.get(key), new.get(key), f"{name}.{key}" if name else str(key))
    elif old != new:
        yield f"{name}: {old} -> {new}"
