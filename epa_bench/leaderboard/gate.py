"""The gate: a candidate run against a baseline, check by check, and one verdict over all.

BREACH where a golden value or a check that decides is breached; else INCONCLUSIVE where a critical check is; else PASS.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from epa_bench.core.errors import ConfigError, DataError
from epa_bench.core.records import ScoreRow
from epa_bench.leaderboard.board import Leaderboard, MetricTable
from epa_bench.leaderboard.build import build_again
from epa_bench.leaderboard.gate_baseline import read_baseline, write_baseline
from epa_bench.leaderboard.gate_check import Paired, pair, result_of, untested
from epa_bench.leaderboard.gate_policy import Check, Golden, LoadedPolicy, Policy
from epa_bench.leaderboard.gate_report import CheckResult, GateReport, GoldenResult
from epa_bench.leaderboard.rows import read_rows, score_frame
from epa_bench.leaderboard.run_files import ROWS, read_run
from epa_bench.stats.noninferiority import NonInferiority, Verdict, non_inferiority
from epa_bench.stats.paired_tests import holm


@dataclass(frozen=True)
class _Side:
    """A run as the gate sees it: its scores computed again from its rows, its judges and suites from its board."""

    name: str
    frame: pd.DataFrame
    board: Leaderboard
    statistics: frozenset[tuple[str, str]] = frozenset()
    """(suite, metric) of the run's tables that are no means of rows."""

    def values(self, check: Check) -> pd.DataFrame:
        frame = self.frame
        return frame[(frame["suite"] == check.suite) & (frame["metric"] == check.metric) & (frame["arm"] == check.arm)]

    def table(self, suite: str, metric: str) -> MetricTable:
        return next(t for t in self.board.tables if (t.suite, t.metric) == (suite, metric))


def run_gate(loaded: LoadedPolicy, baseline: Path, candidate: Path) -> GateReport:
    """The report; golden values alone need no baseline file.

    Raises ConfigError for a policy that names what a run does not have, DataError for a baseline that is missing,
    edited, of another judge or of a suite set in another way, and for runs without a seed or prompt in common;
    StoreError for a folder without a run.
    """
    new = _side(candidate.resolve().name, *read_run(candidate))
    old = _side(baseline.name, *read_baseline(baseline)) if loaded.policy.checks else None
    loaded.check_names(old.board if old else None, new.board, new.statistics)
    checks = tuple(_checks(loaded.policy, old, new)) if old else ()
    golden = tuple(_golden(golden, new) for golden in loaded.policy.golden)
    return GateReport(
        policy=loaded.document.name,
        baseline=str(baseline),
        candidate=new.name,
        level=loaded.policy.level,
        verdict=_verdict(checks, golden),
        checks=checks,
        golden=golden,
    )


def update_baseline(loaded: LoadedPolicy, baseline: Path, candidate: Path) -> tuple[GateReport | None, str]:
    """Writes what the policy's checks compare of the candidate as the new baseline; gives the gate against the old
    one, or None and why there is none.

    A policy that does not fit the candidate, or has no checks, is refused, and nothing written. Raises ConfigError,
    StoreError.
    """
    new = _side(candidate.resolve().name, *read_run(candidate))
    loaded.check_names(None, new.board, new.statistics)
    compared = loaded.policy.compared
    if not compared:
        raise ConfigError(f"{loaded.document.name} has golden values only, which need no baseline: leave out --update")
    report, why_none = None, ""
    if not baseline.exists():
        why_none = "There was no baseline to compare with."
    else:
        try:
            report = run_gate(loaded, baseline, candidate)
        except (ConfigError, DataError) as error:
            # What makes a baseline unusable is what an update mends.
            why_none = f"Not compared with the old baseline: {error}."
    rows = [row for row in read_rows(candidate / ROWS) if (row.suite, row.metric) in compared]
    tables = tuple(table for table in new.board.tables if (table.suite, table.metric) in compared)
    write_baseline(baseline, new.name, rows, new.board.model_copy(update={"tables": tables}))
    return report, why_none


def _side(name: str, rows: Sequence[ScoreRow] | pd.DataFrame, board: Leaderboard) -> _Side:
    """Which suites there are and their scores come from the rows; a board that says otherwise was edited."""
    frame = score_frame(rows)
    again = build_again(frame, board)
    tables = {(table.suite, table.metric) for table in board.tables}
    return _Side(name, frame, again, frozenset(tables - {(table.suite, table.metric) for table in again.tables}))


def _checks(policy: Policy, old: _Side, new: _Side) -> Iterator[CheckResult]:
    for check in policy.checks:
        _refuse_incomparable(check, old, new)
    paired = [
        pair(check, new.table(check.suite, check.metric).info, old.values(check), new.values(check))
        for check in policy.checks
    ]
    tests = [_test(of_check, policy) for of_check in paired]
    adjusted = _adjusted(policy.checks, tests)
    for of_check, test, p_inferior in zip(paired, tests, adjusted, strict=True):
        if isinstance(test, str):
            yield untested(of_check, test)
        else:
            yield result_of(of_check, test, p_inferior, policy)


def _refuse_incomparable(check: Check, old: _Side, new: _Side) -> None:
    """Before any number: another judge, direction or setting makes the difference one of instruments."""
    ours, theirs = new.table(check.suite, check.metric), old.table(check.suite, check.metric)
    for what, before, after in (
        ("judge", theirs.judge, ours.judge),
        ("better side", theirs.info.better, ours.info.better),
        ("settings", old.board.settings(check.suite), new.board.settings(check.suite)),
    ):
        if before != after:
            raise DataError(
                f"{check.suite}: the baseline {old.name} and {new.name} do not compare. {what}: {before} there, "
                f"{after} here. Run the candidate as the baseline was run, or write a new baseline with --update"
            )


def _test(paired: Paired, policy: Policy) -> NonInferiority | str:
    """The test, or why there is none."""
    if paired.n_prompts < 2:
        return f"{paired.n_prompts} prompt(s) with a value on both sides: that says nothing of other prompts"
    if paired.n_left_out > policy.max_left_out * (paired.n_prompts + paired.n_left_out):
        return f"more than {policy.max_left_out:.3g} of the prompts have no pair"
    return non_inferiority(paired.change.to_numpy(), paired.check.margin, policy.level)


def _adjusted(checks: Sequence[Check], tests: Sequence[NonInferiority | str]) -> list[float]:
    """Holm over the checks that decide, and over the advisory ones, which must not weaken those. An untested check
    counts: whether it can be tested depends on the candidate."""
    adjusted = [1.0] * len(checks)
    for advisory in (False, True):
        family = [number for number, check in enumerate(checks) if (check.tier == "advisory") == advisory]
        raw = [1.0 if isinstance(test := tests[number], str) else test.p_inferior for number in family]
        for number, p in zip(family, holm(raw) if raw else [], strict=True):
            adjusted[number] = p
    return adjusted


def _golden(golden: Golden, new: _Side) -> GoldenResult:
    table = new.table(golden.suite, golden.metric)
    found = next(golden.found(result) for result in table.arms if result.arm == golden.arm)
    fits = found is not None and abs(found - golden.value) <= golden.tolerance
    return GoldenResult(golden=golden, found=found, verdict="PASS" if fits else "BREACH")


def _verdict(checks: Sequence[CheckResult], golden: Sequence[GoldenResult]) -> Verdict:
    breached = [*(c.verdict == "BREACH" and c.decides for c in checks), *(g.verdict == "BREACH" for g in golden)]
    if any(breached):
        return "BREACH"
    critical = (check.verdict for check in checks if check.check.tier == "critical")
    return "INCONCLUSIVE" if "INCONCLUSIVE" in critical else "PASS"
