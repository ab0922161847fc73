"""Sweeps that train adapters, and sweeps from a reference that is one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from epa_bench.config.yaml12 import load_document
from epa_bench.core.store import CellSpec
from epa_bench.pipeline.cells import in_order
from epa_bench.pipeline.run import open_run, stage_cells
from epa_bench.suites.registry import registry

if TYPE_CHECKING:
    from tests.conftest import Workplace

LORA = {"r": 4, "lora_alpha": 16}
ARMS = ("dpo", "epa-1-1-2")


def cells_of(place: "Workplace", *settings: str) -> dict[str, CellSpec]:
    """Label -> every cell of the sweep, nothing of it run."""
    text = (place.folder / "mini.yaml").read_text()
    run = open_run(load_document(text, "mini.yaml"), [f"output.folder={place.folder}", *settings], registry())
    return {cell.label: cell for cell in in_order(stage_cells(run, "score"))}


def rows_of(place: "Workplace", pattern: str) -> list[dict[str, Any]]:
    (file,) = place.folder.glob(pattern)
    return [json.loads(line) for line in file.read_text().splitlines()]


def trained_by(place: "Workplace") -> str:
    """What the table says of the trainings."""
    board = json.loads((place.folder / "runs/mini/board.json").read_text())
    (said,) = [note for note in board["notes"] if note.startswith("Training: ")]
    return str(said)


def test_only_what_follows_a_training_is_another_cell(workplace: "Workplace") -> None:
    full = cells_of(workplace)
    lora = cells_of(workplace, "training.lora={r: 4}")
    assert full.keys() == lora.keys()
    same = {label for label in full if full[label].digest == lora[label].digest}
    assert same >= {"reference (SFT)", "reference log-probs", "responses reference", "logps reference", "probe set"}
    assert {label for label in full if "seed 1" in label and "plan" not in label}.isdisjoint(same)
    # Of a sweep without adapters nothing says that there could be any.
    for cell in full.values():
        assert "lora" not in json.dumps(cell.recipe())
        assert "peft" not in cell.versions
    assert "peft" in lora["train dpo, seed 1"].versions


def test_a_default_written_out_is_the_same_cell(workplace: "Workplace") -> None:
    short = cells_of(workplace, "training.lora={}")
    long = cells_of(workplace, "training.lora={r: 16, lora_alpha: 32, target_modules: all-linear, use_rslora: false}")
    assert {label: cell.digest for label, cell in short.items()} == {label: cell.digest for label, cell in long.items()}
    other = cells_of(workplace, "training.lora={lora_alpha: 16}")
    assert other["train dpo, seed 1"].digest != short["train dpo, seed 1"].digest


def test_a_sweep_of_adapters(
    workplace: "Workplace", write_rows: Callable[..., None], file_sweep: dict[str, Any]
) -> None:
    write_rows()
    rates = {f"methods.{method}.learning_rate": 2e-2 for method in ARMS}
    workplace.write({**file_sweep, **rates, "training.lora": LORA})
    workplace.finish()
    (reference,) = workplace.store.glob("cells/reference/*")
    folders = sorted(workplace.store.glob("cells/train/*/model"))
    assert len(folders) == len(ARMS)
    for folder in folders:
        assert (folder / "adapter_model.safetensors").is_file()
        assert not (folder / "model.safetensors").exists()
        config = json.loads((folder / "adapter_config.json").read_text())
        assert (config["base_model_name_or_path"], config["r"]) == (reference.name, 4)
        assert json.loads((folder / "epa_bench.json").read_text())["reference"] == reference.name
    rows = rows_of(workplace, "runs/mini/rows.jsonl")
    # Scored as trained: of the reference every margin would be zero.
    rows = [row for row in rows if (row["suite"], row["metric"]) == ("reward_accuracy", "margin")]
    margins = {arm: [row["value"] for row in rows if row["arm"] == arm] for arm in ARMS}
    assert all(len(values) == 12 and all(values) for values in margins.values())
    assert margins["dpo"] != margins["epa-1-1-2"]
    # And answers as trained.
    answers = {path.read_bytes() for path in workplace.store.glob("cells/responses/*/responses.jsonl")}
    assert len(answers) == 1 + len(ARMS)
    assert_scores_are_those_of_peft(workplace, reference / "model")
    assert 'float32, LoRA {"lora_alpha": 16, "r": 4' in trained_by(workplace)


def assert_scores_are_those_of_peft(place: "Workplace", base: Path) -> None:
    """A trained cell as a user loads it: transformers and PEFT, nothing of ours but the text."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from epa_bench.data.chat import Renderer
    from tests.tiny import plain_logp

    item = rows_of(place, "runs/store/cells/probes/*/probes.jsonl")[0]
    found = 0
    for manifest in place.store.glob("cells/logps/*/cell.json"):
        inputs = json.loads(manifest.read_text())["recipe"]["inputs"]
        if "checkpoint" not in inputs:
            continue
        folder = place.store / "cells" / "train" / inputs["checkpoint"] / "model"
        policy: Any = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(folder))
        renderer = Renderer(AutoTokenizer.from_pretrained(folder), template="chat", max_length=96)
        with torch.no_grad():
            expected = plain_logp(policy, renderer.encode(item["prompt"], item["text"])).item()
        (first, *_) = (manifest.parent / "logps.jsonl").read_text().splitlines()
        assert json.loads(first)["logp"] == pytest.approx(expected, rel=1e-4)
        found += 1
    assert found == len(ARMS)


def test_from_an_adapter_with_and_without_training_one(
    workplace: "Workplace",
    write_rows: Callable[..., None],
    file_sweep: dict[str, Any],
    save_adapter: Callable[[], Path],
) -> None:
    write_rows()
    folder = save_adapter()
    adapter = (folder / "adapter_model.safetensors").read_bytes()
    sweep = {
        **file_sweep,
        "reference": {"kind": "checkpoint", "path": "my-adapter"},
        "methods.epa-1-1-2": None,
        "suites.generation": None,
    }
    workplace.write(sweep)
    workplace.finish()
    (full,) = workplace.store.glob("cells/train/*")
    assert (full / "model" / "model.safetensors").exists()

    workplace.write({**sweep, "training.lora": {}})
    workplace.finish()
    (copied,) = set(workplace.store.glob("cells/train/*")) - {full}
    assert "float32, a copy of the reference's LoRA adapter, on cpu" in trained_by(workplace)
    config = json.loads((copied / "model" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["target_modules"]) == (2, 8, ["q_proj", "v_proj"])
    assert (copied / "model" / "adapter_model.safetensors").read_bytes() != adapter
    assert (folder / "adapter_model.safetensors").read_bytes() == adapter
    for cell in (full, copied):
        first = json.loads((cell / "training_log.jsonl").read_text().splitlines()[0])
        assert first["rewards/chosen"] == pytest.approx(0, abs=1e-5)

    # Each was scored as it was trained.
    scored = [json.loads(path.read_text()) for path in workplace.store.glob("cells/reference_scores/*/cell.json")]
    assert {cell["recipe"]["config"].get("beside_base") for cell in scored} == {None, True}

    before = workplace.cells()
    # By content: the same adapter on the same base, both elsewhere, is the same reference.
    (workplace.folder / "my-sft").rename(workplace.folder / "base")
    path = folder / "adapter_config.json"
    path.write_text(path.read_text().replace('"my-sft"', '"base"'))
    folder.rename(workplace.folder / "moved")
    workplace.finish("mini.yaml", "--set", "reference.path=moved")
    assert workplace.cells() == before
