"""What acquisition asks of a model. No torch here.

Shape suffixes: N rows of the pool, C classes, D hidden size.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from epa_bench.core.errors import ConfigError

Array = NDArray[np.float32]
_RowT = TypeVar("_RowT")

Layer = int | Literal["middle", "head"]


@dataclass(frozen=True, slots=True)
class VapSettings:
    """How a virtual adversarial perturbation is computed (Miyato et al. 2018, arXiv 1704.03976)."""

    layer: Layer = "middle"
    """Whose input is perturbed: a block, counted from 0 as transformers' `hidden_states` are; `middle`, block L // 2 of
    L; or `head`, the last linear layer, where all perturbations of C classes lie in C - 1 dimensions."""

    iterations: int = 1
    """Power iterations; of texts only, a pair's direction is known without any."""

    xi: float = 0.1
    """Length of the finite difference. In fp32 rounding swallows lengths far below 1e-2."""

    unit: bool = False
    """Unit vectors: the direction without its magnitude, which is where the uncertainty is."""

    def __post_init__(self) -> None:
        if self.iterations < 1 or not 0 < self.xi < float("inf"):
            raise ConfigError(
                f"expected 1 or more power iterations and a finite xi above 0, got {self.iterations} and {self.xi:g}"
            )


def parse_layer(text: str) -> Layer:
    """A layer as it is written on the command line. Raises ConfigError."""
    if text.isdecimal():
        return int(text)
    if text == "middle":
        return "middle"
    if text == "head":
        return "head"
    raise ConfigError(f"expected a layer: a number from 0, `middle` or `head`, got {text!r}")


class AcquisitionModel(Protocol[_RowT]):
    """A model of one kind of rows, in evaluation mode. Rows are independent of each other, up to rounding."""

    def probabilities(self, rows: list[_RowT]) -> Array:
        """[N, C], each row a distribution."""

    def features(self, rows: list[_RowT]) -> Array:
        """[N, D], hidden states."""

    def gradients(self, rows: list[_RowT]) -> Array:
        """[N, ...], BADGE's: of the loss at the model's own most probable label, with respect to its last layer."""

    def perturbations(self, rows: list[_RowT], settings: VapSettings, seed: int) -> Array:
        """[N, D]. All rows start from the same direction, drawn by `seed`: equal rows get equal perturbations."""
