"""A model's sizes before it is loaded: from the sweep, or from config.json and the headers of its weight files."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path

from epa_bench.config.lora import Lora
from epa_bench.config.schema import ScratchModel
from epa_bench.config.values import ALL_LINEAR, HEAD_AND_EMBEDDINGS
from epa_bench.core.errors import CheckpointError
from epa_bench.models.adapter_files import SCRATCH_LAYERS, layer_shapes, tensor_shapes, unmatched
from epa_bench.training.estimate import ModelShape


@dataclass(frozen=True)
class KnownModel:
    """What is known of a model that is not loaded."""

    parameters: int
    layers: dict[str, tuple[int, int]]
    """Shape of every weight matrix, by name."""

    shape: ModelShape | None
    """None where config.json does not call its sizes as Llama's does; activations are then not known."""

    adapter: int | None = None
    """Parameters of the adapter that the model is, beside its base's; None for whole weights."""

    def trainable(self, lora: Lora | None) -> int:
        """Parameters that are trained: all, those of a new adapter, or those of a copied one."""
        if lora is None:
            return self.parameters
        if self.adapter is not None:
            return self.adapter
        recipe = lora.recipe()
        shapes = _targeted(self.layers, recipe["target_modules"])
        return sum(recipe["r"] * (rows + columns) for rows, columns in shapes)


def scratch_model(model: ScratchModel, device: str) -> KnownModel:
    """A Llama with tied embeddings and as many key heads as heads; its vocabulary may turn out smaller."""
    hidden, intermediate = model.hidden_size, model.intermediate_size
    matrices = {name: (hidden, hidden) for name in SCRATCH_LAYERS}
    matrices |= {f"mlp.{name}": (intermediate, hidden) for name in ("gate_proj", "up_proj")}
    matrices["mlp.down_proj"] = (hidden, intermediate)
    layers = {f"{n}.{name}": shape for n in range(model.num_hidden_layers) for name, shape in matrices.items()}
    norms = (2 * model.num_hidden_layers + 1) * hidden
    parameters = model.vocab_size * hidden + sum(map(prod, layers.values())) + norms
    shape = ModelShape(
        parameters=parameters,
        trainable=parameters,
        layers=model.num_hidden_layers,
        hidden=hidden,
        intermediate=intermediate,
        keys_values=hidden,
        vocabulary=model.vocab_size,
        device=device,
    )
    return KnownModel(parameters, layers, shape)


def checkpoint_model(folder: Path, base: Path | None, device: str) -> KnownModel:
    """`base`: where `folder` holds an adapter, its base. Raises CheckpointError for files that cannot be read."""
    whole = folder if base is None else base
    parameters = _count(whole)
    adapter = None if base is None else _count(folder)
    return KnownModel(parameters, layer_shapes(whole), _shape(whole / "config.json", parameters, device), adapter)


def _count(folder: Path) -> int:
    return sum(map(prod, tensor_shapes(folder).values()))


def _shape(path: Path, parameters: int, device: str) -> ModelShape | None:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
    # A model of text and images keeps its language model's sizes below.
    config = config.get("text_config", config)
    names = ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size")
    if not all(isinstance(config.get(name), int) for name in names):
        return None
    layers, hidden, heads, vocabulary = (config[name] for name in names)
    return ModelShape(
        parameters=parameters,
        trainable=parameters,
        layers=layers,
        hidden=hidden,
        intermediate=config.get("intermediate_size") or 4 * hidden,
        keys_values=(config.get("num_key_value_heads") or heads) * (config.get("head_dim") or hidden // heads),
        vocabulary=vocabulary,
        device=device,
    )


def _targeted(layers: dict[str, tuple[int, int]], targets: list[str]) -> Iterable[tuple[int, int]]:
    adaptable = {name: shape for name, shape in layers.items() if name.rpartition(".")[2] not in HEAD_AND_EMBEDDINGS}
    if targets == [ALL_LINEAR]:
        return adaptable.values()
    return [shape for name, shape in adaptable.items() if len(unmatched(targets, [name])) < len(targets)]
