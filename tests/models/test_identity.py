"""What a checkpoint's digest depends on, and which references cannot be one."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from epa_bench.config.lora import Lora
from epa_bench.config.schema import CheckpointReference
from epa_bench.core.digest import folder_digest
from epa_bench.core.errors import CheckpointError
from epa_bench.models.adapters import add_adapter, save_adapter
from epa_bench.models.checkpoint import save_checkpoint
from epa_bench.models.identity import CONTENT, CheckpointIdentity, identify
from tests.tiny import tiny_model, tiny_tokenizer


def identity(path: Path | str, revision: str | None = None) -> CheckpointIdentity:
    return identify(CheckpointReference(kind="checkpoint", path=str(path), revision=revision))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "model", tiny_model(0), tiny_tokenizer(), {})
    return tmp_path / "model"


def test_time_and_place_do_not_count(checkpoint: Path, tmp_path: Path) -> None:
    before = identity(checkpoint)
    assert before.path == checkpoint
    for path in checkpoint.iterdir():
        os.utime(path, (0, 0))
    moved = shutil.copytree(checkpoint, tmp_path / "elsewhere" / "copy")
    assert identity(checkpoint).digest == before.digest
    assert identity(moved) == CheckpointIdentity(moved, before.digest)


def test_one_changed_weight_is_another_checkpoint(checkpoint: Path) -> None:
    before = identity(checkpoint).digest
    tensors = load_file(checkpoint / "model.safetensors")
    weight = tensors["model.norm.weight"]
    weight[0] = torch.nextafter(weight[0], torch.tensor(2.0))
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    assert identity(checkpoint).digest != before


@pytest.mark.parametrize(
    "name",
    ["config.json", "tokenizer.json", "chat_template.jinja", "spiece.model", "qwen.tiktoken", "modeling_mine.py"],
)
def test_what_decides_the_answers_counts(checkpoint: Path, name: str) -> None:
    before = identity(checkpoint).digest
    with (checkpoint / name).open("a") as file:
        file.write(" ")
    assert identity(checkpoint).digest != before


@pytest.mark.parametrize("name", ["README.md", "pytorch_model.bin", "training_args.bin"])
def test_what_is_not_read_does_not(checkpoint: Path, name: str) -> None:
    before = identity(checkpoint).digest
    (checkpoint / name).write_text("x")
    assert identity(checkpoint).digest == before


def test_pickled_weights_alone_are_refused(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"holds no \*.safetensors weights. Pickled weights are not loaded"):
        identity(checkpoint)


def test_a_folder_without_configuration_is_refused(checkpoint: Path) -> None:
    (checkpoint / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"holds no config.json"):
        identity(checkpoint)


@pytest.mark.parametrize("path", ["/nowhere/at/all", "./missing", "~/missing", "missing", "a/b/c"])
def test_a_missing_folder_is_not_taken_for_a_hub_name(path: str) -> None:
    with pytest.raises(CheckpointError, match=f"no checkpoint folder at {path}.*relative paths start at"):
        identity(path, "0" * 40)


def test_a_hub_name_needs_a_revision() -> None:
    with pytest.raises(CheckpointError, match=r"`reference.path`: org/name is a hub name: pin it with"):
        identity("org/name")


def test_offline_a_hub_checkpoint_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match=f"cannot fetch org/name at {'0' * 40}: .*copy the checkpoint to a fol"):
        identity("org/name", "0" * 40)


# An adapter, of which the base is part


@pytest.fixture
def adapter(checkpoint: Path, tmp_path: Path) -> Path:
    """On `checkpoint`, which it names by its whole path."""
    policy = add_adapter(tiny_model(0), Lora(), seed=1)
    save_adapter(tmp_path / "adapter", policy, tiny_tokenizer(), base=str(checkpoint), identity={})
    return tmp_path / "adapter"


def set_base(adapter: Path, base: str, revision: str | None = None) -> None:
    path = adapter / "adapter_config.json"
    config = {**json.loads(path.read_text()), "base_model_name_or_path": base, "revision": revision}
    path.write_text(json.dumps(config))


def change_a_weight(file: Path) -> None:
    tensors = load_file(file)
    weight = next(iter(tensors.values()))
    weight[0] = torch.nextafter(weight[0], torch.tensor(2.0))
    save_file(tensors, file, metadata={"format": "pt"})


def test_an_adapter_is_found_with_its_base(checkpoint: Path, adapter: Path) -> None:
    found = identity(adapter)
    assert (found.path, found.base) == (adapter, checkpoint)
    assert found.digest not in (identity(checkpoint).digest, folder_digest(adapter, CONTENT))


def test_what_the_base_is_called_does_not_count(
    checkpoint: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole, from the adapter's own folder, or from here as PEFT takes it."""
    before = identity(adapter)
    set_base(adapter, "../model")
    assert identity(adapter).digest == before.digest
    (tmp_path / "here").mkdir()
    checkpoint.rename(tmp_path / "here" / "renamed")
    monkeypatch.chdir(tmp_path / "here")
    set_base(adapter, "renamed")
    assert identity(adapter) == CheckpointIdentity(adapter, before.digest, Path("renamed"))


@pytest.mark.parametrize("file", ["model/model.safetensors", "adapter/adapter_model.safetensors"])
def test_a_weight_of_either_counts(adapter: Path, tmp_path: Path, file: str) -> None:
    before = identity(adapter).digest
    change_a_weight(tmp_path / file)
    assert identity(adapter).digest != before


def test_the_settings_of_an_adapter_count(adapter: Path) -> None:
    before = identity(adapter).digest
    path = adapter / "adapter_config.json"
    path.write_text(path.read_text().replace('"lora_alpha": 32', '"lora_alpha": 33'))
    assert identity(adapter).digest != before


def test_a_base_that_is_not_there(adapter: Path) -> None:
    set_base(adapter, "../elsewhere")
    with pytest.raises(
        CheckpointError, match=r"`base_model_name_or_path` in .*adapter_config.json: no checkpoint folder at ../elsewh"
    ):
        identity(adapter)


@pytest.mark.parametrize("revision", [None, "main"])
def test_a_base_on_the_hub_needs_a_commit(adapter: Path, revision: str | None) -> None:
    set_base(adapter, "org/base", revision)
    with pytest.raises(CheckpointError, match=r"org/base is a hub name: pin it there with `\"revision\": \"COMMIT\"`"):
        identity(adapter)


def test_a_base_on_the_hub_is_looked_up_at_its_commit(
    adapter: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    set_base(adapter, "org/base", "1" * 40)
    with pytest.raises(CheckpointError, match=f"cannot fetch org/base at {'1' * 40}"):
        identity(adapter)


def test_an_adapter_on_an_adapter_is_refused(adapter: Path, tmp_path: Path) -> None:
    upper = shutil.copytree(adapter, tmp_path / "upper")
    set_base(upper, str(adapter))
    with pytest.raises(CheckpointError, match="is an adapter itself; merge that one first"):
        identity(upper)


def test_an_adapter_of_another_shape_is_refused(adapter: Path, checkpoint: Path) -> None:
    tensors = load_file(checkpoint / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"] = torch.zeros(100, 64)
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"belongs to another base: model.layers.1.mlp.up_proj is 96 x 64 there"):
        identity(adapter)


def test_finding_a_checkpoint_needs_no_torch() -> None:
    program = "import sys, epa_bench.models.identity; assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
