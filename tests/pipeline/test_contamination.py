"""Overlaps of a sweep's data with what its suites ask: told, refused or left out; and what that changes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from epa_bench.config.yaml12 import read_document
from epa_bench.pipeline.run import needed_cells, open_run
from epa_bench.suites.registry import registry
from tests.pipeline.conftest import FileSweep, preference_row
from tests.pipeline.published import api, write_suites

if TYPE_CHECKING:
    from tests.conftest import Workplace

PLANTED: dict[int, dict[str, Any] | str] = {
    5: {**preference_row(5), "prompt": preference_row(105)["prompt"]},  # an evaluation row
    6: {**preference_row(6), "prompt": "Question 2!"},  # of the AlpacaEval suite, re-cased
    7: {**preference_row(7), "prompt": [{"role": "user", "content": "say more of  101"}]},  # MT-Bench, second turn
}


@pytest.fixture
def planted(workplace: "Workplace", file_sweep: FileSweep, write_rows: Callable[..., None]) -> FileSweep:
    """A sweep whose training data holds a prompt of every suite."""
    write_rows(PLANTED)
    suites = {"reward_accuracy": {}, **write_suites(workplace.folder)}
    sweep = {**file_sweep, "suites": suites, "mirror": "mirror", "judge": api("http://127.0.0.1:9/v1")}
    workplace.write(sweep)
    return sweep


def test_rows_are_listed_before_anything_is_trained(workplace: "Workplace", planted: FileSweep) -> None:
    done = workplace.run("contamination", "mini.yaml", "--json", "-")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [(each["index"], each["suite"], each["kind"]) for each in report["overlaps"]] == [
        (4, "data.eval", "exact"),
        (5, "alpaca_eval_2", "normalised"),
        (6, "mt_bench", "normalised"),
    ]
    assert report["overlaps"][0]["row"] == "train.jsonl, row 5"
    assert (report["rows"], report["prompts"]) == (24, {"data.eval": 12, "alpaca_eval_2": 6, "mt_bench": 8})
    assert {path.name for path in (workplace.store / "cells").iterdir()} == {"preferences_files", "texts"}
    told = workplace.run("contamination", "mini.yaml").stdout
    assert "3 of 24 training rows overlap" in told
    assert "train.jsonl, row 7" in told


def test_refused_before_anything_is_trained(workplace: "Workplace", planted: FileSweep) -> None:
    for verb in ("contamination", "train"):
        done = workplace.run(verb, "mini.yaml", "--set", "data.contamination.policy=refuse")
        assert done.returncode == 4
        assert "train.jsonl, row 6: normalised overlap with a prompt of alpaca_eval_2" in done.stderr
        assert "Traceback" not in done.stderr
    assert not (workplace.store / "cells" / "reference").exists()


def test_pairs_of_a_reward_benchmark_are_looked_for(
    workplace: "Workplace", file_sweep: FileSweep, write_rows: Callable[..., None], shared_data: Path
) -> None:
    """LLMBar's, all five files."""
    folder = shared_data / "preferences" / "llmbar"
    asked = json.loads((folder / "Neighbor.json").read_text())[3]["input"]
    write_rows({4: {**preference_row(4), "prompt": asked.upper()}})
    workplace.write({**file_sweep, "suites": {"llmbar": {}}, "mirror": str(folder)})
    done = workplace.run("contamination", "mini.yaml", "--json", "-")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [(each["index"], each["suite"], each["kind"]) for each in report["overlaps"]] == [
        (3, "llmbar", "normalised")
    ]
    assert (report["prompts"]["llmbar"], report["not_compared"]) == (419, [])


def test_clean_data_is_not_accused(
    workplace: "Workplace", file_sweep: FileSweep, write_rows: Callable[..., None]
) -> None:
    write_rows()
    workplace.write({**file_sweep, "data": {**file_sweep["data"], "contamination": {"policy": "refuse"}}})
    done = workplace.run("contamination", "mini.yaml")
    assert done.returncode == 0
    assert "no overlap in 24 rows" in done.stdout


def test_only_dropping_makes_other_cells(workplace: "Workplace", planted: FileSweep, monkeypatch: Any) -> None:
    monkeypatch.chdir(workplace.folder)

    def digests(policy: str) -> set[str]:
        overrides = [f"data.contamination.policy={policy}"]
        run = open_run(read_document(workplace.folder / "mini.yaml"), overrides, registry([]))
        return {cell.digest for cell in needed_cells(run)}

    run = open_run(read_document(workplace.folder / "mini.yaml"), [], registry([]))
    unset = {cell.digest for cell in needed_cells(run)}
    assert digests("warn") == digests("off") == digests("refuse") == unset
    read = {cell.digest for cell in needed_cells(run) if cell.step in ("preferences_files", "texts")}
    answered = {cell.digest for cell in needed_cells(run) if not cell.inputs}
    assert digests("drop") & unset == read == answered


def test_training_warns_or_leaves_the_rows_out(workplace: "Workplace", planted: FileSweep) -> None:
    done = workplace.run("train", "mini.yaml")
    assert done.returncode == 0, done.stderr
    assert "warning: 3 of 24 training rows overlap with prompts that suites ask (alpaca_eval_2 normalised 1, " in (
        " ".join(done.stderr.split())
    )
    done = workplace.run("train", "mini.yaml", "--set", "data.contamination.policy=drop")
    assert done.returncode == 0, done.stderr
    assert "they are left out" in " ".join(done.stderr.split())
    folder = next((workplace.store / "cells" / "decontaminate").iterdir())
    kept = [json.loads(line)["source"] for line in (folder / "train.jsonl").read_text().splitlines()]
    assert kept == [f"train.jsonl, row {number}" for number in range(1, 25) if number not in PLANTED]
    summary = json.loads((folder / "summary.json").read_text())["train"]
    assert (summary["rows"], summary["rows_overlapping"]) == (21, 3)
    assert len((folder / "overlaps.jsonl").read_text().splitlines()) == 3
