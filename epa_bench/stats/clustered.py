"""Means over rows that come in clusters, such as both turns of a question: rows of a cluster are not independent.

Suffixes: N rows, C clusters.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit  # type: ignore[import-untyped]


@dataclass(frozen=True, slots=True)
class ClusteredMean:
    """A mean over rows and its two-sided interval, in the unit of the rows."""

    estimate: float
    """Over rows, so that a cluster weighs by its number of rows."""

    low: float
    high: float

    level: float
    """Nominal coverage, .95 for a 95 % interval."""

    se: float
    """Standard error of the estimate for new clusters."""

    n: int
    """Rows."""

    n_clusters: int


def clustered_mean(values_N: Sequence[float], clusters_N: Sequence[Hashable], level: float = 0.95) -> ClusteredMean:
    """Mean of rows with Student's interval at C - 1 degrees of freedom, for new clusters.

        se^2 = C / (C - 1) * sum_c (sum_(n in c) (x_n - mean))^2 / N^2

    The cluster-robust variance of a mean (Liang & Zeger 1986, CR1). With as many rows in every cluster it is the
    variance of the clusters' means over C. Raises ValueError for fewer than two clusters, rows that are not finite,
    lengths that differ and a level outside (0, 1).
    """
    estimate, sums_C, n = _sums(values_N, clusters_N, level)
    se = _se(sums_C, n) * float(np.sqrt(len(sums_C) / (len(sums_C) - 1)))
    half_width = _quantile(len(sums_C), level) * se
    return ClusteredMean(estimate, estimate - half_width, estimate + half_width, level, se, n, len(sums_C))


def clustered_proportion(
    values_N: Sequence[float], clusters_N: Sequence[Hashable], level: float = 0.95
) -> ClusteredMean:
    """Mean of rows between 0 and 1 with Wilson's interval, which has a width at 0 and 1 too and stays between them.

    Wilson's formula at the effective number of rows n* = p (1 - p) / V, with V the clustered variance without its
    small-sample factor, and Student's quantile at C - 1 degrees of freedom (Kott 2017, Survey Methodology 43-2, and
    Franco et al. 2019, PMC6690503, which compares eight such intervals and recommends this form). Each row a cluster
    and rows of 0 or 1: n* = N. Without any variance n* is the number of clusters. `se` is that of `clustered_mean`.
    Raises ValueError as it does, and for rows outside [0, 1].
    """
    p, sums_C, n = _sums(values_N, clusters_N, level)
    if min(values_N) < 0 or max(values_N) > 1:
        raise ValueError("expected rows between 0 and 1")
    n_clusters = len(sums_C)
    variance = _se(sums_C, n) ** 2
    effective = p * (1 - p) / variance if variance > 0 else float(n_clusters)
    t = _quantile(n_clusters, level)
    denominator = 1 + t**2 / effective
    centre = (p + t**2 / (2 * effective)) / denominator
    half_width = t / denominator * float(np.sqrt(p * (1 - p) / effective + t**2 / (4 * effective**2)))
    se = float(np.sqrt(variance * n_clusters / (n_clusters - 1)))
    # At p = 0 and p = 1 one end is p itself, up to rounding.
    low, high = min(p, centre - half_width), max(p, centre + half_width)
    return ClusteredMean(p, max(0.0, low), min(1.0, high), level, se, n, n_clusters)


def _sums(
    values_N: Sequence[float], clusters_N: Sequence[Hashable], level: float
) -> tuple[float, NDArray[np.float64], int]:
    """The mean, each cluster's sum of deviations from it, and the number of rows."""
    if len(values_N) != len(clusters_N):
        raise ValueError(f"expected a cluster for every row, got {len(values_N)} rows and {len(clusters_N)} clusters")
    if not 0 < level < 1:
        raise ValueError(f"expected a level between 0 and 1, got {level}")
    rows_N = np.asarray(values_N, dtype=np.float64)
    if not np.isfinite(rows_N).all():
        raise ValueError("expected finite rows: leave failed ones out first")
    numbers = {cluster: number for number, cluster in enumerate(dict.fromkeys(clusters_N))}
    if len(numbers) < 2:
        raise ValueError(f"expected two or more clusters, got {len(numbers)}")
    mean = float(rows_N.mean())
    # Rounding in the mean would leave equal rows a width of some 1e-17.
    deviations_N = np.zeros_like(rows_N) if np.ptp(rows_N) == 0 else rows_N - mean
    sums_C = np.zeros(len(numbers))
    np.add.at(sums_C, [numbers[cluster] for cluster in clusters_N], deviations_N)
    return mean, sums_C, len(rows_N)


def _se(sums_C: NDArray[np.float64], n: int) -> float:
    return float(np.sqrt(np.sum(sums_C**2))) / n


def _quantile(n_clusters: int, level: float) -> float:
    return float(stdtrit(n_clusters - 1, (1 + level) / 2))
