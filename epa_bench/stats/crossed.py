"""The interval of a mean over a seed x prompt table, where seeds and prompts are both samples.

Suffixes: S training seeds, P prompts.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit  # type: ignore[import-untyped]

IntervalKind = Literal[
    "crossed: seeds x prompts",
    "prompts only: seed variance not estimated",
    "seeds only: prompt variance not estimated",
]


_TIE = 1e-9
"""Mean squares this near, relatively, are equal: the degrees of freedom jump there, and rounding must not choose."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its two-sided Student interval, in the unit of the table."""

    estimate: float

    low: float
    high: float

    level: float
    """Nominal coverage, .95 for a 95 % interval."""

    se: float
    """Standard error of the estimate."""

    dof: float
    """Degrees of freedom of the t quantile; Satterthwaite's are not whole."""

    kind: IntervalKind
    n_seeds: int
    n_prompts: int

    @property
    def zero(self) -> Literal["below", "inside", "above"]:
        """Where the interval lies: wholly `below` zero, wholly `above`, or with zero `inside` (an end included)."""
        if self.low > 0:
            return "above"
        return "below" if self.high < 0 else "inside"


@dataclass(frozen=True, slots=True)
class MeanSquares:
    """The two-way analysis of variance of a table with one value a cell."""

    seeds: float
    """MSA = P sum_s (mean_s - mean)^2 / (S - 1); expectation P va + ve."""

    prompts: float
    """MSB = S sum_p (mean_p - mean)^2 / (P - 1); expectation S vb + ve."""

    residual: float
    """MSE = sum_sp (d_sp - mean_s - mean_p + mean)^2 / ((S - 1)(P - 1)); expectation ve."""


def mean_squares(D_SP: NDArray[np.float64]) -> MeanSquares:
    """Mean squares of a table with at least two seeds and two prompts."""
    n_seeds, n_prompts = D_SP.shape
    mean = D_SP.mean()
    seed_effect_S = D_SP.mean(axis=1) - mean
    prompt_effect_P = D_SP.mean(axis=0) - mean
    residual_SP = D_SP - mean - seed_effect_S[:, None] - prompt_effect_P[None, :]
    return MeanSquares(
        seeds=float(n_prompts * np.sum(seed_effect_S**2) / (n_seeds - 1)),
        prompts=float(n_seeds * np.sum(prompt_effect_P**2) / (n_prompts - 1)),
        residual=float(np.sum(residual_SP**2) / ((n_seeds - 1) * (n_prompts - 1))),
    )


def crossed_interval(D_SP: NDArray[np.float64], level: float = 0.95) -> Interval:
    """Interval of the mean of a seed x prompt table that holds for new seeds and new prompts alike.

    Crossed random effects (Searle, Casella & McCulloch, Variance Components, 1992, ch. 4): d_sp = mu + a_s + b_p + e_sp
    with variances va, vb, ve, estimated by MSE and

        va = max((MSA - MSE) / P, 0)      vb = max((MSB - MSE) / S, 0)
        V  = va / S + vb / P + MSE / (S P)                            (variance of the mean)

    Degrees of freedom (Satterthwaite 1946). Writing each component out, V is a weighted sum of mean squares:

        S P V = kA MSA + kB MSB + kE MSE,    kA = [MSA > MSE],  kB = [MSB > MSE],  kE = 1 - kA - kB

    so a component truncated at zero takes its own mean square out of V and gives MSE its weight back. The mean squares
    are independent with Var(MS_i) = 2 E[MS_i]^2 / df_i, hence Var(S P V) = 2 sum_i k_i^2 E[MS_i]^2 / df_i. A scaled
    chi-square of the same mean and variance has 2 E[S P V]^2 / Var(S P V) degrees of freedom; with observed for
    expected mean squares that is

        dof = (S P V)^2 / (kA MSA^2 / (S-1) + kB MSB^2 / (P-1) + kE^2 MSE^2 / ((S-1)(P-1)))

    It is P - 1 when only va is truncated (V = MSB / (S P)), S - 1 when only vb is, (S-1)(P-1) when both are.

    With one seed, or with one prompt, the other factor alone gives a t interval and `kind` says what is missing. A
    table whose cells are all equal has an interval of width zero.

    The estimate is numpy's mean over the cells in C order: seed by seed, prompts in the order given.

    Raises ValueError for a table that is not two-dimensional, has fewer than two cells, or holds NaN or infinity, and
    for a level outside (0, 1).
    """
    if D_SP.ndim != 2 or D_SP.size < 2:
        raise ValueError(f"expected a seed x prompt table of two or more cells, got shape {D_SP.shape}")
    if not 0 < level < 1:
        raise ValueError(f"expected a level between 0 and 1, got {level}")
    D_SP = np.ascontiguousarray(D_SP, dtype=np.float64)
    if not np.isfinite(D_SP).all():
        raise ValueError("the seed x prompt table holds NaN or infinity: leave incomplete prompts out first")
    n_seeds, n_prompts = D_SP.shape
    if n_seeds == 1 or n_prompts == 1:
        variance, dof = _one_factor(D_SP)
    else:
        variance, dof = _two_factors(D_SP)
    estimate, se = float(D_SP.mean()), float(np.sqrt(variance))
    half_width = _t_quantile(dof, (1 + level) / 2) * se
    return Interval(
        estimate=estimate,
        low=estimate - half_width,
        high=estimate + half_width,
        level=level,
        se=se,
        dof=dof,
        kind=_kind(n_seeds, n_prompts),
        n_seeds=n_seeds,
        n_prompts=n_prompts,
    )


def minimum_detectable_effect(se: float, dof: float, power: float = 0.8, level: float = 0.95) -> float:
    """The true mean that a two-sided t test at 1 - level finds with probability `power`, in the unit of `se`.

        MDE = (t[dof, (1 + level) / 2] + t[dof, power]) se

    The usual closed form: Student's quantiles stand in for the noncentral t. It is below the exact value by 5 % at 2
    degrees of freedom, 1 % at 5 and a tenth of a percent at 10.

    Raises ValueError unless se >= 0, dof > 0, 0.5 <= power < 1 and 0 < level < 1.
    """
    if not (se >= 0 and dof > 0 and 0.5 <= power < 1 and 0 < level < 1):
        raise ValueError(
            f"expected se >= 0, dof > 0, 0.5 <= power < 1, 0 < level < 1; got {se=}, {dof=}, {power=}, {level=}"
        )
    return (_t_quantile(dof, (1 + level) / 2) + _t_quantile(dof, power)) * se


def _kind(n_seeds: int, n_prompts: int) -> IntervalKind:
    if n_seeds == 1:
        return "prompts only: seed variance not estimated"
    return "seeds only: prompt variance not estimated" if n_prompts == 1 else "crossed: seeds x prompts"


def _one_factor(D_SP: NDArray[np.float64]) -> tuple[float, float]:
    """Variance of the mean and degrees of freedom of a single row or a single column."""
    # Rounding in the mean would leave a constant table a width of some 1e-17.
    variance = 0.0 if np.ptp(D_SP) == 0 else float(D_SP.var(ddof=1)) / D_SP.size
    return variance, float(D_SP.size - 1)


def _two_factors(D_SP: NDArray[np.float64]) -> tuple[float, float]:
    """Variance of the mean and Satterthwaite's degrees of freedom; the docstring above derives both."""
    n_seeds, n_prompts = D_SP.shape
    dofs = np.array([n_seeds - 1, n_prompts - 1, (n_seeds - 1) * (n_prompts - 1)], dtype=np.float64)
    squares = mean_squares(D_SP)
    threshold = squares.residual * (1 + _TIE)
    seeds_count, prompts_count = squares.seeds > threshold, squares.prompts > threshold
    terms = np.array(
        [
            seeds_count * squares.seeds,
            prompts_count * squares.prompts,
            (1 - seeds_count - prompts_count) * squares.residual,
        ]
    )
    total = float(terms.sum())
    if np.ptp(D_SP) == 0 or total == 0:
        return 0.0, float(dofs[2])
    # Terms relative to their sum: squaring tiny mean squares would underflow.
    return total / D_SP.size, 1 / float(np.sum((terms / total) ** 2 / dofs))


def _t_quantile(dof: float, probability: float) -> float:
    return float(stdtrit(dof, probability))
