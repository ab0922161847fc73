"""Grouped tables: a line a group, a column for every method's margin; as a sheet, as CSV, as files."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from epa_bench.core.files import atomic_write_text
from epa_bench.leaderboard.board import ArmResult, MetricTable
from epa_bench.leaderboard.cells import (
    KIND_MARK,
    MINUS,
    TIMES,
    direction,
    margin_cells,
    margins_beside,
    metric_name,
    percent,
    short_score,
)
from epa_bench.leaderboard.display import Grid, Line, Sheet, legend
from epa_bench.leaderboard.groups import Factor, GroupedBoard, Key
from epa_bench.leaderboard.markdown import to_markdown
from epa_bench.leaderboard.render import csv_record, csv_text, to_json

_HEADER: Mapping[Factor, str] = {
    "model": "Model",
    "data": "Data",
    "beta": "Beta",
    "learning_rate": "Learning rate",
    "run": "Run",
}
_NOTE = (
    "A line holds arms of one run, measured against the baseline of that run on its own seeds and prompts. There is no "
    "mean over lines: they share no seeds, and a few models and data sets are no sample of others."
)


def group_sheet(grouped: GroupedBoard, *, full: bool = True) -> Sheet:
    """A grid a headline metric; a grid every metric with `full`, or where none is marked for the headline."""
    board = grouped.board
    headline = [table for table in board.tables if table.info.headline]
    tables = board.tables if full or not headline else headline
    return Sheet(
        title=f"{board.title} by {', '.join(_HEADER[factor].lower() for factor in grouped.by)}",
        grids=tuple(_grid(grouped, table) for table in tables),
        legend=(_NOTE, *legend(board.level)),
        versions=board.versions,
        notes=board.notes,
    )


def group_csv(grouped: GroupedBoard) -> str:
    """A leaderboard's CSV of the trained arms, each line with its factors and its column before it."""
    return csv_text(
        [
            {
                **_factors(grouped.places[result.arm].key(grouped.by), grouped),
                "column": column,
                **csv_record(table, result),
            }
            for table in grouped.board.tables
            for _, of_line in grouped.lines(table)
            for column, result in sorted(of_line.items())
        ]
    )


def write_groups(grouped: GroupedBoard, path: Path) -> None:
    """PATH.md with the headline metrics, .csv and .json with all. Raises StoreError."""
    texts = {
        "md": to_markdown(group_sheet(grouped, full=False)),
        "csv": group_csv(grouped),
        "json": to_json(grouped),
    }
    for suffix, text in texts.items():
        atomic_write_text(path.with_name(f"{path.name}.{suffix}"), text)


def _factors(key: Key, grouped: GroupedBoard) -> dict[str, str | float]:
    return {f"by_{factor}": value for factor, value in zip(grouped.by, key, strict=True)}


def _grid(grouped: GroupedBoard, table: MetricTable) -> Grid:
    candidates = [name for name in grouped.candidates if any(name in of_line for _, of_line in grouped.lines(table))]
    differences = (f"{name} {MINUS} {grouped.baseline} ({percent(grouped.board.level)})" for name in candidates)
    header = (*(_HEADER[factor] for factor in grouped.by), grouped.baseline, *differences, f"Prompts {TIMES} seeds")
    results = {result.arm: result for result in table.arms}
    lines = tuple(
        Line((*map(_shown, key), *_cells(grouped, table, key, of_line, results, candidates)))
        for key, of_line in grouped.lines(table)
    )
    return Grid(metric_name(table), header, lines, tuple(_captions(grouped, table)))


def _cells(
    grouped: GroupedBoard,
    table: MetricTable,
    key: Key,
    of_line: Mapping[str, ArmResult],
    results: Mapping[str, ArmResult],
    candidates: list[str],
) -> Iterator[str]:
    """The baseline's score, the candidates' margins, and the counts behind them."""
    opponents = {r.margin.against: None for r in of_line.values() if r.margin and r.margin.against in results}
    own = of_line.get(grouped.baseline)
    arms = dict.fromkeys([*([own.arm] if own else []), *filter(None, opponents)])
    yield "; ".join(_opponent(grouped, table, key, results[arm]) for arm in arms) or "no rows"
    margins = []
    for name in candidates:
        if name in of_line:
            margin, mde, counted = margin_cells(of_line[name].margin, table.info)
            margins.append((_marked(margin, of_line[name]), mde, counted))
        else:
            margins.append(("no rows", "", ""))
    yield from margins_beside(margins)


def _opponent(grouped: GroupedBoard, table: MetricTable, key: Key, result: ArmResult) -> str:
    """A baseline arm's score; where it is the run's only one and stands on another line, which."""
    own = grouped.places[result.arm].key(grouped.by)
    elsewhere = [
        f"{_HEADER[factor].lower()} {_shown(value)}"
        for factor, value, here in zip(grouped.by, own, key, strict=True)
        if value != here
    ]
    score = _marked(short_score(result, table.info), result)
    return f"{score} (of {', '.join(elsewhere)})" if elsewhere else score


def _marked(text: str, result: ArmResult) -> str:
    return f"{text} (stale)" if result.stale else text


def _captions(grouped: GroupedBoard, table: MetricTable) -> Iterator[str]:
    yield direction(table.info)
    yield f"Judge: {table.judge or 'none'}."
    trained = [result for result in table.arms if result.arm in grouped.places]
    kinds = {r.margin.interval.kind for r in trained if r.margin and r.margin.interval}
    if kinds:
        yield f"Intervals: {'; '.join(sorted(f'{KIND_MARK[kind]} {kind}'.strip() for kind in kinds))}."
    yield f"Failed rows, counted and never scored: {sum(result.n_failed for result in trained)}."
    yield from (f"Stale, would be otherwise today: {r.arm}: {'; '.join(r.stale)}." for r in trained if r.stale)
    absent = [arm for arm in table.arms_without_rows if arm in grouped.places]
    if absent:
        yield f"No rows: {', '.join(absent)}."


def _shown(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value!r}".removesuffix(".0")
