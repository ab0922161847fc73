"""The selectors by name: from representations to the rows chosen. scikit-learn's k-means; memory linear in the rows.

Shape suffixes: N rows, D dimensions, K rows chosen.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from epa_bench.acquisition.model import Array
from epa_bench.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Selected:
    """The rows chosen, first the one to label first."""

    rows_K: list[int]

    clusters_K: list[int | None]
    """Of a row chosen for its cluster: which; else None."""


@dataclass(frozen=True, slots=True)
class Selector:
    """A selector of the table."""

    name: str
    summary: str
    source: str

    needs_vectors: bool

    select: Callable[[Array, int, int], Selected]
    """(representation, K, seed) -> distinct rows; of scores [N] or vectors [N, D], all finite, N >= K >= 1."""


def top_k(values: Array, budget: int, seed: int) -> Selected:
    """The highest scores, or the longest vectors; of equal ones the first."""
    scores_N = values if values.ndim == 1 else row_norms(values)
    rows = np.argsort(-scores_N, kind="stable")[:budget]
    return Selected(rows.tolist(), [None] * budget)


def k_means_plus_plus(vectors_ND: Array, budget: int, seed: int) -> Selected:
    """k-means++ seeding (Arthur & Vassilvitskii 2007) by scikit-learn, whose draws are greedy among 2 + log K.

    Rows that equal a chosen one are drawn only when no other is left, then at random.
    """
    from sklearn.cluster import kmeans_plusplus  # type: ignore[import-untyped]

    _, drawn = kmeans_plusplus(_centred(vectors_ND), budget, random_state=_state(seed))
    return _filled(list(dict.fromkeys(drawn.tolist())), [], len(vectors_ND), budget, seed)


def k_means_nearest(vectors_ND: Array, budget: int, seed: int) -> Selected:
    """The row nearest to each centre of K clusters, of the largest cluster first.

    Fewer distinct rows than K make fewer clusters; the rest is then drawn at random.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    points_ND = _centred(vectors_ND)
    # Threads add up in the order in which they finish.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = KMeans(budget, n_init=1, random_state=_state(seed)).fit(points_ND)
    distances_N = np.linalg.norm(points_ND - found.cluster_centers_[found.labels_], axis=1)
    nearest = np.lexsort((distances_N, found.labels_))
    labels, first, sizes = np.unique(found.labels_[nearest], return_index=True, return_counts=True)
    order = np.argsort(-sizes, kind="stable")
    return _filled(nearest[first[order]].tolist(), labels[order].tolist(), len(points_ND), budget, seed)


_ALL = (
    Selector("top-k", "the highest scores, or the longest vectors", "-", False, top_k),
    Selector(
        "k-means-nearest",
        "the row nearest to each centre of k-means",
        "Yuan et al. 2020, arXiv 2010.09535 (ALPS)",
        True,
        k_means_nearest,
    ),
    Selector("k-means++", "rows far from those chosen before", "Arthur & Vassilvitskii 2007", True, k_means_plus_plus),
)

SELECTORS: Mapping[str, Selector] = MappingProxyType({each.name: each for each in _ALL})


def get_selector(name: str) -> Selector:
    """Raises ConfigError for a name that is not in the table."""
    if name not in SELECTORS:
        raise ConfigError(f"expected a selector, one of {', '.join(SELECTORS)}, got {name!r}")
    return SELECTORS[name]


def row_norms(vectors_ND: Array) -> Array:
    """[N], Euclidean."""
    return np.asarray(np.linalg.norm(vectors_ND.astype(np.float64), axis=1), dtype=np.float32)


def _centred(vectors_ND: Array) -> NDArray[np.float32]:
    """Distances stay; without a common offset they lose fewer digits. Raises ValueError where one is not finite.

    A NaN would make scikit-learn's k-means++ draw at random and say nothing.
    """
    if not np.isfinite(vectors_ND).all():
        raise ValueError("expected finite vectors")
    return np.asarray(vectors_ND - vectors_ND.mean(axis=0, dtype=np.float64), dtype=np.float32)


def _state(seed: int) -> int:
    return seed % 2**32


def _filled(rows: list[int], clusters: list[int], n: int, budget: int, seed: int) -> Selected:
    """K rows, what is missing drawn at random from the others."""
    others = np.setdiff1d(np.arange(n), rows)
    drawn = np.random.Generator(np.random.PCG64(seed)).permutation(others)[: budget - len(rows)].tolist()
    return Selected(rows + drawn, [*clusters, *[None] * (budget - len(clusters))])
