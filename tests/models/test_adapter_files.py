"""Which adapter folders are refused, all of it found out without torch."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import IA3Config, LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from epa_bench.core.errors import CheckpointError
from epa_bench.models.adapter_files import SCRATCH_LAYERS, check_fits, layer_shapes, read_adapter, unmatched
from epa_bench.models.checkpoint import save_checkpoint
from tests.tiny import tiny_model, tiny_tokenizer

LAYER = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """As PEFT itself saves one."""
    return save_with_peft(
        tmp_path / "adapter", r=4, lora_alpha=8, lora_dropout=0.1, target_modules=["q_proj", "up_proj"]
    )


def save_with_peft(folder: Path, **settings: Any) -> Path:
    get_peft_model(tiny_model(0), LoraConfig(task_type="CAUSAL_LM", **settings)).save_pretrained(str(folder))
    set_config(folder, base_model_name_or_path="my-base")
    return folder


def set_config(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def set_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def test_the_rank_is_the_largest(adapter: Path, tmp_path: Path) -> None:
    assert read_adapter(adapter).rank == 4
    uneven = save_with_peft(tmp_path / "uneven", r=4, rank_pattern={"q_proj": 12}, target_modules=["q_proj", "up_proj"])
    assert read_adapter(uneven).rank == 12
    set_config(uneven, rank_pattern=None)
    assert read_adapter(uneven).rank == 4


def test_what_is_read(adapter: Path) -> None:
    found = read_adapter(adapter)
    assert (found.base, found.revision) == ("my-base", None)
    assert {name: found.settings[name] for name in ("r", "lora_alpha", "use_rslora")} == {
        "r": 4,
        "lora_alpha": 8,
        "use_rslora": False,
    }
    assert set(found.settings["target_modules"]) == {"q_proj", "up_proj"}
    # Dropout is no part of what the adapter is.
    assert "lora_dropout" not in found.settings
    assert found.layers == {
        f"model.layers.{i}.{name}": shape
        for i in range(2)
        for name, shape in (("self_attn.q_proj", (64, 64)), ("mlp.up_proj", (96, 64)))
    }


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"use_dora": True}, "sets use_dora"),
        ({"bias": "all"}, "sets bias"),
        ({"modules_to_save": ["lm_head"]}, "sets modules_to_save"),
        ({"modules_to_save": ["norm"]}, "sets modules_to_save"),
        ({"trainable_token_indices": [1]}, "sets trainable_token_indices"),
        ({"init_lora_weights": "pissa"}, "sets init_lora_weights"),
        ({"layer_replication": [[0, 1], [0, 2]]}, "sets layer_replication"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_more_than_plain_lora_is_refused(tmp_path: Path, settings: dict[str, Any], what: str) -> None:
    folder = save_with_peft(tmp_path, target_modules=["q_proj"], **settings)
    with pytest.raises(CheckpointError, match=rf"holds more than a plain LoRA adapter: .*{what}.*merge_and_unload"):
        read_adapter(folder)


def test_another_kind_of_adapter_is_refused(tmp_path: Path) -> None:
    get_peft_model(tiny_model(0), IA3Config(task_type="CAUSAL_LM")).save_pretrained(str(tmp_path))
    with pytest.raises(CheckpointError, match="holds a IA3 adapter; only LoRA adapters can be read"):
        read_adapter(tmp_path)


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens"])
def test_an_adapter_on_head_or_embeddings_is_refused(tmp_path: Path, target: str) -> None:
    """PEFT then saves the weights of both as well; a head alone is refused by its name."""
    folder = save_with_peft(tmp_path, target_modules=["q_proj", target])
    with pytest.raises(CheckpointError, match=r"which is no part of a plain LoRA adapter \(head and embeddings"):
        read_adapter(folder)
    if target == "lm_head":
        set_tensors(folder, lambda tensors: [tensors.pop(name) for name in list(tensors) if "lora_" not in name])
        with pytest.raises(CheckpointError, match=r"lm_head is the output layer or embeddings.* refused"):
            read_adapter(folder)


def _pickle(folder: Path) -> None:
    torch.save(load_file(folder / "adapter_model.safetensors"), folder / "adapter_model.bin")
    (folder / "adapter_model.safetensors").unlink()


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (_pickle, "holds no adapter_model.safetensors. Pickled weights are not loaded"),
        (lambda folder: (folder / "adapter_model.safetensors").unlink(), r"holds no adapter_model.safetensors.$"),
        (lambda folder: (folder / "adapter_model.safetensors").write_bytes(b"no weights"), "cannot read .*safetensors"),
        (lambda folder: (folder / "adapter_config.json").write_text("{"), "cannot read .*adapter_config.json"),
        (lambda folder: (folder / "adapter_config.json").write_text("[]"), "expected keys and values"),
        (lambda folder: set_config(folder, base_model_name_or_path=None), "names no base"),
        (lambda folder: (folder / "model.safetensors").touch(), "holds whole weights beside an adapter"),
        (
            lambda folder: set_tensors(folder, lambda tensors: tensors.pop(f"{LAYER}.lora_B.weight")),
            r"expected lora_A and lora_B of model.layers.0.self_attn.q_proj, got only one",
        ),
    ],
)
def test_a_broken_adapter_is_refused(adapter: Path, damage: Callable[[Path], object], what: str) -> None:
    damage(adapter)
    with pytest.raises(CheckpointError, match=what):
        read_adapter(adapter)


def test_an_adapter_for_another_base_is_refused(adapter: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    save_checkpoint(base, tiny_model(0), tiny_tokenizer(), {})
    check_fits(read_adapter(adapter), base)

    def widen(tensors: dict[str, torch.Tensor]) -> None:
        tensors[f"{LAYER}.lora_A.weight"] = torch.zeros(4, 128)

    set_tensors(adapter, widen)
    with pytest.raises(
        CheckpointError, match=r"belongs to another base: model.layers.0.self_attn.q_proj is 64 x 128 there and 64 x 64"
    ):
        check_fits(read_adapter(adapter), base)


def test_layers_are_named_by_whole_parts() -> None:
    layers = ["model.layers.0.self_attn.q_proj", "model.layers.10.self_attn.q_proj"]
    assert unmatched(["q_proj", "self_attn.q_proj", "0.self_attn.q_proj", layers[1]], layers) == []
    assert unmatched(["proj", "attn.q_proj", "self_attn", "layers.0.self_attn.q_proj.x"], layers) == [
        "proj",
        "attn.q_proj",
        "self_attn",
        "layers.0.self_attn.q_proj.x",
    ]


def test_layers_of_a_scratch_model_are_those_its_files_hold(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, tiny_model(0), tiny_tokenizer(), {})
    expected = {f"model.layers.{i}.{name}" for i in range(2) for name in SCRATCH_LAYERS}
    assert layer_shapes(tmp_path).keys() == expected | {"model.embed_tokens"}


def test_reading_an_adapter_needs_no_torch(adapter: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "base", tiny_model(0), tiny_tokenizer(), {})
    program = f"""
import sys
from pathlib import Path
from epa_bench.models.adapter_files import check_fits, read_adapter
check_fits(read_adapter(Path({str(adapter)!r})), Path({str(tmp_path / "base")!r}))
assert not {{"torch", "transformers", "peft"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
