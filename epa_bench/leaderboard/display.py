"""A leaderboard as grids of plain text, the same for every format. What stands in which column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from epa_bench.core.metric import MetricInfo
from epa_bench.leaderboard.board import REFERENCE_METHOD, ArmResult, Leaderboard, MetricTable
from epa_bench.leaderboard.cells import (
    KIND_MARK,
    MINUS,
    TIMES,
    Verdict,
    counts,
    direction,
    margin_cells,
    margins_beside,
    metric_name,
    percent,
    score_cell,
    short_score,
    verdict,
)

_MOST_COLUMNS = 4
"""Candidates that stand side by side in the headline."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a grid."""

    cells: tuple[str, ...]
    verdict: Verdict = "undecided"
    """What the margin's interval says, where the metric has a better side."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table to show: every cell is text that its format still has to escape."""

    title: str
    header: tuple[str, ...]
    lines: tuple[Line, ...]
    captions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """Tables with what is said about them, whatever the format."""

    title: str
    grids: tuple[Grid, ...]
    legend: tuple[str, ...]
    versions: Mapping[str, str]
    notes: tuple[str, ...]


def sheet_of(board: Leaderboard, *, full: bool = True) -> Sheet:
    """A leaderboard, the headline first where there is one. Without `full` only that, or every metric where there is
    none."""
    grids = [headline_grid(board)] if any(table.info.headline for table in board.tables) else []
    if full or not grids:
        grids += [metric_grid(table, board.level) for table in board.tables]
    return Sheet(board.title, tuple(grids), legend(board.level), board.versions, board.notes)


def metric_grid(table: MetricTable, level: float) -> Grid:
    """All arms on one metric."""
    header = (
        "Arm",
        f"Score ({percent(level)})",
        f"Prompts {TIMES} seeds",
        f"Margin ({percent(level)})",
        "Against",
        "MDE",
        f"Paired prompts {TIMES} seeds",
        "Failed rows",
        "Seeds",
    )
    captions = [direction(table.info), f"Judge: {table.judge or 'none'}.", *_kinds(table)]
    captions += [f"Stale, would be otherwise today: {r.arm}: {'; '.join(r.stale)}." for r in table.arms if r.stale]
    if table.arms_without_rows:
        captions.append(f"No rows: {', '.join(table.arms_without_rows)}.")
    return Grid(
        title=f"{table.suite} · {table.info.label}",
        header=header,
        lines=tuple(_arm_line(result, table.info) for result in table.arms),
        captions=tuple(captions),
    )


def headline_grid(board: Leaderboard) -> Grid:
    """The metrics marked `headline`.

    Against one baseline arm: a line a metric, with one candidate a column for every arm's score, with a few a column
    for every margin. Otherwise a line for each metric and arm.
    """
    tables = [table for table in board.tables if table.info.headline]
    results = [result for table in tables for result in table.arms]
    arms = tuple(dict.fromkeys(r.arm for r in sorted(results, key=lambda r: (r.margin is not None, r.arm))))
    candidates = sorted({r.arm for r in results if r.margin is not None and r.method != REFERENCE_METHOD})
    opponents = {r.margin.against for r in results if r.margin is not None}
    baselines = [r.arm for r in results if r.margin is None]
    if not candidates or len(candidates) > _MOST_COLUMNS or len(opponents) != 1 or opponents != set(baselines):
        return _long(tables, board.level)
    if len(candidates) == 1:
        return _wide(tables, arms, candidates[0], baselines[0], board.level)
    references = sorted({r.arm for r in results if r.method == REFERENCE_METHOD})
    return _matrix(tables, (*references, baselines[0]), candidates, baselines[0], board.level)


def _wide(tables: Sequence[MetricTable], arms: tuple[str, ...], candidate: str, baseline: str, level: float) -> Grid:
    def line(table: MetricTable) -> Line:
        results = {result.arm: result for result in table.arms}
        scores = [short_score(results.get(arm), table.info) for arm in arms]
        margin = results[candidate].margin if candidate in results else None
        return Line((metric_name(table), *scores, *margin_cells(margin, table.info)), verdict(margin, table.info))

    header = (
        "Suite · metric",
        *arms,
        f"{candidate} {MINUS} {baseline} ({percent(level)})",
        "MDE",
        f"Prompts {TIMES} seeds",
    )
    return Grid("", header, tuple(line(table) for table in tables), _headline_captions(tables, level))


def _matrix(
    tables: Sequence[MetricTable], arms: tuple[str, ...], candidates: Sequence[str], baseline: str, level: float
) -> Grid:
    def line(table: MetricTable) -> Line:
        results = {result.arm: result for result in table.arms}
        scores = [short_score(results.get(arm), table.info) for arm in arms]
        margins = [
            margin_cells(results[candidate].margin if candidate in results else None, table.info)
            for candidate in candidates
        ]
        return Line((metric_name(table), *scores, *margins_beside(margins)))

    differences = [f"{candidate} {MINUS} {baseline} ({percent(level)})" for candidate in candidates]
    header = ("Suite · metric", *arms, *differences, f"Prompts {TIMES} seeds")
    return Grid("", header, tuple(line(table) for table in tables), _headline_captions(tables, level))


def _long(tables: Sequence[MetricTable], level: float) -> Grid:
    lines = []
    for table in tables:
        results = {result.arm: result for result in table.arms}
        opponents = {result.margin.against for result in table.arms if result.margin is not None}
        for result in table.arms:
            if result.margin is None and result.arm in opponents:
                continue
            against = result.margin.against if result.margin is not None else None
            opponent = (against, short_score(results.get(against), table.info)) if against else ("none", "")
            cells = (metric_name(table), result.arm, short_score(result, table.info), *opponent)
            margin = margin_cells(result.margin, table.info)
            lines.append(Line((*cells, *margin), verdict(result.margin, table.info)))
    header = ("Suite · metric", "Arm", "Score", "Against", "Its score", f"Margin ({percent(level)})", "MDE")
    return Grid("", (*header, f"Prompts {TIMES} seeds"), tuple(lines), _headline_captions(tables, level))


def legend(level: float) -> tuple[str, ...]:
    """What every number of the tables means."""
    return (
        "Score: mean over the prompts that have a value in every seed of the arm; prompts weigh equally.",
        "Margin: mean of the paired differences, arm minus the arm under Against, on the seeds and prompts both have.",
        f"(low, high): {percent(level)} interval from crossed random effects of seeds and prompts with Satterthwaite's "
        "degrees of freedom: it holds for new seeds and new prompts. † prompts only, seed variance not estimated; "
        "‡ seeds only, prompt variance not estimated.",
        "▲ the margin's interval lies above 0, ▼ below 0, ○ it contains 0. Not corrected for the number of margins.",
        "MDE: minimum detectable effect, the true margin that a two-sided test at "
        f"{percent(1 - level)} finds with probability .8.",
        "Left out: prompts without a value in every seed. Failed rows: counted, never scored.",
    )


def _arm_line(result: ArmResult, info: MetricInfo) -> Line:
    if result.margin is None:
        (margin, mde, paired), against = ("baseline", "", ""), ""
    else:
        (margin, mde, paired), against = margin_cells(result.margin, info), result.margin.against or "none"
    name = f"{result.arm} (stale)" if result.stale else result.arm
    cells = (name, score_cell(result.score, info), counts(result.score), margin, against, mde, paired)
    seeds = ", ".join(str(seed) for seed in result.score.seeds)
    return Line((*cells, str(result.n_failed), seeds), verdict(result.margin, info))


def _kinds(table: MetricTable) -> list[str]:
    """The kinds of interval in a table, with their marks."""
    cells = [cell for result in table.arms for cell in (result.score, result.margin) if cell is not None]
    kinds = sorted({cell.interval.kind for cell in cells if cell.interval is not None})
    marked = [f"{KIND_MARK[kind]} {kind}".strip() for kind in kinds]
    return [f"Intervals: {'; '.join(marked)}."] if marked else []


def _headline_captions(tables: Sequence[MetricTable], level: float) -> tuple[str, ...]:
    if not tables:
        return ("No metric of these rows is marked for the headline.",)
    judges = dict.fromkeys(f"{table.suite}: {table.judge}" for table in tables if table.judge is not None)
    n_failed = sum(result.n_failed for table in tables for result in table.arms)
    return (
        f"(low, high): {percent(level)} interval over seeds and prompts († prompts only, ‡ seeds only); ▲ above 0, "
        "▼ below 0, ○ contains 0. MDE: the true margin found with probability .8. ↑ higher is better, ↓ lower is.",
        f"Failed rows, counted and never scored: {n_failed}." + (f" Judges: {'; '.join(judges)}." if judges else ""),
    )
