"""The benchmark of executors: every one runs the cells, and the figures are of what they claim."""

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

from epa_bench.bench.executors import Executor, ExecutorRow, to_markdown
from epa_bench.bench.machine import this_machine


def test_the_command_measures_every_executor(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "epa_bench", "bench", "executors", "--cells", "3", "--rounds", "1"]
    done = subprocess.run([*command, "--json", "-", "--out", "p.md"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [ExecutorRow.model_validate(row) for row in json.loads(done.stdout)]
    assert [row.executor for row in rows] == list(get_args(Executor))
    assert rows[0].ratio == 1
    for row in rows:
        assert row.first > 0
        assert row.low == row.seconds == row.high
        assert f"| {row.executor} | {row.first:.2f} |" in (tmp_path / "p.md").read_text()


def test_the_table_is_the_rows() -> None:
    row = ExecutorRow(
        executor="Ray", cells=20, workers=2, rounds=3, first=4.821, seconds=0.5132, low=0.5, high=0.6, ratio=3.55
    )
    text = to_markdown([row], this_machine("cpu"))
    assert "| Ray | 4.82 | 513 (500, 600) | 3.5 |" in text
    assert "20 a round and 2 side by side, the executors in turns, 3 rounds" in text
