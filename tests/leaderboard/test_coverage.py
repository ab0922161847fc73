"""The committed error rates: what they say, and that the three files say the same."""

import csv
from pathlib import Path

from epa_bench.leaderboard.coverage import (
    MARGINS,
    CoverageReport,
    coverage_csv,
    coverage_markdown,
    simulate,
    write_coverage,
)
from epa_bench.stats.simulation import HEADLINE, SCENARIOS, Scenario

COMMITTED = Path(__file__).resolve().parents[2] / "leaderboards" / "coverage"
REPORT = CoverageReport.model_validate_json(COMMITTED.with_suffix(".json").read_bytes())


def test_committed_files_are_of_one_simulation() -> None:
    assert COMMITTED.with_suffix(".md").read_text() == coverage_markdown(REPORT)
    assert COMMITTED.with_suffix(".csv").read_text() == coverage_csv(REPORT)


def test_committed_rates() -> None:
    """Coverage of .93 to .97; a drop of the margin passes at most 7 %; without a change at most 1 % breach."""
    assert REPORT.n_sweeps >= 1000
    headline = [row for row in REPORT.intervals if row.method == HEADLINE]
    assert [row.scenario for row in headline] == list(SCENARIOS)
    assert all(0.93 <= row.covered / REPORT.n_sweeps <= 0.97 for row in headline)
    assert all(row.verdicts["PASS"] <= 0.07 * REPORT.n_sweeps for row in REPORT.gates if row.drop == row.margin)
    unchanged = [row for row in REPORT.gates if row.drop == 0]
    assert len(unchanged) == len(MARGINS) * len(SCENARIOS)
    assert all(row.verdicts["BREACH"] <= 0.01 * REPORT.n_sweeps for row in unchanged)


def test_written_files_follow_from_the_arguments(tmp_path: Path) -> None:
    scenario = Scenario(2, 20, 0.01)
    for folder in ("a", "b"):
        write_coverage(simulate(30, 100, 5, [scenario]), tmp_path / folder / "coverage")
    for suffix in ("md", "csv", "json"):
        one, other = (tmp_path / folder / f"coverage.{suffix}" for folder in ("a", "b"))
        assert one.read_bytes() == other.read_bytes()
    report = CoverageReport.model_validate_json((tmp_path / "a" / "coverage.json").read_bytes())
    with (tmp_path / "a" / "coverage.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [int(line["count"]) for line in lines if line["of"] == HEADLINE] == [
        row.covered for row in report.intervals if row.method == HEADLINE
    ]
    assert sum(int(line["count"]) for line in lines if line["outcome"] in ("PASS", "BREACH", "INCONCLUSIVE")) == 6 * 30
