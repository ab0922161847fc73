import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped]
from statsmodels.stats.weightstats import DescrStatsW  # type: ignore[import-untyped]

from epa_bench.stats.noninferiority import decide, non_inferiority

TABLES = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 4), st.integers(2, 12)),
    elements=st.integers(-50, 50).map(lambda hundredths: hundredths / 100),
)


@given(st.lists(st.integers(-50, 50).map(float), min_size=3, max_size=30), st.floats(0.1, 20))
def test_one_seed_is_the_t_test_of_scipy_and_statsmodels(row: list[float], margin: float) -> None:
    assume(len(set(row)) > 1)
    found = non_inferiority(np.array([row]), margin)
    assert found.p_non_inferior == pytest.approx(stats.ttest_1samp(row, -margin, alternative="greater").pvalue)
    by_more, at_all = (DescrStatsW(row).ttest_mean(-drop, alternative="smaller")[1] for drop in (margin, 0))
    assert found.p_inferior == pytest.approx(max(by_more, min(1, 12.5 * at_all)))


@given(TABLES, st.floats(0.01, 0.5))
def test_p_values_and_bounds_agree(table: NDArray[np.float64], margin: float) -> None:
    found = non_inferiority(table, margin)
    assume(min(abs(found.interval.low + margin), abs(found.interval.high + margin)) > 1e-9)
    assert (found.p_non_inferior < 0.05) == (found.interval.low > -margin)
    assume(found.interval.se > 0)
    p_drop = stats.t.cdf(found.interval.estimate / found.interval.se, found.interval.dof)
    assume(abs(p_drop - 0.004) > 1e-9)
    assert (found.p_inferior < 0.05) == (found.interval.high < -margin and p_drop < 0.004)


@given(TABLES, st.floats(0.01, 0.5))
def test_a_wider_margin_never_hurts(table: NDArray[np.float64], margin: float) -> None:
    narrow, wide = non_inferiority(table, margin), non_inferiority(table, 2 * margin)
    assert wide.p_non_inferior <= narrow.p_non_inferior
    assert wide.p_inferior >= narrow.p_inferior


@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "PASS"), (-0.1, "PASS"), (-0.3, "BREACH"), (0.3, "PASS")])
def test_equal_differences_decide_by_their_mean(shift: float, verdict: str) -> None:
    found = non_inferiority(np.full((3, 7), shift), margin=0.2)
    assert decide(found.p_non_inferior, found.p_inferior, 0.95) == verdict


def test_a_margin_far_below_the_standard_error_breaches_at_most_once_in_a_hundred() -> None:
    """Without a change, 20 prompts of sd .3: the upper bound alone would be below -.001 in nearly 5 %."""
    tables = np.random.default_rng(3).normal(0, 0.3, (4000, 1, 20))
    found = [non_inferiority(table, 0.001) for table in tables]
    assert sum(each.interval.high < -0.001 for each in found) > 0.04 * len(tables)
    assert sum(each.p_inferior < 0.05 for each in found) <= stats.binom.ppf(0.999, len(tables), 0.01)


def test_decisions() -> None:
    assert decide(0.04, 0.96, 0.95) == "PASS"
    assert decide(0.06, 0.94, 0.95) == "INCONCLUSIVE"
    assert decide(0.96, 0.04, 0.95) == "BREACH"
    assert decide(0.96, 0.08, 0.95) == "INCONCLUSIVE"


def test_an_unchanged_candidate_passes_the_needed_margin_with_80_percent() -> None:
    """Normal differences of sd .3 over 200 prompts, the margin as computed for that standard error."""
    rng = np.random.default_rng(7)
    tables = rng.normal(0, 0.3, (1500, 1, 200))
    margin = float(np.mean([non_inferiority(table, 1).needed_margin for table in tables[:50]]))
    passes = sum(non_inferiority(table, margin).p_non_inferior < 0.05 for table in tables)
    low, high = stats.binom.ppf([0.001, 0.999], len(tables), 0.8)
    assert low - 15 <= passes <= high + 15  # one point for the margin's own estimation


@pytest.mark.parametrize(("margin", "level"), [(0.0, 0.95), (-0.1, 0.95), (float("nan"), 0.95), (0.1, 0.5), (0.1, 1.0)])
def test_wrong_input(margin: float, level: float) -> None:
    with pytest.raises(ValueError, match="margin above 0 and a level between"):
        non_inferiority(np.zeros((2, 2)), margin, level)
