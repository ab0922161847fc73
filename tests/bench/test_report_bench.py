"""What the benchmark of reports measures is what it says, on few examples."""

from pathlib import Path

from epa_bench.bench.report import benchmark_report, write_run_of
from epa_bench.leaderboard.run_files import read_run
from tests.chromium import chromium


def test_the_run_has_so_many_examples_and_is_the_same_every_time(tmp_path: Path) -> None:
    first, second = (write_run_of(tmp_path / name / "many", 30) for name in ("a", "b"))
    rows, board = read_run(first)
    assert len(rows) == 60
    assert board.title == "30 examples"
    assert (first / "annotations.jsonl").read_bytes() == (second / "annotations.jsonl").read_bytes()


def test_every_part_is_measured_and_written(tmp_path: Path) -> None:
    with chromium():
        """Only whether there is one: the benchmark starts its own."""
    out = tmp_path / "performance.md"
    rows = {row.what: row for row in benchmark_report(20, 1, out, lambda line: None)}
    assert rows["first paint"].value > 0
    assert all(row.low <= row.value <= row.high for row in rows.values())
    assert "| first paint |" in out.read_text()
