"""Shipped sweeps that need hardware or the network, as far as their plan tells: cells, memory, what is missing."""

import json
from collections import Counter
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import pytest

from epa_bench.config.yaml12 import read_document
from epa_bench.core.errors import ConfigError, TrainingError
from epa_bench.models import identity
from epa_bench.pipeline.forecast import Forecast, check_possible, forecast
from epa_bench.pipeline.reference_runs import open_references
from epa_bench.pipeline.run import load_checked, open_run
from epa_bench.suites.registry import registry, shipped_suites, sweep_path

GIB = 2**30

# config.json of Mistral-7B-v0.1 and of Qwen2.5-0.5B.
MISTRAL = {
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 32000,
    "tie_word_embeddings": False,
}
QWEN = {
    "num_hidden_layers": 24,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "vocab_size": 151936,
    "tie_word_embeddings": True,
}


def write_model(folder: Path, config: dict[str, Any], *, biases: bool) -> None:
    """The headers of a Llama-like model's weights in bf16; the weights themselves take no room on disk."""
    hidden, middle = config["hidden_size"], config["intermediate_size"]
    keys = config["num_key_value_heads"] * hidden // config["num_attention_heads"]
    layer = {f"self_attn.{name}_proj.weight": [rows, hidden] for name, rows in (("q", hidden), ("o", hidden))}
    layer |= {f"self_attn.{name}_proj.weight": [keys, hidden] for name in ("k", "v")}
    layer |= {"mlp.gate_proj.weight": [middle, hidden], "mlp.up_proj.weight": [middle, hidden]}
    layer |= {"mlp.down_proj.weight": [hidden, middle], "input_norm.weight": [hidden], "output_norm.weight": [hidden]}
    if biases:
        layer |= {f"self_attn.{name}_proj.bias": [rows] for name, rows in (("q", hidden), ("k", keys), ("v", keys))}
    names = {f"layers.{n}.{name}": shape for n in range(config["num_hidden_layers"]) for name, shape in layer.items()}
    names |= {"embed_tokens.weight": [config["vocab_size"], hidden], "norm.weight": [hidden]}
    if not config["tie_word_embeddings"]:
        names["lm_head.weight"] = [config["vocab_size"], hidden]
    header, end = {}, 0
    for name, shape in names.items():
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + 2 * prod(shape)]}
        end += 2 * prod(shape)
    text = json.dumps(header).encode()
    folder.mkdir()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Forecast]:
    """Plans a shipped sweep on a GPU of some GiB, from a model of that shape."""
    monkeypatch.chdir(tmp_path)
    # To read gigabytes of nothing takes seconds.
    monkeypatch.setattr(identity, "folder_digest", lambda *arguments, **named: "0" * 32)
    for name in ("train", "eval"):
        row = {"prompt": f"say {name}", "chosen": "one", "rejected": "two"}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row) + "\n")

    def of(name: str, config: dict[str, Any], gib: float, *overrides: str) -> Forecast:
        if not (tmp_path / "model").exists():
            write_model(tmp_path / "model", config, biases=config is QWEN)
        given = ["reference.path=model", "data.train=train.jsonl", "data.eval=eval.jsonl", *overrides]
        return forecast(open_run(read_document(sweep_path(name)), given, registry([])), int(gib * GIB))

    return of


def test_half_a_billion_parameters_fit_a_24_gb_gpu(plan: Callable[..., Forecast]) -> None:
    found = plan("half_billion_24gb", QWEN, 22.0)
    assert {training.parameters for training in found.trainings} == {494_032_768}
    assert {training.verdict for training in found.trainings} == {"fits"}
    assert Counter(cell.step for cell in found.cells)["train"] == 5 * 3
    assert sum(cell.step == "decontaminate" for cell in found.cells) == 1


@pytest.mark.parametrize("data", ["", "_all"])
def test_seven_billion_parameters(plan: Callable[..., Forecast], data: str) -> None:
    adapters = plan(f"mistral_7b_ultrafeedback{data}_lora", MISTRAL, 75.0)
    assert {training.parameters for training in adapters.trainings} == {7_241_732_096}
    # Rank 16 on seven layers of each of 32.
    assert {training.trainable for training in adapters.trainings} == {41_943_040}
    assert {training.verdict for training in adapters.trainings} == {"fits"}
    sharded = plan(f"mistral_7b_ultrafeedback{data}_full", MISTRAL, 75.0)
    # Sixteen bytes a parameter, over eight ranks.
    assert {training.certain for training in sharded.trainings} == {16 * 7_241_732_096 // 8}
    assert {training.at_most for training in sharded.trainings} == {None}
    alone = ("training.fsdp=false", "execution.processes=1")
    with pytest.raises(TrainingError, match=r"107\.9 GiB, there are 75\.0 GiB"):
        check_possible(plan(f"mistral_7b_ultrafeedback{data}_full", MISTRAL, 75.0, *alone))
    methods = {arm.arm.split("-")[0] for arm in sharded.trainings}
    assert {"dpo", "epa", "ipo", "nca", "simpo"} <= methods


def test_a_base_model_is_trained_further_first(plan: Callable[..., Forecast], tmp_path: Path) -> None:
    (tmp_path / "chat.jsonl").write_text('{"prompt": "say one", "response": "one"}\n')
    given = ("reference.sft.data.path=chat.jsonl",)
    found = plan("mistral_7b_zephyr", MISTRAL, 75.0, *given)
    check_possible(found.model_copy(update={"disk": found.disk.model_copy(update={"free": 10**15})}))
    assert found.supervised is not None
    assert found.supervised.certain == found.trainings[0].certain == 16 * 7_241_732_096 // 8
    assert found.supervised.checkpoint == 4 * 7_241_732_096
    assert Counter(cell.step for cell in found.cells)["sft"] == 1
    alone = ("reference.sft.fsdp=false", "training.fsdp=false", "execution.processes=1", "training.lora={}")
    with pytest.raises(
        TrainingError, match=r"reference: .* 107\.9 GiB, there are 75\.0 GiB(.|\n)*reference\.sft\.lora"
    ):
        check_possible(plan("mistral_7b_zephyr", MISTRAL, 75.0, *given, *alone))
    poft = ("reference.sft.objective=poft", "aligned={one: {kind: checkpoint, path: model}}")
    steps = Counter(cell.step for cell in plan("mistral_7b_zephyr", MISTRAL, 75.0, *given, *poft).cells)
    assert (steps["sft"], steps["aligned_scores"]) == (1, 1)


def test_the_ablation_shares_the_demos_reference_and_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs = [open_run(read_document(sweep_path(name)), [], registry([])) for name in ("demo", "weak_negatives")]
    assert len({run.cells.preferences.digest for run in runs}) == 1
    demo, ablation = ({cell.digest for cell in (each.cell for each in run.cells.checkpoints) if cell} for run in runs)
    # DPO, and EPA 1:1:2, each with three seeds.
    assert len(demo & ablation) >= 6
    arms = {(arm.strong, arm.weak, arm.weak_source) for arm in runs[1].cells.arms if arm.loss == "epa"}
    assert {(1, w, "both") for w in (1, 2, 4, 8)} < arms
    assert {(1, 2, "chosen"), (1, 2, "rejected"), (0, 2, "both"), (3, 0, "both")} < arms


@pytest.mark.parametrize("path", sorted((shipped_suites() / "sweeps").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_sweep_says_what_is_missing(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    document = read_document(path)
    assert document.data["name"] == path.stem
    if "references" in document.data:
        assert open_references(*load_checked(document, [], registry([]))).needed_cells()
        return
    if document.data["data"]["kind"] == "embedded":
        check_possible(forecast(open_run(document, [], registry([]))))
        return
    with pytest.raises(ConfigError) as caught:
        open_run(document, [], registry([]))
    missing = ["`data.train`", "`data.eval`"]
    missing += ["`reference.path`"] if document.data["reference"]["kind"] == "checkpoint" else []
    missing += ["`reference.sft.data.path`"] if "data" in document.data["reference"].get("sft", {}) else []
    assert f"{len(missing)} problems" in str(caught.value)
    assert all(name in str(caught.value) for name in missing)
