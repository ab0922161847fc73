"""What a checkpoint's digest depends on, and which references cannot be one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from epa_bench.config.schema import CheckpointReference
from epa_bench.core.errors import CheckpointError
from epa_bench.models.checkpoint import save_checkpoint
from epa_bench.models.identity import CheckpointIdentity, identify
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
    with pytest.raises(CheckpointError, match=f"no checkpoint folder at {path}"):
        identity(path, "0" * 40)


def test_a_hub_name_needs_a_revision() -> None:
    with pytest.raises(CheckpointError, match=r"`reference.path: org/name` is a hub name: pin it with"):
        identity("org/name")


def test_offline_a_hub_checkpoint_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match=f"cannot fetch org/name at {'0' * 40}: .*copy the checkpoint to a fol"):
        identity("org/name", "0" * 40)


def test_finding_a_checkpoint_needs_no_torch() -> None:
    program = "import sys, epa_bench.models.identity; assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
