"""Golden values: what is given is what the parts are defined to make of it, worked by hand."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logsumexp  # type: ignore[import-untyped]

from epa_bench.steps.golden import _loss_values, given_groups
from epa_bench.suites.golden import METRICS, pair_values, paired_rows, plan_values, rating_values_of_turns
from epa_bench.suites.golden_scores import METRICS as SCORES
from epa_bench.suites.golden_scores import adjusted_win_rate, scorer_values
from epa_bench.suites.values import Value

PLAN = {"strong": 1, "weak": 2, "weak_source": "both", "weak_pool": "step", "groups_per_step": 4, "epochs": 1}


def _values(values: object, metric: str) -> list[float | None]:
    assert isinstance(values, list)
    return [value.value for value in values if value.metric == metric]


def _loss(strong: int, weak: int, name: str, beta: float) -> tuple[list[float | None], list[float | None]]:
    found = list(_loss_values({"loss": name, "beta": beta, "strong": strong, "weak": weak}))
    return _values(found, "loss"), _values(found, "loss_gradient")


def test_losses_are_the_papers_formulas() -> None:
    for strong, weak, name in ((1, 0, "dpo"), (1, 2, "epa")):
        groups = given_groups(strong, weak, beta=0.5)
        scores_GK = 0.5 * (groups.logps_GK - groups.ref_logps_GK).detach().numpy()
        scores_GK = np.where(groups.mask_GK.numpy(), scores_GK, -np.inf)
        losses, slopes = _loss(strong, weak, name, 0.5)
        assert losses == pytest.approx(logsumexp(scores_GK, axis=1) - scores_GK[:, 0])
        rest_G = logsumexp(scores_GK[:, 1:], axis=1) - scores_GK[:, 0]
        assert slopes == pytest.approx(-0.5 * expit(rest_G))
    assert not groups.mask_GK[0, -1]
    assert groups.mask_GK.sum() == 6 * 4 - 1


def test_weak_negatives_and_beta_show() -> None:
    assert _loss(1, 2, "epa", 0.5) != _loss(1, 2, "epa", 0.1) != _loss(1, 1, "epa", 0.1)
    # What a method adds leaves the others' numbers as they are.
    few, many = given_groups(1, 1, 0.1), given_groups(1, 2, 0.1)
    assert (few.logps_GK == many.logps_GK[:, :3]).all()


def test_plans_differ_by_seed_and_by_what_is_asked_for() -> None:
    def checksums(**changes: int) -> list[list[float | None]]:
        found = list(plan_values({**PLAN, "data_seed": 1, **changes}))
        return [_values(found, metric) for metric in ("plan_order", "plan_negatives", "plan_candidates")]

    order, negatives, candidates = checksums()
    assert len(order) == 8
    assert sorted(value / place for place, value in enumerate(order, 1) if value is not None)[0] >= 0
    assert max(filter(None, candidates)) == 4
    assert checksums(data_seed=2)[0] != order
    fewer = checksums(weak=0)
    assert fewer[0] == order
    assert fewer[1] != negatives


def test_verdicts_of_given_replies(tmp_path: Path) -> None:
    """Pair n wins with .2 + .08 n shown first and .1 + .08 n shown second, of .95; the last has an unread reply."""
    pairs = list(pair_values(tmp_path))
    assert [pair.value for pair in pairs[:-1]] == pytest.approx([(0.15 + 0.08 * n) / 0.95 for n in range(7)])
    assert pairs[-1].error is not None
    assert pairs[-1].error.startswith("neither label")
    assert _values(list(rating_values_of_turns(tmp_path)), "score") == [7, 8.5, 3, 10, None, 9, 4, None, None, 6]


def test_mt_bench_of_given_ratings_and_matches(tmp_path: Path) -> None:
    """First turns 7, 3 and 4, second turns 8.5, 10, 9 and 6; the categories are writing, roleplay and math."""
    ratings = list(rating_values_of_turns(tmp_path))
    assert _values(ratings, "mt_bench_average") == pytest.approx([47.5 / 7])
    parts = 1 * 14 / 3 + 2 * 33.5 / 4 + 3 * 15.5 / 2 + 4 * 22 / 3 + 6 * 10 / 2
    assert _values(ratings, "mt_bench_parts") == pytest.approx([parts])
    # Two wins, a loss, a tie, two disagreements; the seventh is an error.
    assert adjusted_win_rate() == pytest.approx(3.5 / 6)


def test_every_scorer_has_a_number_that_can_move() -> None:
    values = list(scorer_values())
    assert {value.metric for value in values} == set(SCORES)
    for metric, info in SCORES.items():
        found = [value.value for value in values if value.metric == metric and value.value is not None]
        assert len({round(number, 6) for number in found}) > 1 or 0 < found[0] < 1, metric
        assert info.scale == 1 or 0.05 < np.mean(found) < 0.95, metric
    assert {value.error for value in values} == {None, "not scored on purpose"}


def test_paired_rows_are_pairs() -> None:
    def mean_of(rows: list[Value]) -> list[float]:
        return [row.value for row in rows if row.value is not None and row.item == 1]

    ours, theirs = (mean_of(list(paired_rows(arm, 1))) for arm in ("epa", "dpo"))
    assert np.corrcoef(ours, theirs)[0, 1] > 0.9
    assert ours != mean_of(list(paired_rows("epa", 2)))
    assert sum(row.error is not None for row in paired_rows("epa", 1)) == 2


def test_nothing_golden_has_a_better_side() -> None:
    assert {info.better for info in METRICS.values()} == {"none"}
