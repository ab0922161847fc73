"""Selectors: distinct rows whatever the data, scikit-learn's own k-means++, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.cluster import kmeans_plusplus  # type: ignore[import-untyped]

from epa_bench.acquisition.model import Array
from epa_bench.acquisition.selectors import SELECTORS, get_selector, k_means_nearest, k_means_plus_plus, top_k
from epa_bench.core.errors import ConfigError

# Few different values, so that rows repeat and distances tie.
vectors = st.integers(1, 12).flatmap(
    lambda n: arrays(np.float32, (n, 2), elements=st.sampled_from([-1.5, 0.0, 1.0, 1e4]))
)


@pytest.mark.parametrize("name", SELECTORS)
@settings(max_examples=15)
@given(vectors_ND=vectors, seed=st.integers(0, 2**63 - 1), data=st.data())
def test_as_many_distinct_rows_as_asked_for_and_the_same_again(
    name: str, vectors_ND: Array, seed: int, data: st.DataObject
) -> None:
    budget = data.draw(st.integers(1, len(vectors_ND)))
    found = SELECTORS[name].select(vectors_ND, budget, seed)
    assert len(set(found.rows_K)) == len(found.rows_K) == len(found.clusters_K) == budget
    assert set(found.rows_K) <= set(range(len(vectors_ND)))
    assert SELECTORS[name].select(vectors_ND, budget, seed) == found


@settings(max_examples=25)
@given(scores_N=arrays(np.float32, st.integers(1, 20), elements=st.sampled_from([0.0, 1.0, 2.5, -3.0])), data=st.data())
def test_top_k_leaves_nothing_higher_behind(scores_N: Array, data: st.DataObject) -> None:
    budget = data.draw(st.integers(1, len(scores_N)))
    chosen = top_k(scores_N, budget, 0).rows_K
    others = np.delete(scores_N, chosen)
    assert others.size == 0 or scores_N[chosen].min() >= others.max()
    assert chosen == sorted(chosen, key=lambda row: (-scores_N[row], row))


def test_vectors_are_ranked_by_length() -> None:
    assert top_k(np.array([[3, 4], [0, 6], [1, 1]], dtype=np.float32), 2, 0).rows_K == [1, 0]


def points(n: int = 60, dimensions: int = 5) -> Array:
    return np.random.default_rng(0).normal(size=(n, dimensions)).astype(np.float32)


def test_k_means_plus_plus_is_scikit_learns() -> None:
    points_ND = points()
    centred = (points_ND - points_ND.mean(axis=0, dtype=np.float64)).astype(np.float32)
    _, expected = kmeans_plusplus(centred, 9, random_state=7)
    assert k_means_plus_plus(points_ND, 9, 7).rows_K == expected.tolist()


def test_k_means_plus_plus_takes_a_row_of_every_distant_group() -> None:
    groups = np.repeat(np.eye(4, dtype=np.float32) * 100, 10, axis=0) + 0.01 * points(40, 4)
    assert {row // 10 for row in k_means_plus_plus(groups, 4, 3).rows_K} == {0, 1, 2, 3}


def test_k_means_nearest_takes_the_middle_of_every_group_the_largest_first() -> None:
    offsets = np.array([[0.0], [1.0], [-1.0], [2.0], [-2.0]], dtype=np.float32)
    small, large = 100 + offsets[:3], offsets
    found = k_means_nearest(np.concatenate([small, large]), 2, 0)
    assert found.rows_K == [3, 0]
    assert sorted(found.clusters_K) == [0, 1]  # type: ignore[type-var]


def test_rows_that_are_all_equal_are_drawn_at_random() -> None:
    same = np.ones((50, 3), dtype=np.float32)
    first, second = (k_means_plus_plus(same, 10, seed).rows_K for seed in (1, 2))
    assert first != second
    assert k_means_nearest(same, 10, 1).clusters_K[1:] == [None] * 9


@pytest.mark.parametrize("select", [k_means_plus_plus, k_means_nearest])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(select: object, bad: float) -> None:
    points_ND = points()
    points_ND[3, 1] = bad
    with pytest.raises(ValueError, match="finite"):
        select(points_ND, 5, 0)  # type: ignore[operator]


def test_a_selector_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="expected a selector, one of top-k, k-means-nearest, k-means"):
        get_selector("kmeans")
