"""Virtual adversarial perturbations against the Gauss-Newton matrix, which is their Hessian."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.func import jacrev, vmap

from epa_bench.acquisition.model import VapSettings, parse_layer
from epa_bench.acquisition.vap import margin_perturbations, perturbations
from epa_bench.core.errors import ConfigError
from epa_bench.models.states import start_direction

D, C = 6, 4


def network(seed: int = 0, classes: int = C) -> Callable[[Tensor], Tensor]:
    """Logits [N, C] at states [N, D], smooth and not linear."""
    generator = torch.Generator().manual_seed(seed)
    first, second = torch.randn(D, 8, generator=generator), torch.randn(8, classes, generator=generator)
    return lambda states_ND: torch.tanh(states_ND @ first) @ second


def states(n: int = 5) -> Tensor:
    return torch.randn(n, D, generator=torch.Generator().manual_seed(1))


def shifted_logits(of: Callable[[Tensor], Tensor], at_ND: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda shift_ND: of(at_ND + shift_ND)


def gauss_newton(of: Callable[[Tensor], Tensor], at_ND: Tensor) -> Tensor:
    """[N, D, D]: J' (diag p - p p') J in fp64."""
    jacobian_NCD = vmap(jacrev(lambda state_D: of(state_D[None])[0]))(at_ND)
    p_NC = torch.softmax(of(at_ND), dim=-1)
    fisher_NCC = torch.diag_embed(p_NC) - p_NC[:, :, None] * p_NC[:, None, :]
    found: Tensor = jacobian_NCD.mT @ fisher_NCC @ jacobian_NCD
    return found.double()


def start(n: int = 5) -> Tensor:
    return start_direction(D, 0, torch.device("cpu")).expand(n, -1)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=-1)


@pytest.mark.parametrize("xi", [1e-2, 1e-1])
def test_one_step_is_the_gauss_newton_matrix_times_the_start(xi: float) -> None:
    of, at_ND = network(), states()
    expected_ND = (gauss_newton(of, at_ND) @ start()[0].double())[:, :]
    found_ND = perturbations(shifted_logits(of, at_ND), start(), VapSettings(xi=xi))
    assert cosine(found_ND, expected_ND).min() > 1 - xi
    assert found_ND.norm(dim=-1).tolist() == pytest.approx(expected_ND.norm(dim=-1).tolist(), rel=3 * xi)


def test_iterations_converge_to_the_largest_eigenvalue_and_its_vector() -> None:
    of, at_ND = network(), states()
    values_ND, vectors_NDD = torch.linalg.eigh(gauss_newton(of, at_ND))
    found_ND = perturbations(shifted_logits(of, at_ND), start(), VapSettings(iterations=60, xi=1e-2))
    assert cosine(found_ND, vectors_NDD[:, :, -1]).abs().min() > 0.999
    assert found_ND.norm(dim=-1).tolist() == pytest.approx(values_ND[:, -1].tolist(), rel=0.03)


def test_a_finite_difference_too_short_for_fp32_breaks() -> None:
    """Why xi is not as small as can be."""
    of, at_ND = network(), states(50)
    expected_ND = gauss_newton(of, at_ND) @ start()[0].double()
    found_ND = perturbations(shifted_logits(of, at_ND), start(50), VapSettings(xi=1e-7))
    assert cosine(found_ND, expected_ND).min() < 0.9


def test_at_zero_there_is_no_direction() -> None:
    """The divergence has its minimum there, so without a start nothing is found."""
    of, at_ND = network(), states()
    found_ND = perturbations(shifted_logits(of, at_ND), torch.zeros(5, D), VapSettings())
    assert found_ND.norm(dim=-1).max() < 1e-5


def test_the_margin_of_pairs_is_what_iterations_converge_to() -> None:
    """Logits (m, 0): parallel to grad m, without a power iteration."""
    of, at_ND = network(2, classes=1), states()

    def logits(states_ND: Tensor) -> Tensor:
        return torch.cat([0.2 * of(states_ND), torch.zeros(len(states_ND), 1)], dim=1)

    leaf_ND = at_ND.clone().requires_grad_()
    margins_N = 0.2 * of(leaf_ND)[:, 0]
    (gradients_ND,) = torch.autograd.grad(margins_N.sum(), leaf_ND)
    closed_ND = margin_perturbations(gradients_ND, margins_N.detach(), start()[0], VapSettings())
    iterated_ND = perturbations(shifted_logits(logits, at_ND), start(), VapSettings(iterations=8, xi=1e-2))
    assert cosine(closed_ND, iterated_ND).min() > 0.999
    assert closed_ND.norm(dim=-1).tolist() == pytest.approx(iterated_ND.norm(dim=-1).tolist(), rel=0.1)


def test_equal_rows_have_equal_signs_from_a_shared_start_and_not_from_their_own() -> None:
    of, at_ND = network(), states(1).expand(200, -1)
    shared_ND = perturbations(shifted_logits(of, at_ND), start(200), VapSettings())
    assert cosine(shared_ND, shared_ND[:1]).min() > 1 - 1e-9
    own_ND = torch.nn.functional.normalize(torch.randn(200, D, generator=torch.Generator().manual_seed(3)), dim=-1)
    drawn_ND = perturbations(shifted_logits(of, at_ND), own_ND, VapSettings())
    assert 0.3 < (cosine(drawn_ND, drawn_ND[:1]) < 0).float().mean() < 0.7


def test_which_response_is_called_a_does_not_matter() -> None:
    gradients_ND, margins_N = states(), torch.tensor([-2.0, -0.5, 0.0, 1.0, 3.0])
    as_given = margin_perturbations(gradients_ND, margins_N, start()[0], VapSettings())
    swapped = margin_perturbations(-gradients_ND, -margins_N, start()[0], VapSettings())
    torch.testing.assert_close(swapped, as_given)


def test_unit_vectors_throw_the_uncertainty_away() -> None:
    """Certain or not, each has length 1; with their magnitude certain rows are near 0."""
    weight_DC = torch.randn(D, C, generator=torch.Generator().manual_seed(5))
    certain_N = torch.tensor([[0.0], [1.5]])
    direction_D = weight_DC[:, 0]

    def of(shift_ND: Tensor) -> Tensor:
        return (certain_N * direction_D + shift_ND) @ weight_DC

    kept, unit = (perturbations(of, start(2), VapSettings(unit=unit)).norm(dim=-1) for unit in (False, True))
    assert unit.tolist() == pytest.approx([1, 1])
    assert kept[0] > 10 * kept[1]


@pytest.mark.parametrize("settings", [{"iterations": 0}, {"xi": 0.0}, {"xi": float("nan")}, {"xi": float("inf")}])
def test_settings_that_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="1 or more power iterations and a finite xi above 0"):
        VapSettings(**settings)  # type: ignore[arg-type]


def test_layers_as_they_are_written() -> None:
    assert [parse_layer(text) for text in ("3", "middle", "head")] == [3, "middle", "head"]
    with pytest.raises(ConfigError, match="expected a layer: a number from 0, `middle` or `head`, got 'top'"):
        parse_layer("top")
