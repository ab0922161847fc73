"""Folders that hold a LoRA adapter instead of whole weights: read and checked without importing torch.

Everything wrong with an adapter that its files tell is found here, before anything runs.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from epa_bench.config.values import HEAD_AND_EMBEDDINGS
from epa_bench.core.errors import CheckpointError

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"

SCRATCH_LAYERS = (
    *(f"self_attn.{name}" for name in ("q_proj", "k_proj", "v_proj", "o_proj")),
    *(f"mlp.{name}" for name in ("gate_proj", "up_proj", "down_proj")),
)
"""The linear layers of each layer of a model trained from scratch, a Llama."""

_READ = {
    *("r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "fan_in_fan_out"),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"),
}
_IGNORED = {
    *("peft_type", "peft_version", "task_type", "auto_mapping", "base_model_name_or_path", "revision"),
    *("inference_mode", "lora_dropout", "init_lora_weights", "megatron_core", "qalora_group_size"),
}
"""Keys of no weight once the adapter is trained; dropout is off here as everywhere. Any other key that is set makes it
more than W + scaling * B A."""

_MATRIX = re.compile(r"base_model\.model\.(?P<layer>.+)\.lora_(?P<matrix>[AB])\.weight")


@dataclass(frozen=True)
class Adapter:
    """A plain LoRA adapter on disk."""

    folder: Path

    settings: Mapping[str, Any]
    """The keys of adapter_config.json that make the adapter what it is, by the names of peft.LoraConfig."""

    base: str
    """What its base is called: a folder or a hub name."""

    revision: str | None
    """Commit of a hub base."""

    layers: Mapping[str, tuple[int, int]]
    """(outputs, inputs) of each layer it changes."""

    @property
    def rank(self) -> int:
        """The largest of its updates; PEFT's default where adapter_config.json sets none."""
        return max(map(int, [self.settings.get("r", 8), *(self.settings.get("rank_pattern") or {}).values()]))


def is_adapter(folder: Path) -> bool:
    """Whether the folder is PEFT's, holding an adapter."""
    return (folder / CONFIG_FILE).is_file()


def tokenizer_folder(folder: Path, base: Path | None) -> Path:
    """Whose tokenizer a checkpoint has: its own; an adapter on `base` may come without one and has its base's then."""
    return folder if base is None or (folder / "tokenizer_config.json").is_file() else base


def read_adapter(folder: Path) -> Adapter:
    """Raises CheckpointError for anything but a LoRA adapter in safetensors that leaves head and embeddings alone."""
    if any(folder.glob("model*.safetensors")):
        raise CheckpointError(
            f"{folder} holds whole weights beside an adapter, so it could be either; move one of them to a folder of "
            "its own"
        )
    config = _read_config(folder / CONFIG_FILE)
    _check_kind(folder, config)
    base, revision = config.get("base_model_name_or_path"), config.get("revision")
    if not base:
        raise CheckpointError(f"{folder}: adapter_config.json names no base; set `base_model_name_or_path`")
    settings = {name: config[name] for name in sorted(_READ) if name in config}
    return Adapter(folder, settings, str(base), revision, _read_layers(folder))


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: expected keys and values")
    return config


def _check_kind(folder: Path, config: dict[str, Any]) -> None:
    kind = config.get("peft_type")
    if kind != "LORA":
        raise CheckpointError(f"{folder} holds a {kind} adapter; only LoRA adapters can be read")
    other = [
        name
        for name, value in config.items()
        if value and name not in _READ | _IGNORED and (name, value) != ("bias", "none")
    ]
    if config.get("init_lora_weights", True) not in (True, False, "gaussian"):
        # PiSSA, OLoRA and their kind start by changing the base.
        other.append("init_lora_weights")
    if other:
        raise CheckpointError(
            f"{folder} holds more than a plain LoRA adapter: adapter_config.json sets {', '.join(other)}. Merge it "
            "into its base with PEFT's `merge_and_unload()`, save that and name its folder."
        )


def _read_layers(folder: Path) -> dict[str, tuple[int, int]]:
    if not (folder / WEIGHTS_FILE).is_file():
        pickled = (folder / "adapter_model.bin").is_file()
        advice = " Pickled weights are not loaded: save the adapter again with `save_pretrained`." if pickled else ""
        raise CheckpointError(f"{folder} holds no {WEIGHTS_FILE}.{advice}")
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in _shapes(folder / WEIGHTS_FILE).items():
        found = _MATRIX.fullmatch(name)
        if found is None:
            raise CheckpointError(
                f"{folder} holds {name}, which is no part of a plain LoRA adapter (head and embeddings included): "
                "expected only lora_A and lora_B. Merge the adapter into its base and name that folder."
            )
        shapes.setdefault(found["layer"], {})[found["matrix"]] = shape
    for layer, matrices in shapes.items():
        if matrices.keys() != {"A", "B"}:
            raise CheckpointError(f"{folder}: expected lora_A and lora_B of {layer}, got only one of them")
        if layer.rpartition(".")[2] in HEAD_AND_EMBEDDINGS:
            raise CheckpointError(f"{folder}: {head_refused(layer)}")
    return {layer: (matrices["B"][0], matrices["A"][-1]) for layer, matrices in shapes.items()}


def head_refused(layer: str) -> str:
    """What to say of an adapter on the output layer or the embeddings."""
    return (
        f"{layer} is the output layer or embeddings, often one and the same weights; an adapter on them is refused, "
        "leave it out of target_modules"
    )


def layer_shapes(folder: Path) -> dict[str, tuple[int, int]]:
    """Name and shape of every weight matrix of a whole checkpoint, from the headers of its files."""
    return {
        name.removesuffix(".weight"): (shape[0], shape[1])
        for name, shape in tensor_shapes(folder).items()
        if name.endswith(".weight") and len(shape) == 2
    }


def tensor_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a whole checkpoint, from the headers of its files. Raises CheckpointError."""
    return {name: shape for path in sorted(folder.glob("*.safetensors")) for name, shape in _shapes(path).items()}


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error


def check_fits(adapter: Adapter, base: Path) -> None:
    """Raises CheckpointError where the base has a layer of that name in another shape.

    Architectures may rename layers when they are loaded, so a name that is not in the files is left to loading.
    """
    shapes = layer_shapes(base)
    for layer, expected in adapter.layers.items():
        # GPT-2's layers stand transposed on disk.
        if layer in shapes and sorted(shapes[layer]) != sorted(expected):
            raise CheckpointError(
                f"the adapter in {adapter.folder} belongs to another base: {layer} is {_by(expected)} there and "
                f"{_by(shapes[layer])} in {base}"
            )


def _by(shape: tuple[int, int]) -> str:
    return f"{shape[0]} x {shape[1]}"


def unmatched(targets: Collection[str], layers: Collection[str]) -> list[str]:
    """The targets that no layer is called, whole or by its last parts, as PEFT matches them."""
    return [target for target in targets if not any(f".{layer}".endswith(f".{target}") for layer in layers)]
