"""The length-normalised likelihood term."""

import torch

from epa_bench.losses.nll import length_normalised_nll

LOGPS_GK = torch.tensor([[-12.0, -5.0], [-3.0, -7.0]])
TOKENS_GK = torch.tensor([[4, 2], [6, 1]])


def test_numbers_worked_by_hand() -> None:
    assert length_normalised_nll(LOGPS_GK, TOKENS_GK).tolist() == [3.0, 0.5]


def test_only_the_positive_gets_a_gradient_of_one_over_its_length() -> None:
    logps_GK = LOGPS_GK.clone().requires_grad_()
    (grad_GK,) = torch.autograd.grad(length_normalised_nll(logps_GK, TOKENS_GK).sum(), logps_GK)
    torch.testing.assert_close(grad_GK, torch.tensor([[-1 / 4, 0.0], [-1 / 6, 0.0]]))


def test_a_group_does_not_depend_on_the_lengths_in_its_micro_batch() -> None:
    together_G = length_normalised_nll(LOGPS_GK, TOKENS_GK)
    alone = [length_normalised_nll(LOGPS_GK[g : g + 1], TOKENS_GK[g : g + 1]) for g in range(2)]
    assert torch.equal(together_G, torch.cat(alone))
