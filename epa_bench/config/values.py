"""The value types of the sweep file: what a number, a name, a seed or a list of the grid may be."""

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from epa_bench.core.records import Finite

_T = TypeVar("_T")

Positive = Annotated[Finite, Field(gt=0)]
Fraction = Annotated[Finite, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=80)]
"""Names become file and folder names: lower case, digits, `_`, `.` and `-`, so that none leads out of its folder."""

Commit = Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
"""A branch or a tag can move."""

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""What numpy's global generator takes, which transformers seeds along with torch's."""


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _distinct(values: tuple[_T, ...]) -> tuple[_T, ...]:
    """Not `min_length`, which also complains of a list whose only value has a wrong type."""
    if not values or len(set(values)) < len(values):
        raise ValueError("expected one or more values, all different")
    return values


Grid = Annotated[tuple[_T, ...], BeforeValidator(_as_tuple), AfterValidator(_distinct)]
"""One value or a list of them; lists multiply into the sweep's grid."""

Listed = Annotated[tuple[_T, ...], BeforeValidator(_as_tuple)]
"""One value or a list of them, which may be empty."""

ALL_LINEAR = "all-linear"
"""PEFT's word for every linear layer but the output layer."""


HEAD_AND_EMBEDDINGS = ("lm_head", "embed_out", "embed_tokens", "embed_in", "word_embeddings", "wte", "wpe")
"""What architectures call their output layer and embeddings; by any other name `models.adapters` finds them."""


def _adaptable(layers: tuple[str, ...]) -> tuple[str, ...]:
    if ALL_LINEAR in layers and len(layers) > 1:
        raise ValueError(f"expected {ALL_LINEAR} or names of layers, not both")
    if refused := [layer for layer in layers if layer.rpartition(".")[2] in HEAD_AND_EMBEDDINGS]:
        raise ValueError(f"an adapter on the output layer or embeddings ({refused[0]}) is refused; leave it out")
    return layers


Layers = Annotated[tuple[str, ...], BeforeValidator(_as_tuple), AfterValidator(_distinct), AfterValidator(_adaptable)]
"""`all-linear`, or one or more names of layers."""

Seeds = Annotated[tuple[Seed, ...], AfterValidator(_distinct)]


def conflict(message: str, *keys: str) -> PydanticCustomError:
    """What is wrong with several keys of a model together; reported wherever one of them is given."""
    return PydanticCustomError("conflict", "{message}", {"message": message, "keys": keys})
