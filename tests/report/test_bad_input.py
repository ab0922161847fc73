"""What cannot be shown is said, on the page or as an error with what to do."""

import json
import os
import shutil
from pathlib import Path

import pytest

from epa_bench.core.errors import ConfigError, DataError, EpaBenchError, StoreError
from epa_bench.report.write import write_report
from tests.report.handmade import Judged, write_handmade

EXAMPLES = {"q": {("dpo", 1): Judged("a"), ("epa", 1): Judged("b", (1.75,))}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_handmade(tmp_path / "runs", EXAMPLES)


def _refused(kind: type[EpaBenchError], match: str, *places: Path, out: Path) -> None:
    with pytest.raises(kind, match=match):
        write_report(places, places[0].parent, out)
    assert not out.is_file()


def test_a_run_without_a_table(tmp_path: Path, run: Path) -> None:
    (run / "board.json").unlink()
    _refused(
        StoreError,
        "no board.json in .*made: expected the folder of a run whose table was written",
        run,
        out=tmp_path / "r",
    )


def test_what_is_no_run_and_no_table(tmp_path: Path, run: Path) -> None:
    _refused(
        ConfigError, "expected the folder of a run .runs/NAME. or a leaderboard", tmp_path / "no", out=tmp_path / "r"
    )
    _refused(StoreError, "cannot read .*none.json: No such file", tmp_path / "none.md", out=tmp_path / "r")
    other = tmp_path / "other.json"
    other.write_text('{"tables": []}')
    _refused(StoreError, "no leaderboard of this version", other, out=tmp_path / "r")


def test_damaged_rows_are_named(tmp_path: Path, run: Path) -> None:
    with (run / "rows.jsonl").open("a") as file:
        file.write("{\n")
    _refused(DataError, "rows.jsonl, row 3", run, out=tmp_path / "r")


def test_a_place_that_cannot_be_written(tmp_path: Path, run: Path) -> None:
    (tmp_path / "file").write_text("x")
    _refused(StoreError, "a file stands where a folder should be", run, out=tmp_path / "file" / "report.html")
    _refused(ConfigError, "is a folder; name a file in it", run, out=tmp_path)
    if os.getuid() != 0:
        (tmp_path / "closed").mkdir(mode=0o500)
        _refused(StoreError, "no permission to write", run, out=tmp_path / "closed" / "report.html")


def test_two_runs_of_one_name(tmp_path: Path, run: Path) -> None:
    other = write_handmade(tmp_path / "more", EXAMPLES)
    _refused(ConfigError, "two of the runs have the same name", run, other, out=tmp_path / "r")


def test_one_method_only(tmp_path: Path) -> None:
    run = write_handmade(tmp_path / "runs", {"q": {("epa", 1): Judged("a")}})
    write_report([run], run.parent, tmp_path / "report.html")
    assert "No margin: no arm here has a baseline arm" in (tmp_path / "report.html").read_text()


def test_a_metric_that_failed_everywhere(tmp_path: Path) -> None:
    nothing = Judged("a", (None,))
    run = write_handmade(tmp_path / "runs", {"q": {("dpo", 1): nothing, ("epa", 1): nothing}})
    write_report([run], run.parent, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "none: no prompt has a value in every seed" in page
    assert "2 rows of all metrics failed: counted, never scored" in page
    assert "NaN" not in page.partition("<script")[0]


def test_cells_that_are_gone_hide_only_what_they_held(tmp_path: Path, run: Path) -> None:
    other = write_handmade(tmp_path / "runs", EXAMPLES, name="whole")
    shutil.rmtree(tmp_path / "runs" / "store" / "cells" / "responses")
    written = write_report([run, other], run.parent, tmp_path / "report.html")
    assert any(reason.startswith("Answers: made: no responses cell at") for reason in written.missing)
    page = (tmp_path / "report.html").read_text()
    assert "a note" in page
    assert all(f'data-run="{name}"' in page for name in ("made", "whole"))
    assert "win rate" in page


def test_an_import_of_lengths_alone(tmp_path: Path, run: Path) -> None:
    for name in ("cells.json", "sweep.yaml"):
        (run / name).unlink()
    row = {"model": "dpo", "prompt_id": "x", "length": 3, "reference_length": 3, "identical": False, "preference": 1.5}
    (run / "annotations.jsonl").write_text(json.dumps(row) + "\n")
    missing = write_report([run], run.parent, tmp_path / "report.html").missing
    assert "Answers: made: the imported files hold lengths and verdicts alone, no texts" in missing


def test_a_stale_table_is_shown_without_the_run_that_has_another(tmp_path: Path, run: Path) -> None:
    table = run.parent / "leaderboards" / "made.json"
    table.write_text(table.read_text().replace("Sweep made", "Sweep older"))
    write_report([table], run.parent, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "stale, or of another run" in page
    assert "Sweep older" in page
