import math

import numpy as np
import pytest
import statsmodels.api as sm  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]
from statsmodels.stats.proportion import proportion_confint  # type: ignore[import-untyped]

from epa_bench.core.digest import stable_seed
from epa_bench.stats.clustered import clustered_mean, clustered_proportion
from epa_bench.stats.crossed import crossed_interval

ROWS = st.lists(st.tuples(st.integers(-20, 20).map(float), st.integers(0, 6)), min_size=3, max_size=40).filter(
    lambda rows: len({cluster for _, cluster in rows}) > 1
)


def test_worked_rows() -> None:
    """Rows 1, 3 | 5 | 7: mean 4, sums of deviations -4, 1, 3, so se^2 = 3/2 * (16 + 1 + 9) / 16 = 2.4375."""
    found = clustered_mean([1.0, 5.0, 3.0, 7.0], ["a", "b", "a", "c"])
    assert (found.estimate, found.n, found.n_clusters) == (4.0, 4, 3)
    assert found.se == pytest.approx(math.sqrt(2.4375), rel=1e-12)
    half_width = stats.t.ppf(0.975, 2) * math.sqrt(2.4375)
    assert (found.low, found.high) == pytest.approx((4 - half_width, 4 + half_width), rel=1e-9)


@given(ROWS)
def test_standard_error_is_that_of_statsmodels(rows: list[tuple[float, int]]) -> None:
    values, clusters = [value for value, _ in rows], [cluster for _, cluster in rows]
    fitted = sm.OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": np.array(clusters)})
    assert clustered_mean(values, clusters).se == pytest.approx(float(fitted.bse[0]), rel=1e-9, abs=1e-9)


def test_equal_clusters_give_the_interval_over_their_means() -> None:
    rng = np.random.default_rng(stable_seed("test_clustered", "equal"))
    turns = rng.normal(size=(80, 2))
    found = clustered_mean(turns.ravel().tolist(), np.repeat(np.arange(80), 2).tolist())
    by_question = crossed_interval(turns.mean(axis=1)[None, :])
    assert (found.low, found.high, found.se) == pytest.approx((by_question.low, by_question.high, by_question.se))


@given(ROWS)
def test_order_of_rows_and_names_of_clusters_do_not_matter(rows: list[tuple[float, int]]) -> None:
    values, clusters = [value for value, _ in rows], [cluster for _, cluster in rows]
    backwards = clustered_mean(values[::-1], [f"name {cluster}" for cluster in clusters[::-1]])
    forwards = clustered_mean(values, clusters)
    assert (backwards.estimate, backwards.se) == pytest.approx((forwards.estimate, forwards.se), abs=1e-9)


def test_equal_rows_have_no_width() -> None:
    found = clustered_mean([0.1] * 7, list(range(7)))
    assert (found.low, found.high, found.se) == (found.estimate, found.estimate, 0.0)


@given(st.integers(0, 50), st.integers(2, 50))
def test_proportion_of_single_rows_is_wilsons(successes: int, n: int) -> None:
    successes = min(successes, n)
    found = clustered_proportion([1.0] * successes + [0.0] * (n - successes), list(range(n)))
    # The oracle has normal quantiles only: its level is chosen so that they are Student's.
    alpha = 2 * stats.norm.sf(stats.t.ppf(0.975, n - 1))
    low, high = proportion_confint(successes, n, alpha=alpha, method="wilson")
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)
    assert 0 <= found.low <= found.estimate <= found.high <= 1


def test_repeated_rows_add_nothing_to_a_proportion() -> None:
    """Every cluster twice: twice the rows, the same evidence."""
    rng = np.random.default_rng(stable_seed("test_clustered", "repeated"))
    values = rng.integers(0, 2, 60).astype(float).tolist()
    once = clustered_proportion(values, list(range(60)))
    twice = clustered_proportion(values * 2, list(range(60)) * 2)
    assert (twice.low, twice.high, twice.se) == pytest.approx((once.low, once.high, once.se))
    assert (twice.n, twice.n_clusters) == (120, 60)


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=4, max_size=30))
def test_proportion_stays_between_0_and_1_and_has_a_width(values: list[float]) -> None:
    found = clustered_proportion(values, [number // 2 for number in range(len(values))])
    assert 0 <= found.low <= found.estimate <= found.high <= 1
    assert found.low < found.high


@pytest.mark.parametrize(
    ("values", "clusters", "level", "message"),
    [
        ([1.0, 2.0], ["a", "a"], 0.95, "two or more clusters, got 1"),
        ([], [], 0.95, "two or more clusters, got 0"),
        ([1.0], ["a", "b"], 0.95, "1 rows and 2 clusters"),
        ([1.0, math.nan], ["a", "b"], 0.95, "finite"),
        ([1.0, 2.0], ["a", "b"], 1.0, "level"),
    ],
)
def test_wrong_input(values: list[float], clusters: list[str], level: float, message: str) -> None:
    for function in (clustered_mean, clustered_proportion):
        with pytest.raises(ValueError, match=message):
            function(values, clusters, level)


def test_proportion_of_rows_that_are_none() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        clustered_proportion([0.5, 1.5], ["a", "b"])
