"""The benchmark of leaderboards: it runs, and its two ways of reading write the same tables."""

import json
import subprocess
import sys
from pathlib import Path

from epa_bench.bench.table import write_given_rows
from epa_bench.leaderboard.rows import read_frame


def test_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "epa_bench", "bench", "table", "--runs", "20", "--prompts", "7", "--rounds", "1"]
    done = subprocess.run(
        [*command, "--out", "p.md", "--json", "-"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    columns, models = json.loads(done.stdout)
    assert (columns["reader"], models["reader"]) == ("columns", "a model a row")
    assert columns["ratio"] == 1
    assert models["ratio"] == models["cpu_seconds"] / columns["cpu_seconds"]
    assert columns["same_bytes"]
    assert not columns["torch"]
    assert 20 < columns["peak_mib"] < 1000
    text = (tmp_path / "p.md").read_text()
    assert "| by columns | 20 | 7 |" in text
    assert "All tables are the same bytes: yes. torch was imported: no." in text


def test_given_rows(tmp_path: Path) -> None:
    write_given_rows(tmp_path / "rows.jsonl", 3, 5)
    frame = read_frame([tmp_path / "rows.jsonl"])
    assert len(frame) == 15
    assert sorted(frame["arm"].unique()) == ["dpo", "epa-0001", "epa-0002"]
    assert frame["prompt_id"].nunique() == 5
    assert frame["value"].nunique() == 15
