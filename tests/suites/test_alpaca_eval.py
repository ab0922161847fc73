"""AlpacaEval's figures by hand, and the identities of its prompts."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epa_bench.core.records import prompt_digest
from epa_bench.suites.alpaca_eval import average_length, canonical_ids, canonical_index, win_rates


def test_worked_figures() -> None:
    """Shares 1, 0.5, 0.25 and 0: mean 7/16, squares 81/256 + 1/256 + 9/256 + 49/256 = 140/256."""
    rates = win_rates([2.0, 1.5, 1.25, 1.0])
    assert rates.win_rate == 43.75
    assert rates.standard_error == pytest.approx(100 * (140 / 256 / 3 / 4) ** 0.5)
    assert (rates.n_wins, rates.n_wins_base, rates.n_draws, rates.n_total) == (1, 2, 1, 4)
    assert rates.discrete_win_rate == 37.5


def test_one_preference_has_no_standard_error() -> None:
    assert win_rates([1.8]).standard_error is None


@pytest.mark.parametrize("preferences", [[], [0.0], [2.5], [1.0, float("nan")]])
def test_what_is_no_preference_is_refused(preferences: list[float]) -> None:
    with pytest.raises(ValueError, match="preferences from 1 to 2"):
        win_rates(preferences)


@given(st.lists(st.floats(1, 2), min_size=2, max_size=50))
def test_swapped_sides_mirror_every_figure(preferences: list[float]) -> None:
    ours, theirs = win_rates(preferences), win_rates([3 - preference for preference in preferences])
    assert ours.win_rate + theirs.win_rate == pytest.approx(100)
    assert ours.standard_error == pytest.approx(theirs.standard_error, abs=1e-9)
    assert ours.n_wins + ours.n_wins_base + ours.n_draws == len(preferences)


def test_average_length_is_cut_not_rounded() -> None:
    assert average_length([1, 2, 2]) == 1


def test_prompt_ids_are_those_of_the_published_prompts(shared_data: Path) -> None:
    rows = json.loads((shared_data / "alpaca_eval" / "alpaca_eval_gpt4_baseline.json").read_bytes())
    assert canonical_ids() == tuple(prompt_digest(row["instruction"]) for row in rows)
    assert len(canonical_index()) == 805
    assert canonical_index()[prompt_digest(rows[366]["instruction"])] == 366
