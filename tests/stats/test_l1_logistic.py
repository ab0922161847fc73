"""Batched L1 logistic fits: optimality conditions, scikit-learn's liblinear as an oracle, replicates kept apart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

from epa_bench.stats.l1_logistic import Design, fit

Floats = NDArray[np.float64]


def random_design(seed: int, replicates: int = 1, rows: int = 60, fixed: int = 40) -> Design:
    rng = np.random.default_rng(seed)
    return Design(
        weights_RN=rng.integers(0, 4, (replicates, rows)).astype(float),
        target_N=rng.uniform(0, 1, rows) ** 2,
        own_RN=rng.uniform(-1, 1, (replicates, rows)),
        shared_N=rng.normal(0, 1.5, rows),
        fixed_weight=0.1,
        fixed_target_M=rng.uniform(0, 1, fixed),
        fixed_MF=rng.normal(0, 1, (fixed, 2)),
    )


def rows_of(design: Design, replicate: int) -> tuple[Floats, Floats, Floats]:
    """All rows of one replicate: features, targets, weights."""
    own = np.column_stack([design.own_RN[replicate], design.shared_N, np.ones(design.shared_N.size)])
    fixed = np.column_stack([design.fixed_MF, np.zeros(len(design.fixed_MF))])
    weights = [design.weights_RN[replicate], np.full(len(fixed), design.fixed_weight)]
    return np.vstack([own, fixed]), np.concatenate([design.target_N, design.fixed_target_M]), np.concatenate(weights)


def by_liblinear(design: Design, replicate: int, C: float) -> Floats:
    """Soft targets as weighted pairs of rows, as alpaca_eval does it, but solved to convergence."""
    features, targets, weights = rows_of(design, replicate)
    solver = LogisticRegression(
        C=C, l1_ratio=1.0, solver="liblinear", fit_intercept=False, tol=1e-10, max_iter=100_000, random_state=0
    )
    labels = np.repeat([1, 0], len(targets))
    solver.fit(np.tile(features, (2, 1)), labels, np.concatenate([weights * targets, weights * (1 - targets)]))
    coefficients: Floats = solver.coef_[0]
    return coefficients


@pytest.mark.parametrize("C", [0.01, 0.1, 1.0, 21.5, 1e4])
@pytest.mark.parametrize("seed", range(4))
def test_liblinear_finds_the_same_coefficients(seed: int, C: float) -> None:
    design = random_design(seed)
    theta = fit(design, 1 / C, np.zeros((1, 3)))[0]
    assert theta == pytest.approx(by_liblinear(design, 0, C), abs=2e-5)


def test_a_strong_penalty_leaves_nothing_and_a_weak_one_everything() -> None:
    design = random_design(0)
    assert (fit(design, 1e3, np.ones((1, 3))) == 0).all()
    assert (fit(design, 1e-6, np.zeros((1, 3))) != 0).all()


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), penalty=st.floats(1e-4, 30), start=st.floats(-5, 5))
def test_optimality_conditions(seed: int, penalty: float, start: float) -> None:
    """Zero is in the subdifferential: the gradient is -penalty sign(theta), or within +-penalty where theta is 0."""
    design = random_design(seed, replicates=3, rows=20, fixed=10)
    theta_RD = fit(design, penalty, np.full((3, 3), start))
    for replicate, theta in enumerate(theta_RD):
        features, targets, weights = rows_of(design, replicate)
        gradient = (weights * (1 / (1 + np.exp(-features @ theta)) - targets)) @ features
        assert gradient[theta != 0] == pytest.approx(-penalty * np.sign(theta[theta != 0]), abs=1e-4)
        assert (np.abs(gradient[theta == 0]) <= penalty + 1e-4).all()


def test_replicates_do_not_see_each_other() -> None:
    """Some converge earlier and leave the batch; each must end where it ends alone."""
    design = random_design(7, replicates=16)
    together = fit(design, 0.5, np.linspace(-4, 4, 48).reshape(16, 3))
    for replicate in range(16):
        only = np.arange(16) == replicate
        assert together[replicate] == pytest.approx(fit(design.take(only), 0.5, np.zeros((1, 3)))[0], abs=1e-6)


def test_weights_count_rows() -> None:
    design = random_design(3)
    repeats = design.weights_RN[0].astype(int)
    total = int(repeats.sum())
    written_out = Design(
        weights_RN=np.ones((1, total)),
        target_N=np.repeat(design.target_N, repeats),
        own_RN=np.repeat(design.own_RN, repeats, axis=1),
        shared_N=np.repeat(design.shared_N, repeats),
        fixed_weight=design.fixed_weight,
        fixed_target_M=design.fixed_target_M,
        fixed_MF=design.fixed_MF,
    )
    zeros = np.zeros((1, 3))
    assert fit(design, 0.5, zeros) == pytest.approx(fit(written_out, 0.5, zeros), abs=1e-6)


def test_what_is_not_finite_is_refused() -> None:
    design = random_design(1)
    design.own_RN[0, 0] = np.nan
    with pytest.raises(ValueError, match="expected finite"):
        fit(design, 0.5, np.zeros((1, 3)))
