"""Synthetic groups: shared prompts, lengths with the mean a case names, the same for everyone who draws them."""

from statistics import mean

import pytest

from epa_bench.bench.batches import EOS_ID, FIRST_WORD, count_tokens, draw_groups
from tests.bench.micro import micro_case


def test_a_group_is_one_prompt_with_its_candidates() -> None:
    case = micro_case(strong=1, weak=2)
    groups = draw_groups(case, 0)
    assert len(groups) == case.groups
    for group in groups:
        assert len(group) == case.candidates == 4
        assert len({tuple(sequence.prompt_ids) for sequence in group}) == 1
        assert len({tuple(sequence.response_ids) for sequence in group}) == 4
        for sequence in group:
            assert sequence.response_ids[-1] == EOS_ID
            words = sequence.prompt_ids + sequence.response_ids[:-1]
            assert all(FIRST_WORD <= token < case.model.vocab_size for token in words)


def test_lengths_have_the_mean_of_the_case() -> None:
    case = micro_case(prompt=100, response=60, groups=8, weak=2)
    for index in range(3):
        groups = draw_groups(case, index)
        assert mean(len(group[0].prompt_ids) for group in groups) == pytest.approx(100, abs=1)
        assert mean(len(sequence.response_ids) for group in groups for sequence in group) == pytest.approx(60, abs=1)


def test_alike_where_the_case_is_not_ragged() -> None:
    groups = draw_groups(micro_case(ragged=False), 0)
    assert {(len(s.prompt_ids), len(s.response_ids)) for group in groups for s in group} == {(12, 9)}
    assert count_tokens(groups) == 4 * 2 * (12 + 9)


@pytest.mark.parametrize(("groups", "factor"), [(2, 1.6), (4, 1.9), (8, 2.3)])
def test_padding_costs_what_it_costs_on_preference_data(groups: int, factor: float) -> None:
    """The factors measured on UltraFeedback and HH-RLHF, which the spread of the lengths stands for."""
    case = micro_case(prompt=133, response=194, groups=groups)
    tokens = padded = 0
    for index in range(60):
        lengths = [len(s.prompt_ids) + len(s.response_ids) for group in draw_groups(case, index) for s in group]
        tokens += sum(lengths)
        padded += max(lengths) * len(lengths)
    assert padded / tokens == pytest.approx(factor, abs=0.12)


def test_drawn_again_a_step_is_the_same_and_another_step_is_not() -> None:
    case = micro_case()
    assert draw_groups(case, 1) == draw_groups(case, 1)
    other_peers = micro_case(peers=("trl",), memory=True)
    assert draw_groups(case, 1) == draw_groups(other_peers, 1)
    assert draw_groups(case, 0) != draw_groups(case, 1)
