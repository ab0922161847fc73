"""Reading and moving the states that go into a layer of a transformers model.

Shapes: N sequences, T tokens, D hidden size.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from epa_bench.core.errors import CheckpointError, ConfigError
from epa_bench.models.logprobs import language_model


def layer_module(model: nn.Module, layer: int | str) -> nn.Module:
    """The module whose input is meant: a block (from 0), the `middle` one, or the `head`, the last linear layer.

    Raises ConfigError for a block that is not there, CheckpointError for an architecture whose layers are not found.
    """
    inner: Any = language_model(model)
    if layer == "head":
        return _head(inner)
    count = inner.config.get_text_config().num_hidden_layers
    blocks = [each for each in inner.modules() if isinstance(each, nn.ModuleList) and len(each) == count]
    if not blocks:
        raise CheckpointError(f"{type(inner).__name__} has no list of {count} layers, so none can be perturbed")
    index = count // 2 if layer == "middle" else layer
    if not isinstance(index, int) or not 0 <= index < count:
        raise ConfigError(f"expected a layer from 0 to {count - 1}, `middle` or `head`, got {layer}")
    return blocks[0][index]


def _head(inner: Any) -> nn.Module:
    """Of a language model its output layer, of a classifier the last linear layer with an output a class."""
    found = inner.get_output_embeddings() if hasattr(inner, "get_output_embeddings") else None
    if isinstance(found, nn.Linear):
        return found
    layers = [each for each in inner.modules() if isinstance(each, nn.Linear)]
    fitting = [each for each in layers if each.out_features == inner.config.num_labels]
    if not fitting:
        raise CheckpointError(f"{type(inner).__name__} does not end in a linear layer, so its input is not known")
    return fitting[-1]


@contextmanager
def shifted(module: nn.Module, shift_ND: Tensor) -> Iterator[None]:
    """Inside, every state that goes into `module` is moved by its sequence's shift."""

    def move(states: Tensor) -> Tensor:
        return states + (shift_ND if states.dim() == 2 else shift_ND[:, None, :])

    with _hooked(module, move):
        yield


@contextmanager
def kept(module: nn.Module) -> Iterator[list[Tensor]]:
    """Inside, what goes into `module` is kept."""
    states: list[Tensor] = []

    def keep(given: Tensor) -> Tensor:
        states.append(given)
        return given

    with _hooked(module, keep):
        yield states


@contextmanager
def _hooked(module: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if args:
            return (change(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}

    handle = module.register_forward_pre_hook(before, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def start_direction(dimensions: int, seed: int, device: torch.device) -> Tensor:
    """[D], a unit vector drawn by `seed`: where all rows' perturbations start."""
    drawn_D = torch.randn(dimensions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    unit_D: Tensor = drawn_D / drawn_D.norm()
    return unit_D.float().to(device)
