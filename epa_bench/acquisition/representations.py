"""The representations by name: what of a row decides whether it is chosen. A new one is a function and a line here.

Shape suffixes: N rows, C classes, D dimensions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from epa_bench.acquisition.model import AcquisitionModel, Array, VapSettings
from epa_bench.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Representation:
    """A representation of the table."""

    name: str
    summary: str
    source: str

    kind: Literal["none", "score", "vector"]
    """`score`: a number a row, [N], the higher the sooner it is labelled; `vector`: [N, D]; `none`: nothing."""

    of: Callable[[AcquisitionModel[Any], list[Any], VapSettings, int], Array] | None
    """(model, rows, settings, seed) -> the representation; None where no model is asked."""

    selector: str
    """By default."""


def _entropy(model: AcquisitionModel[Any], rows: list[Any], settings: VapSettings, seed: int) -> Array:
    """-sum_c p_c log p_c, nats."""
    p_NC = model.probabilities(rows).astype(np.float64)
    # 0 log 0 is 0; a NaN stays one.
    terms_NC = np.where(p_NC == 0, 0, p_NC * np.log(np.where(p_NC == 0, 1, p_NC)))
    return np.asarray(-terms_NC.sum(axis=1), dtype=np.float32)


def _margin(model: AcquisitionModel[Any], rows: list[Any], settings: VapSettings, seed: int) -> Array:
    """Second highest minus highest probability: 0 is the least certain."""
    ordered_NC = np.sort(model.probabilities(rows), axis=1)
    return np.asarray(ordered_NC[:, -2] - ordered_NC[:, -1], dtype=np.float32)


def _features(model: AcquisitionModel[Any], rows: list[Any], settings: VapSettings, seed: int) -> Array:
    return model.features(rows)


def _gradients(model: AcquisitionModel[Any], rows: list[Any], settings: VapSettings, seed: int) -> Array:
    return model.gradients(rows)


def _perturbations(model: AcquisitionModel[Any], rows: list[Any], settings: VapSettings, seed: int) -> Array:
    return model.perturbations(rows, settings, seed)


_ALL = (
    Representation("random", "any row with the same probability", "the baseline", "none", None, "top-k"),
    Representation("entropy", "entropy of the predicted classes", "Shannon 1948", "score", _entropy, "top-k"),
    Representation(
        "margin", "gap between the two most probable classes", "Scheffer et al. 2001", "score", _margin, "top-k"
    ),
    Representation(
        "features", "hidden states", "Sener & Savarese 2018, arXiv 1708.00489", "vector", _features, "k-means-nearest"
    ),
    Representation(
        "badge",
        "gradient at the last layer for the predicted label",
        "Ash et al. 2020, arXiv 1906.03671",
        "vector",
        _gradients,
        "k-means++",
    ),
    Representation(
        "vap",
        "virtual adversarial perturbation of hidden states, VAPAL-style",
        "after Zhang et al. 2022, arXiv 2210.14576, of which details are unknown",
        "vector",
        _perturbations,
        "k-means++",
    ),
)

REPRESENTATIONS: Mapping[str, Representation] = MappingProxyType({each.name: each for each in _ALL})


def get_representation(name: str) -> Representation:
    """Raises ConfigError for a name that is not in the table."""
    if name not in REPRESENTATIONS:
        raise ConfigError(f"expected a representation, one of {', '.join(REPRESENTATIONS)}, got {name!r}")
    return REPRESENTATIONS[name]


def badge_vectors(probabilities_NC: Array, inputs_ND: Array) -> Array:
    """[N, C x D]: gradient of the cross-entropy at the most probable class with respect to the last layer's weights.

        g = (p - onehot(argmax p)) (outer product) h                     (Ash et al. 2020, eq. 1)

    with h the last layer's input.
    """
    n, classes = probabilities_NC.shape
    residuals_NC = probabilities_NC - np.eye(classes, dtype=np.float32)[probabilities_NC.argmax(axis=1)]
    return np.asarray((residuals_NC[:, :, None] * inputs_ND[:, None, :]).reshape(n, -1), dtype=np.float32)
