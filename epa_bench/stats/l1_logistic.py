"""Many small L1-penalised logistic regressions at once: three coefficients, one fit a bootstrap replicate.

Proximal Newton: a quadratic model of the loss, its L1 minimiser by coordinate descent, a step halved until the
objective falls (Lee, Sun & Saunders 2014, SIAM J. Optim. 24(3)). The three-dimensional work is done for all replicates
in one array operation.

Suffixes: R replicates, N weighted rows, M fixed rows, D = 3 coefficients (own, shared, constant), F = 2 (own, shared).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TOLERANCE = 1e-7
"""Largest step of a coefficient at which a fit counts as converged."""

_MAX_STEPS = 100
_RIDGE = 1e-10
"""On the Hessian's diagonal, so that a column of zeros is no division by zero."""


@dataclass(frozen=True, slots=True)
class Design:
    """Rows with soft targets. One feature differs between replicates, one is shared, the third is 1 (0 where fixed)."""

    weights_RN: Floats
    target_N: Floats
    own_RN: Floats
    shared_N: Floats
    fixed_weight: float
    fixed_target_M: Floats
    fixed_MF: Floats
    """Rows that every replicate has, with one weight; their constant feature is 0."""

    def take(self, kept_R: NDArray[np.bool_]) -> "Design":
        return Design(
            self.weights_RN[kept_R],
            self.target_N,
            self.own_RN[kept_R],
            self.shared_N,
            self.fixed_weight,
            self.fixed_target_M,
            self.fixed_MF,
        )


@dataclass(frozen=True, slots=True)
class _Model:
    """Objective, gradient and Hessian of the smooth part at one point, and that point's penalty included in `value`."""

    value_R: Floats
    gradient_RD: Floats
    hessian_RDD: Floats


def fit(design: Design, penalty: float, start_RD: Floats) -> Floats:
    """Coefficients [R, D] that minimise sum_n w_n crossentropy(target_n, sigmoid(x_n theta)) + penalty |theta|_1.

    Raises ValueError where the objective is not finite at the start, or a fit does not converge.
    """
    theta_RD = start_RD.copy()
    left_R = np.arange(len(theta_RD))
    here_RD, here = theta_RD.copy(), _model(design, theta_RD, penalty)
    if not np.isfinite(here.value_R).all():
        raise ValueError("expected finite features, targets, weights and start")
    for _ in range(_MAX_STEPS):
        step_RD = _minimiser(here, here_RD, penalty) - here_RD
        here_RD, here = _search(design, here, here_RD, step_RD, penalty)
        theta_RD[left_R] = here_RD
        moving_R = np.abs(step_RD).max(axis=1) > _TOLERANCE
        if not moving_R.any():
            return theta_RD
        if not moving_R.all():
            left_R, design, here_RD = left_R[moving_R], design.take(moving_R), here_RD[moving_R]
            here = _Model(here.value_R[moving_R], here.gradient_RD[moving_R], here.hessian_RDD[moving_R])
    raise ValueError(f"{len(left_R)} fits did not converge in {_MAX_STEPS} steps")


def _search(design: Design, here: _Model, here_RD: Floats, step_RD: Floats, penalty: float) -> tuple[Floats, _Model]:
    """The point after a step, halved where the objective would rise, and the model there."""
    scale_R = np.ones(len(here_RD))
    # Rounding of a sum of thousands of terms must not stop a step that has converged.
    allowed_R = here.value_R + 1e-12 * np.abs(here.value_R)
    while True:
        there_RD = here_RD + scale_R[:, None] * step_RD
        there = _model(design, there_RD, penalty)
        rising_R = (there.value_R > allowed_R) & (scale_R > 1e-6)
        if not rising_R.any():
            return there_RD, there
        scale_R[rising_R] /= 2


def _model(design: Design, theta_RD: Floats, penalty: float) -> _Model:
    w_RN, x_RN, d_N = design.weights_RN, design.own_RN, design.shared_N
    z_RN = theta_RD[:, :1] * x_RN + (theta_RD[:, 1:2] * d_N + theta_RD[:, 2:])
    p_RN, loss_RN = _sigmoid_and_loss(z_RN, design.target_N)
    z_RM = theta_RD[:, :2] @ design.fixed_MF.T
    p_RM, loss_RM = _sigmoid_and_loss(z_RM, design.fixed_target_M)
    value_R = (
        np.einsum("rn,rn->r", w_RN, loss_RN)
        + design.fixed_weight * loss_RM.sum(axis=1)
        + penalty * np.abs(theta_RD).sum(axis=1)
    )
    residual_RN = w_RN * (p_RN - design.target_N)
    gradient_RD = np.column_stack(
        [np.einsum("rn,rn->r", residual_RN, x_RN), residual_RN @ d_N, residual_RN.sum(axis=1)]
    )
    gradient_RD[:, :2] += design.fixed_weight * (p_RM - design.fixed_target_M) @ design.fixed_MF
    curvature_RN = w_RN * p_RN * (1 - p_RN)
    own_RN = curvature_RN * x_RN
    hessian_RDD = np.empty((len(theta_RD), 3, 3))
    hessian_RDD[:, 0, 0] = np.einsum("rn,rn->r", own_RN, x_RN)
    hessian_RDD[:, 0, 1] = own_RN @ d_N
    hessian_RDD[:, 0, 2] = own_RN.sum(axis=1)
    hessian_RDD[:, 1, 1] = curvature_RN @ d_N**2
    hessian_RDD[:, 1, 2] = curvature_RN @ d_N
    hessian_RDD[:, 2, 2] = curvature_RN.sum(axis=1)
    curvature_RM = design.fixed_weight * p_RM * (1 - p_RM)
    first_M, second_M = design.fixed_MF.T
    hessian_RDD[:, 0, 0] += curvature_RM @ first_M**2
    hessian_RDD[:, 0, 1] += curvature_RM @ (first_M * second_M)
    hessian_RDD[:, 1, 1] += curvature_RM @ second_M**2
    lower = np.tril_indices(3, -1)
    hessian_RDD[:, lower[0], lower[1]] = hessian_RDD[:, lower[1], lower[0]]
    return _Model(value_R, gradient_RD, hessian_RDD + _RIDGE * np.eye(3))


def _sigmoid_and_loss(z: Floats, target: Floats) -> tuple[Floats, Floats]:
    """sigmoid(z), and log(1 + e^z) - target z without overflow."""
    small = np.exp(-np.abs(z))
    upper = 1 / (1 + small)
    return np.where(z >= 0, upper, 1 - upper), np.maximum(z, 0) - np.log(upper) - target * z


def _minimiser(model: _Model, theta_RD: Floats, penalty: float) -> Floats:
    """Minimiser of the quadratic model plus penalty |theta|_1, by coordinate descent."""
    g_RD, h_RDD = model.gradient_RD, model.hessian_RDD
    new_RD = theta_RD.copy()
    for _ in range(10 * _MAX_STEPS):
        before_RD = new_RD.copy()
        for j in range(3):
            slope_R = g_RD[:, j] + np.einsum("rd,rd->r", h_RDD[:, j], new_RD - theta_RD)
            target_R = new_RD[:, j] - slope_R / h_RDD[:, j, j]
            new_RD[:, j] = np.sign(target_R) * np.maximum(np.abs(target_R) - penalty / h_RDD[:, j, j], 0)
        if np.abs(new_RD - before_RD).max() < _TOLERANCE / 100:
            break
    return new_RD
