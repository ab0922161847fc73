"""The benchmark of acquisition runs, and its figures are of what they claim."""

import json
import subprocess
import sys
from pathlib import Path


def test_the_command_prints_what_it_wrote(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "epa_bench", "bench", "acquire", "--rows", "60", "--budget", "5", "--json", "-"]
    done = subprocess.run([*command, "--out", "p.md"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [(row["representation"], row["selector"]) for row in rows] == [
        ("vap", "k-means++"),
        ("vap", "k-means-nearest"),
        ("badge", "k-means++"),
    ]
    text = (tmp_path / "p.md").read_text()
    for row in rows:
        assert row["peak_mib"] >= row["held_mib"] > 100
        assert f"| {row['representation']}, {row['selector']} | 60 | 5 | {row['seconds']:.1f} |" in text
