"""Arms whose cells would be others today are marked, with what changed."""

import json
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Workplace


def test_a_comparison_marks_what_would_be_otherwise(finished: "Workplace", workplace: "Workplace") -> None:
    place = finished.copy(workplace.folder)
    compare = ("compare", "runs/mini", "--out", "out")
    assert place.run(*compare).returncode == 0
    assert "stale" not in (place.folder / "out.md").read_text()
    sweep = place.folder / "runs" / "mini" / "sweep.yaml"
    written = sweep.read_text()
    sweep.write_text(written.replace("off_support: {}", "off_support: {limit: 5}"))
    assert sweep.read_text() != written
    assert place.run(*compare).returncode == 0
    text = (place.folder / "out.md").read_text()
    assert "| mini/dpo (stale) |" in text
    # A list of its own for each arm, and nothing of suites that would be the same.
    assert text.count("Stale, would be otherwise today: mini/dpo: config.limit: None -&gt; 5.") == 5
    board = json.loads((place.folder / "out.json").read_text())
    stale = {table["suite"] for table in board["tables"] for arm in table["arms"] if arm["stale"]}
    assert stale == {"off_support"}

    shutil.rmtree(place.store)
    assert place.run(*compare).returncode == 0
    assert "are gone from the store" in (place.folder / "out.md").read_text()
    sweep.write_text("name: [")
    assert place.run(*compare).returncode == 0
    assert "mini: whether it is stale is not known" in (place.folder / "out.md").read_text()


def test_an_import_is_checked_by_its_folder(finished: "Workplace", workplace: "Workplace") -> None:
    """A run's folder does for `table --check`, which imports have no sweep for."""
    place = finished.copy(workplace.folder)
    assert place.run("table", "runs/mini", "--check").returncode == 0
    table = place.folder / "leaderboards" / "mini.csv"
    table.write_text(table.read_text().replace("0.", "1.", 1))
    done = place.run("table", "runs/mini", "--check")
    assert done.returncode == 4
    assert "mini.csv:" in done.stderr
    assert place.run("table", "runs/mini").returncode == 3
