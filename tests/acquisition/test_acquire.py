"""Choosing from a pool: what is left out, what decides, and what is refused."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epa_bench.acquisition.acquire import Acquisition, acquire
from epa_bench.acquisition.model import Array, VapSettings
from epa_bench.acquisition.representations import REPRESENTATIONS, badge_vectors
from epa_bench.core.errors import CheckpointError, ConfigError, DataError
from epa_bench.data.pool import TextRow

ROWS = [TextRow(f"{n} of them") for n in range(30)]


@dataclass
class Table:
    """A model whose numbers are looked up by the text's first word."""

    probabilities_: Array
    vectors: Array
    asked: list[str] = field(default_factory=list)

    def probabilities(self, rows: list[TextRow]) -> Array:
        return self._look_up(rows, self.probabilities_)

    def features(self, rows: list[TextRow]) -> Array:
        return self._look_up(rows, self.vectors)

    def gradients(self, rows: list[TextRow]) -> Array:
        return badge_vectors(self.probabilities(rows), self.features(rows))

    def perturbations(self, rows: list[TextRow], settings: VapSettings, seed: int) -> Array:
        return self.features(rows)

    def _look_up(self, rows: list[TextRow], table: Array) -> Array:
        self.asked += [row.text for row in rows]
        return table[[int(row.text.split()[0]) for row in rows]]


def table() -> Table:
    rng = np.random.default_rng(0)
    p_NC = rng.dirichlet(np.ones(3), size=30).astype(np.float32)
    return Table(p_NC, rng.normal(size=(30, 4)).astype(np.float32))


def chosen(found: Acquisition) -> list[str]:
    return [ROWS[row.row].text for row in found.chosen]


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_no_row_twice_none_that_is_labelled_and_the_same_again(name: str) -> None:
    labelled = {row.key for row in ROWS[:10]}
    pool = [*ROWS, *ROWS[5:15]]
    found = acquire(pool, table(), labelled, 12, 3, representation=name)
    assert (found.pool, found.labelled, found.repeated) == (40, 15, 5)
    assert len({row.key for row in found.chosen}) == 12
    assert not {row.key for row in found.chosen} & labelled
    assert [row.rank for row in found.chosen] == list(range(1, 13))
    assert acquire(pool, table(), labelled, 12, 3, representation=name) == found


@pytest.mark.parametrize("name", REPRESENTATIONS)
@settings(max_examples=5)
@given(order=st.permutations(range(30)))
def test_the_order_of_the_pool_decides_nothing(name: str, order: list[int]) -> None:
    expected = [row.key for row in acquire(ROWS, table(), (), 6, 1, representation=name).chosen]
    found = acquire([ROWS[index] for index in order], table(), (), 6, 1, representation=name)
    assert [row.key for row in found.chosen] == expected


def test_entropy_and_margin_against_numpy() -> None:
    p_NC = table().probabilities_.astype(np.float64)
    entropy_N = -(p_NC * np.log(p_NC)).sum(axis=1)
    best = acquire(ROWS, table(), (), 5, 0, representation="entropy")
    assert [row.row for row in best.chosen] == np.argsort(-entropy_N)[:5].tolist()
    assert [row.score for row in best.chosen] == pytest.approx(np.sort(-entropy_N)[:5] * -1, rel=1e-5)
    two_NC = np.sort(p_NC, axis=1)
    gaps_N = two_NC[:, -1] - two_NC[:, -2]
    margin = acquire(ROWS, table(), (), 5, 0, representation="margin")
    assert [row.row for row in margin.chosen] == np.argsort(gaps_N)[:5].tolist()


def test_a_certain_row_has_no_entropy() -> None:
    certain = Table(np.array([[1, 0, 0]] * 30, dtype=np.float32), table().vectors)
    assert [row.score for row in acquire(ROWS, certain, (), 2, 0, representation="entropy").chosen] == [0, 0]


def test_random_asks_no_model_and_is_another_draw_with_another_seed() -> None:
    draws = {
        tuple(row.row for row in acquire(ROWS, None, (), 5, seed, representation="random").chosen) for seed in range(20)
    }
    assert len(draws) == 20
    counts = np.bincount([row for draw in draws for row in draw], minlength=30)
    assert counts.max() <= 9


def test_equal_scores_are_not_settled_by_the_place_in_the_file() -> None:
    flat = Table(np.full((30, 3), 1 / 3, dtype=np.float32), table().vectors)
    picks = {acquire(ROWS, flat, (), 1, seed, representation="entropy").chosen[0].row for seed in range(20)}
    assert len(picks) > 5


def test_the_model_is_not_asked_about_labelled_rows() -> None:
    model = table()
    acquire(ROWS, model, {ROWS[4].key}, 5, 0, representation="badge")
    assert "4 of them" not in model.asked


@pytest.mark.parametrize(
    ("pool", "labelled", "words"),
    [
        ([], (), "expected a pool of 5 or more unlabelled rows, the budget, got 0: of 0 rows 0 are labelled"),
        (ROWS[:4], (), "got 4: of 4 rows 0 are labelled and 0 repeat another"),
        (ROWS[:6], (ROWS[0].key, ROWS[1].key), "got 4: of 6 rows 2 are labelled"),
        (ROWS[:3] * 4, (), "got 3: of 12 rows 0 are labelled and 9 repeat another"),
    ],
)
def test_a_pool_smaller_than_the_budget(pool: list[TextRow], labelled: tuple[str, ...], words: str) -> None:
    with pytest.raises(DataError, match=words):
        acquire(pool, table(), labelled, 5, 0)


@pytest.mark.parametrize("name", [name for name, spec in REPRESENTATIONS.items() if spec.of is not None])
def test_numbers_that_are_not_finite_are_the_models_fault(name: str) -> None:
    broken = table()
    broken.probabilities_[3, 0] = np.nan
    broken.vectors[3, 0] = np.nan
    with pytest.raises(CheckpointError, match=f"the model's {name} is not finite for 1 of 30 rows"):
        acquire(ROWS, broken, (), 5, 0, representation=name)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"representation": "vapal"}, "expected a representation, one of random, entropy"),
        ({"representation": "entropy", "selector": "k-means++"}, "entropy gives each row a number; use top-k"),
        ({"representation": "features", "selector": "top-k"}, "the length of hidden states says nothing"),
        ({"representation": "vap"}, "vap needs a model"),
    ],
)
def test_what_does_not_go_together(options: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        acquire(ROWS, None, (), 5, 0, **options)  # type: ignore[arg-type]


def test_a_budget_of_nothing() -> None:
    with pytest.raises(ConfigError, match="a budget of 1 or more rows, got 0"):
        acquire(ROWS, None, (), 0, 0, representation="random")
