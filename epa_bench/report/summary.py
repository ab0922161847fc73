"""What was found, in a sentence each, and what failed."""

from collections import Counter
from dataclasses import dataclass

from epa_bench.judges.asking import error_kind
from epa_bench.leaderboard.board import ArmResult, Margin, MetricTable
from epa_bench.leaderboard.cells import TIMES, Verdict, margin_cells, metric_name, percent, verdict
from epa_bench.leaderboard.display import Grid, headline_grid
from epa_bench.report.leading import compared, leading_table
from epa_bench.report.loaded import LoadedRun
from epa_bench.report.margins import margin_charts
from epa_bench.report.section import Chart, Section, Table

_READING = {
    "better": "better than",
    "worse": "worse than",
    "undecided": "not distinguishable from",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One margin as a sentence."""

    run: str
    arm: str
    against: str
    metric: str
    reading: str
    margin: str
    details: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Of one run."""

    name: str
    findings: tuple[Finding, ...]
    headline: Grid
    failures: Table
    n_failed: int
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """What the template reads."""

    runs: tuple[RunSummary, ...]
    charts: tuple[Chart, ...]


def summary(runs: tuple[LoadedRun, ...]) -> Section:
    """The section."""
    return Section("summary", "Summary", "summary.html", Summary(tuple(map(_of_run, runs)), margin_charts(runs)))


def _of_run(run: LoadedRun) -> RunSummary:
    failures = _failures(run)
    return RunSummary(
        name=run.name,
        findings=tuple(_findings(run)),
        headline=headline_grid(run.board),
        failures=failures,
        n_failed=sum(result.n_failed for table in run.board.tables for result in table.arms),
        remarks=run.remarks,
    )


def _findings(run: LoadedRun) -> list[Finding]:
    """Every arm's margin on the metric that leads."""
    table = leading_table(run.board)
    return [_finding(run, table, result, margin) for result, margin in compared(run, table)]


def _finding(run: LoadedRun, table: MetricTable, result: ArmResult, margin: Margin) -> Finding:
    reading = verdict(margin, table.info)
    figures, mde, _ = margin_cells(margin, table.info)
    judge = f"judged by {table.judge}" if table.judge else "no judge"
    seeds = ", ".join(str(seed) for seed in margin.seeds)
    over = f"{margin.n_prompts} prompts {TIMES} {len(margin.seeds)} seeds ({seeds})"
    left_out = f", {margin.n_left_out} left out" if margin.n_left_out else ""
    smallest = f"; a true margin of {mde} is found with probability .8" if mde else ""
    return Finding(
        run=run.name,
        arm=result.arm,
        against=margin.against or "",
        metric=metric_name(table),
        reading=_READING[reading],
        margin=figures,
        details=f"{percent(run.board.level)} interval over {over}{left_out}; {judge}{smallest}",
        verdict=reading,
    )


def _failures(run: LoadedRun) -> Table:
    """Failed rows by what failed and why, the most frequent first."""
    header = ("Suite · metric", "Arm", "Reason", "Failed rows")
    if run.rows is None:
        lines = [
            (metric_name(table), result.arm, "reasons are in the run's rows", str(result.n_failed))
            for table in run.board.tables
            for result in table.arms
            if result.n_failed
        ]
        return Table(header, tuple(lines))
    failed = run.rows[run.rows["error"].notna()]
    names = {(table.suite, table.metric): metric_name(table) for table in run.board.tables}
    counts = Counter(
        (names.get((suite, metric), f"{suite} · {metric}"), arm, error_kind(error))
        for suite, metric, arm, error in zip(
            failed["suite"], failed["metric"], failed["arm"], failed["error"], strict=True
        )
    )
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return Table(header, tuple((*key, str(count)) for key, count in ordered))
