"""Runs in one table by model, data and beta: which margin stands where, and what is refused instead of pooled."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from epa_bench.config.grid import Arm, expand
from epa_bench.config.schema import Sweep
from epa_bench.core.errors import ConfigError, StoreError
from epa_bench.core.metric import MetricInfo
from epa_bench.core.records import ScoreRow
from epa_bench.leaderboard.build import build_table
from epa_bench.leaderboard.cells import TIMES
from epa_bench.leaderboard.groups import GroupedBoard
from epa_bench.leaderboard.run_files import write_run
from epa_bench.pipeline.compare import compare_groups
from epa_bench.pipeline.run_groups import told_apart
from epa_bench.suites.registry import registry

DPO = {"loss": "dpo", "beta": [0.1], "learning_rate": 1e-6}
EPA = {"loss": "epa", "beta": [0.1], "learning_rate": 1e-6, "weak": 2}
CHECKPOINT = {"kind": "checkpoint", "path": "models/tulu-sft"}
FILES = {"kind": "files", "train": "uf/train.jsonl", "eval": "uf/eval.jsonl"}

RunMaker = Callable[..., Path]


@pytest.fixture
def run(tmp_path: Path) -> RunMaker:
    """A finished run: its sweep, and rows of arm -> gain, which each of three prompts has beside its own number."""

    def make(name: str, gains: Mapping[str, float], judge: str | None = None, **changes: Any) -> Path:
        folder = tmp_path / "runs" / name
        sweep = {"name": name, "reference": CHECKPOINT, "data": FILES, "methods": {"dpo": DPO, "epa": EPA}, **changes}
        folder.mkdir(parents=True)
        (folder / "sweep.yaml").write_text(json.dumps(sweep))
        arms = {arm.name: arm for arm in expand(Sweep.model_validate_json(json.dumps(sweep)))}
        rows = [row for arm, gain in gains.items() for row in _rows(arm, arms.get(arm), gain)]
        board = build_table(
            rows,
            baseline="dpo",
            judge={"chat": judge} if judge else {},
            title=name,
            versions={},
            notes=[f"chat: {json.dumps(sweep.get('suites', {}).get('chat', {}))}"],
            metrics={("chat", "win_rate"): MetricInfo(label="win rate", digits=2, headline=True)},
        )
        write_run(folder, rows, board, tmp_path / "leaderboards")
        return folder

    return make


def _rows(name: str, arm: Arm | None, gain: float) -> list[ScoreRow]:
    """Two metrics of an arm, or of a reference without one."""
    return [
        ScoreRow(
            suite="chat",
            metric=metric,
            arm=name,
            method=arm.method if arm else "reference",
            beta=arm.beta if arm else 0.0,
            learning_rate=arm.learning_rate if arm else 0.0,
            seed=seed,
            prompt_id=f"p{prompt}",
            value=prompt + gain * (1 if seed == 1 else 1.5),
        )
        for metric in ("win_rate", "length")
        for seed in (1, 2)
        for prompt in range(3)
    ]


def _table(tmp_path: Path) -> list[list[str]]:
    """The cells of the first table of the Markdown file."""
    lines = [line for line in (tmp_path / "out.md").read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in (lines[0], *lines[2:])]


def _group(runs: list[Path], tmp_path: Path, by: str = "model,data,beta", **options: Any) -> GroupedBoard:
    settings = {"baseline": None, "mix": False, **options}
    return compare_groups(runs, tmp_path / "out", by, settings["baseline"], registry(), mix=settings["mix"])


def test_a_line_a_group_and_a_column_a_method(run: RunMaker, tmp_path: Path) -> None:
    """Gains of seed 2 are 1.5 times those of seed 1, so the margin of gains 1 and 3 is 2 x 1.25."""
    betas = {"dpo": {**DPO, "beta": [0.5, 0.05]}, "epa": {**EPA, "beta": [0.5, 0.05]}}
    first = run("small", {"dpo-beta0.05": 0, "epa-beta0.05": 1, "dpo-beta0.5": 1, "epa-beta0.5": 3}, methods=betas)
    other = run("large", {"dpo": 0, "epa": 2, "reference": -1}, reference={**CHECKPOINT, "path": "models/large-sft"})
    grouped = _group([first, other], tmp_path)
    header, *lines = _table(tmp_path)
    assert [name.partition(" ")[0] for name in header] == ["Model", "Data", "Beta", "dpo", "epa", "Prompts"]
    assert [line[:4] for line in lines] == [
        ["large-sft", "train.jsonl", "0.1", "1.00"],
        ["tulu-sft", "train.jsonl", "0.05", "1.00"],
        ["tulu-sft", "train.jsonl", "0.5", "2.25"],
    ]
    assert [line[4].partition(" ")[0] for line in lines] == ["+2.50", "+1.25", "+2.50"]
    assert {line[5] for line in lines} == {f"3 {TIMES} 2"}
    assert "MDE" in lines[0][4]
    assert GroupedBoard.model_validate_json((tmp_path / "out.json").read_bytes()) == grouped


def test_csv_has_every_metric_with_its_factors(run: RunMaker, tmp_path: Path) -> None:
    _group([run("one", {"dpo": 0, "epa": 2})], tmp_path, by="data,model")
    lines = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert [(line["metric"], line["column"], line["by_data"], line["by_model"]) for line in lines] == [
        (metric, method, "train.jsonl", "tulu-sft") for metric in ("length", "win_rate") for method in ("dpo", "epa")
    ]
    assert [float(line["margin"]) for line in lines if line["column"] == "epa"] == [2.5, 2.5]
    # Markdown: the headline's only.
    assert "length" not in (tmp_path / "out.md").read_text()


def test_written_again_byte_for_byte(run: RunMaker, tmp_path: Path) -> None:
    runs = [run("one", {"dpo": 0, "epa": 2}), run("two", {"dpo": 0, "epa": 2}, data={**FILES, "train": "b.jsonl"})]
    files = [tmp_path / f"out.{suffix}" for suffix in ("md", "csv", "json")]
    _group(runs, tmp_path)
    first = [file.read_bytes() for file in files]
    _group(runs, tmp_path)
    assert [file.read_bytes() for file in files] == first


def test_learning_rates_have_a_column_where_they_vary(run: RunMaker, tmp_path: Path) -> None:
    two = {"dpo": {**DPO, "learning_rate": [1e-6, 2e-6]}, "epa": {**EPA, "learning_rate": [1e-6, 2e-6]}}
    folder = run("a", {"dpo-lr1e-06": 0, "epa-lr1e-06": 1, "dpo-lr2e-06": 1, "epa-lr2e-06": 5}, methods=two)
    _group([folder], tmp_path, by="model,beta")
    header, *lines = _table(tmp_path)
    assert header[2] == "Learning rate"
    assert [(line[2], line[4].partition(" ")[0]) for line in lines] == [("1e-06", "+1.25"), ("2e-06", "+5.00")]


def test_a_rerun_is_told_apart_or_refused(run: RunMaker, tmp_path: Path) -> None:
    runs = [run("a", {"dpo": 0, "epa": 2}), run("b", {"dpo": 0, "epa": 4})]
    with pytest.raises(
        ConfigError, match=r"a/dpo and b/dpo would stand on one line.*`epa-bench diff`.*add run to --by"
    ):
        _group(runs, tmp_path)
    assert not (tmp_path / "out.md").exists()
    _group(runs, tmp_path, by="model,data,beta,run")
    assert [line[3] for line in _table(tmp_path)] == ["Run", "a", "b"]


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("model,run", "small/dpo-beta0.05 and small/dpo-beta0.5 .*differ in beta: add one of these"),
        ("model,speed", "expected one or several of model, data, beta, learning_rate, run"),
        ("model,model", "each once"),
        ("", "expected one or several"),
    ],
)
def test_nothing_is_pooled(by: str, message: str, run: RunMaker, tmp_path: Path) -> None:
    betas = {"dpo": {**DPO, "beta": [0.05, 0.5]}}
    with pytest.raises(ConfigError, match=message):
        _group([run("small", {"dpo-beta0.05": 0, "dpo-beta0.5": 1}, methods=betas)], tmp_path, by=by)


def test_two_data_sets_under_one_model_need_data(run: RunMaker, tmp_path: Path) -> None:
    runs = [run("a", {"dpo": 0}), run("b", {"dpo": 0}, data={**FILES, "train": "hh/pairs.jsonl"})]
    with pytest.raises(ConfigError, match="differ in data, run: add one of these"):
        _group(runs, tmp_path, by="model,beta")


def test_one_name_for_different_things_is_completed(run: RunMaker, tmp_path: Path) -> None:
    runs = [
        run("a", {"dpo": 0, "epa": 1}),
        run("b", {"dpo": 0, "epa": 1}, data={**FILES, "train": "hh/train.jsonl"}),
        run("c", {"dpo": 0, "epa": 1}, reference={**CHECKPOINT, "path": "other/tulu-sft"}),
    ]
    _group(runs, tmp_path)
    assert [line[:2] for line in _table(tmp_path)[1:]] == [
        ["tulu-sft (path models/tulu-sft)", "train.jsonl (train hh/train.jsonl)"],
        ["tulu-sft (path models/tulu-sft)", "train.jsonl (train uf/train.jsonl)"],
        ["tulu-sft (path other/tulu-sft)", "train.jsonl (train uf/train.jsonl)"],
    ]


def test_a_checkpoint_that_was_trained_further_is_another_model(run: RunMaker, tmp_path: Path) -> None:
    further = {"reference": {**CHECKPOINT, "sft": {"learning_rate": 2e-5}}}
    _group([run("a", {"dpo": 0}), run("b", {"dpo": 0}, **further)], tmp_path, by="model,beta")
    assert [line[0] for line in _table(tmp_path)[1:]] == ["tulu-sft", "tulu-sft + sft"]


def test_one_method_name_for_two_recipes_has_two_columns(run: RunMaker, tmp_path: Path) -> None:
    runs = [
        run("a", {"dpo": 0, "epa": 1}),
        run(
            "b",
            {"dpo": 0, "epa": 1},
            data={**FILES, "train": "b.jsonl"},
            methods={"dpo": DPO, "epa": {**EPA, "weak": 6}},
        ),
    ]
    assert _group(runs, tmp_path).candidates == ["epa (weak 2)", "epa (weak 6)"]
    assert [[cell.partition(" ")[0] for cell in line[4:6]] for line in _table(tmp_path)[1:]] == [
        ["no", "+1.25"],
        ["+1.25", "no"],
    ]
    other = run("c", {"dpo": 0, "epa": 1}, methods={"dpo": {**DPO, "loss": "ipo"}, "epa": EPA})
    with pytest.raises(ConfigError, match=r"dpo is not the same everywhere \(dpo \(loss dpo\); dpo \(loss ipo\)\)"):
        _group([runs[0], other], tmp_path, by="run")


def test_the_only_baseline_arm_of_a_run_says_which_it_is(run: RunMaker, tmp_path: Path) -> None:
    betas = {"dpo": DPO, "epa": {**EPA, "beta": [0.1, 0.5]}}
    _group([run("a", {"dpo": 0, "epa-beta0.1": 1, "epa-beta0.5": 3}, methods=betas)], tmp_path)
    assert [line[2:4] for line in _table(tmp_path)[1:]] == [["0.1", "1.00"], ["0.5", "1.00 (of beta 0.1)"]]


def test_guards_of_compare_hold(run: RunMaker, tmp_path: Path) -> None:
    first = run("a", {"dpo": 0, "epa": 1}, judge="gpt-4")
    second = run("b", {"dpo": 0, "epa": 1}, judge="llama", data={**FILES, "train": "b.jsonl"})
    with pytest.raises(ConfigError, match="verdicts do not compare"):
        _group([first, second], tmp_path)
    _group([first, second], tmp_path, mix=True)
    assert "MIXED JUDGES" in (tmp_path / "out.md").read_text()
    assert "SET DIFFERENTLY" not in (tmp_path / "out.md").read_text()


def test_a_suite_that_was_set_otherwise_is_said(run: RunMaker, tmp_path: Path) -> None:
    shorter = {"suites": {"chat": {"limit": 10}}, "data": {**FILES, "train": "b.jsonl"}}
    _group([run("a", {"dpo": 0, "epa": 1}), run("b", {"dpo": 0, "epa": 1}, **shorter)], tmp_path)
    text = (tmp_path / "out.md").read_text()
    assert "- chat: SET DIFFERENTLY in the runs" in text
    assert 'b: chat: {"limit": 10}' in text


def test_what_lines_differ_in_and_no_column_shows_is_said(run: RunMaker, tmp_path: Path) -> None:
    """Another split of a step decides nothing, so it is no difference."""
    stronger = {"dpo": {**DPO, "beta": [0.5], "learning_rate": 2e-6}, "epa": {**EPA, "beta": [0.5]}}
    adapters = {"num_train_epochs": 2, "lora": {}, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 8}
    gains = {"dpo": 0.0, "epa": 1.0}
    first = run("a", gains)
    other = run("b", gains, methods=stronger, training=adapters, data={**FILES, "train": "b.jsonl"})
    differently, *_ = _notes(_group([first, other], tmp_path), "DIFFERENTLY")
    assert differently.startswith(
        "Runs are TRAINED DIFFERENTLY, which no column shows: a: training (num_train_epochs 1,"
    )
    assert "b: training (num_train_epochs 2, lora.r 16," in differently
    assert "per_device" not in differently
    hidden = _notes(_group([first, other], tmp_path, by="model,beta"), "DIFFER IN")
    assert hidden == [
        "Lines DIFFER IN data too, which no column shows: a train.jsonl; b b.jsonl.",
        "Lines DIFFER IN learning_rate too, which no column shows: a 1e-06; b 1e-06, 2e-06.",
    ]
    alike = run("c", gains, data={**FILES, "train": "b.jsonl"})
    assert _notes(_group([first, alike], tmp_path), "DIFFER") == []


def _notes(grouped: GroupedBoard, of: str) -> list[str]:
    return [note for note in grouped.board.notes if of in note]


def test_what_has_no_groups_is_refused(run: RunMaker, tmp_path: Path) -> None:
    imported, several = run("imported", {"dpo": 0}), run("several", {"dpo": 0}, table={"baseline": "epa"})
    with pytest.raises(ConfigError, match="the runs' own baselines are dpo, epa: choose one by --baseline"):
        _group([imported, several], tmp_path)
    with pytest.raises(ConfigError, match="with --by it is a METHOD"):
        _group([imported], tmp_path, baseline="*/dpo")
    sweep = json.loads((imported / "sweep.yaml").read_text())
    (imported / "sweep.yaml").write_text(json.dumps({**sweep, "methods": {"epa": EPA}}))
    with pytest.raises(ConfigError, match=r"imported/dpo: in the run's table, and not in its sweep\.yaml"):
        _group([imported], tmp_path, baseline="dpo")
    (imported / "sweep.yaml").unlink()
    with pytest.raises(ConfigError, match=r"no sweep\.yaml in .*compare it without --by"):
        _group([imported], tmp_path)
    (several / "board.json").unlink()
    with pytest.raises(StoreError, match=r"no board\.json"):
        _group([several], tmp_path)


def test_names_are_completed_by_what_differs() -> None:
    settings: dict[int, dict[str, Any]] = {
        1: {"a": {"b": 1, "c": "x"}},
        2: {"a": {"b": 2, "c": "x"}, "d": True},
        3: {"e": 5},
    }
    found = told_apart({1: "m", 2: "m", 3: "n"}, settings)
    assert found == {1: "m (a.b 1, d none)", 2: "m (a.b 2, d true)", 3: "n"}


def test_the_verb_does_without_torch(run: RunMaker, tmp_path: Path) -> None:
    run("a", {"dpo": 0, "epa": 1})
    code = (
        "import sys; from epa_bench.cli import app\n"
        "app(['compare', 'runs/a', '--by', 'model,beta', '--json', '-'], standalone_mode=False)\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert GroupedBoard.model_validate_json(done.stdout).by == ("model", "beta")
    assert (tmp_path / "leaderboards" / "comparison.md").exists()
