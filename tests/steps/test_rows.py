"""Steps that only read and write rows, run by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from epa_bench.core.cell import Cell
from epa_bench.core.errors import DataError
from epa_bench.core.files import read_records, write_records
from epa_bench.core.records import GeneratedResponse, Record, ReferenceScore, Verdict, prompt_digest
from epa_bench.core.store import CellSpec, Store
from epa_bench.data.embedded.families import make_prompts
from epa_bench.data.sources import source_digest
from epa_bench.steps import preferences_files, values, verdicts
from epa_bench.steps.context import StepContext
from epa_bench.suites.probes import ProbeItem
from epa_bench.suites.values import Value


@pytest.fixture
def cell_of(tmp_path: Path) -> Callable[[str, list[Any]], Cell]:
    """A finished cell with one file of rows."""
    store = Store(tmp_path / "store")

    def make(file: str, rows: list[Record]) -> Cell:
        spec = CellSpec("given", {"number": len(list(store.root.rglob("cell.json")))}, {}, {})
        return store.compute(spec, lambda folder: write_records(folder / file, rows))

    return make


def context(
    folder: Path, config: dict[str, Any], inputs: dict[str, Cell], hints: dict[str, Any] | None = None
) -> StepContext:
    folder.mkdir(exist_ok=True)
    return StepContext(config, hints or {}, inputs, folder, "cpu", lambda done, total: None)


def answer(prompt: str, text: str) -> GeneratedResponse:
    return GeneratedResponse(prompt_id=prompt_digest(prompt), prompt=prompt, text=text, tokens=1, finish="stop")


def no_answer(prompt: str) -> GeneratedResponse:
    return answer(prompt, "").model_copy(update={"finish": "error", "error": "too long"})


def test_verdicts_pair_by_prompt_and_count_a_missing_baseline(
    tmp_path: Path, cell_of: Callable[[str, list[Any]], Cell]
) -> None:
    one, two, three, four, five = make_prompts(5, 0, "evaluation")
    outputs = [answer(one.text, one.answer), answer(two.text, "x"), answer(three.text, "same"), no_answer(four.text)]
    baselines = [answer(three.text, "same"), answer(one.text, "x"), answer(four.text, "x"), no_answer(five.text)]
    outputs.append(answer(five.text, "x"))
    inputs = {"responses": cell_of("responses.jsonl", outputs), "baseline": cell_of("responses.jsonl", baselines)}
    verdicts.run(context(tmp_path / "out", {}, inputs))
    found = read_records(tmp_path / "out" / "verdicts.jsonl", Verdict)
    assert [verdict.prompt_id for verdict in found] == [output.prompt_id for output in outputs]
    assert found[0].preference is not None
    assert found[0].preference > 1.9
    assert found[1].error == "the baseline has no answer"
    assert found[2].preference == 1.5
    assert found[3].error == "no answer of the model: too long"
    assert found[4].error == "no answer of the baseline: too long"


def test_implicit_reward_is_beta_times_the_log_ratio(tmp_path: Path, cell_of: Callable[[str, list[Any]], Cell]) -> None:
    """beta .5; chosen -3 against -5 under the reference, rejected -4 against -4: rewards 1 and 0."""
    items = [
        ProbeItem(prompt=f"p{row}", prompt_id=f"p{row}", row=row, own=own, text="t", gold=1.0 - own)
        for row in range(3)
        for own in range(2)
    ]

    def logps(*numbers: float) -> Cell:
        rows = [ReferenceScore(key=f"{i}", logp=number, tokens=2) for i, number in enumerate(numbers * 3)]
        return cell_of("logps.jsonl", rows)

    inputs = {"probes": cell_of("probes.jsonl", items), "logps": logps(-3, -4), "reference_logps": logps(-5, -4)}
    values.run(context(tmp_path / "out", {"kind": "reward_accuracy", "beta": 0.5, "limit": 2}, inputs))
    found = read_records(tmp_path / "out" / "values.jsonl", Value)
    margins = {row.prompt_id: row.value for row in found if row.metric == "margin"}
    # The limit takes the first rows.
    assert margins == {"p0": 1.0, "p1": 1.0}


def test_file_that_changes_under_the_run_is_not_filed_under_its_old_digest(tmp_path: Path) -> None:
    for name in ("train", "eval"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"prompt": "p", "chosen": name, "rejected": "r"}) + "\n")
    hints = {name: str(tmp_path / f"{name}.jsonl") for name in ("train", "eval")}
    settings = {
        name: {"digest": source_digest(path, None, ""), "split": "", "revision": None, "limit": None}
        for name, path in hints.items()
    }
    config = {**settings, "invalid_rows": "error"}
    preferences_files.run(context(tmp_path / "out", config, {}, hints))
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["train"]["rows"] == 1

    (tmp_path / "eval.jsonl").write_text(json.dumps({"prompt": "p", "chosen": "other", "rejected": "r"}) + "\n")
    with pytest.raises(DataError, match=r"eval.jsonl changed while the sweep was running"):
        preferences_files.run(context(tmp_path / "out", config, {}, hints))
