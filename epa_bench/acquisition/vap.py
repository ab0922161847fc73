"""Virtual adversarial perturbations of a layer's states (Miyato et al. 2018, arXiv 1704.03976, section 3.3).

One vector a row is added to the states of all its tokens, so that it has the same D dimensions for every row; its
gradient is the sum of the tokens' gradients.

Shape suffixes: N rows, C classes, D hidden size.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax, normalize

from epa_bench.acquisition.model import VapSettings


def perturbations(logits_of: Callable[[Tensor], Tensor], start_ND: Tensor, settings: VapSettings) -> Tensor:
    """[N, D], from unit directions to start from; `logits_of(shift_ND)` gives the logits [N, C] at shifted states.

    With D(r) = KL(p(h) || p(h + r)) and H its Hessian at 0, a power iteration is d <- grad D(xi d) / xi = H d + O(xi),
    each scaled to length 1 before the next. At 0 the gradient vanishes, so a start is needed. H is the Gauss-Newton
    matrix J' (diag p - p p') J with J the logits' Jacobian. Magnitudes are kept, unless `settings.unit`: they are large
    where the classes are uncertain and near.
    """
    with torch.no_grad():
        logps_NC = log_softmax(logits_of(torch.zeros_like(start_ND)).float(), dim=-1)
    direction_ND, found_ND = start_ND, start_ND
    for _ in range(settings.iterations):
        shift_ND = (settings.xi * direction_ND).requires_grad_()
        shifted_NC = log_softmax(logits_of(shift_ND).float(), dim=-1)
        divergence = kl_div(shifted_NC, logps_NC, log_target=True, reduction="sum")
        (gradient_ND,) = torch.autograd.grad(divergence, shift_ND)
        found_ND = gradient_ND / settings.xi
        direction_ND = normalize(found_ND, dim=-1)
    return direction_ND if settings.unit else found_ND


def margin_perturbations(gradients_ND: Tensor, margins_N: Tensor, start_D: Tensor, settings: VapSettings) -> Tensor:
    """[N, D] of rows with the two logits (m, 0), from the gradients of m: what `perturbations` converges to.

    H = p (1 - p) grad m grad m', p = sigmoid(m), has one eigenvector that is not flat, grad m, so no power iteration is
    needed; found is H times its unit vector. The sign, which H leaves open, is the one nearer to the start.
    """
    p_N = torch.sigmoid(margins_N)
    lengths_N = gradients_ND.norm(dim=-1)
    signs_N = torch.where(gradients_ND @ start_D < 0, -1.0, 1.0)
    scale_N = signs_N if settings.unit else signs_N * p_N * (1 - p_N) * lengths_N.square()
    return normalize(gradients_ND, dim=-1) * scale_N[:, None]
