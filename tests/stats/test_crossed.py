import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm  # type: ignore[import-untyped]
import statsmodels.formula.api as smf  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special, stats  # type: ignore[import-untyped]

from epa_bench.core.digest import stable_seed
from epa_bench.stats.crossed import crossed_interval, mean_squares, minimum_detectable_effect

Table = NDArray[np.float64]

HAND_TABLE = np.array([[1.0, 2.0, 6.0], [3.0, 6.0, 6.0]])
"""Row means 3 and 5, column means 2, 4, 6, mean 4.

MSA = 3 (1 + 1) / 1 = 6; MSB = 2 (4 + 0 + 4) / 2 = 8; residuals 0, -1, 1 and 0, 1, -1, so MSE = 4 / 2 = 2.
"""


def random_tables(min_seeds: int = 2) -> st.SearchStrategy[Table]:
    return hnp.arrays(
        np.float64,
        st.tuples(st.integers(min_seeds, 5), st.integers(2, 12)),
        elements=st.integers(-50, 50).map(float),
    )


def simulated(name: str, n_seeds: int, n_prompts: int, seed_sd: float) -> Table:
    rng = np.random.default_rng(stable_seed("test_crossed", name))
    seed_S = rng.normal(0, seed_sd, (n_seeds, 1))
    return seed_S + rng.normal(0, 0.25, (1, n_prompts)) + rng.normal(0, 0.35, (n_seeds, n_prompts))


def test_worked_table() -> None:
    squares = mean_squares(HAND_TABLE)
    assert (squares.seeds, squares.prompts, squares.residual) == pytest.approx((6, 8, 2), abs=1e-12)

    interval = crossed_interval(HAND_TABLE)
    # va = 4/3, vb = 3, V = 4/6 + 3/3 + 2/6 = 2 = (6 + 8 - 2) / 6; dof = 12^2 / (36/1 + 64/2 + 4/2) = 144/70.
    assert interval.estimate == 4
    assert interval.se == pytest.approx(math.sqrt(2))
    assert interval.dof == pytest.approx(144 / 70)
    half_width = stats.t.ppf(0.975, 144 / 70) * math.sqrt(2)
    assert (interval.low, interval.high) == pytest.approx((4 - half_width, 4 + half_width))
    assert (interval.kind, interval.n_seeds, interval.n_prompts) == ("crossed: seeds x prompts", 2, 3)


@pytest.mark.parametrize(
    ("table", "variance", "dof"),
    [
        # Row means equal: MSA = 0 < MSE. Columns 2, 0, 4; residuals +-1: MSB = 2 (0 + 4 + 4) / 2 = 8, MSE = 4 / 2 = 2.
        pytest.param([[3.0, -1.0, 4.0], [1.0, 1.0, 4.0]], 8 / 6, 2, id="seeds truncated"),
        # Column means equal: MSB = 0. Rows 3, 1, 5, residuals +-1 on two columns: MSA = 2 (0 + 4 + 4) / 2 = 8, MSE = 2.
        pytest.param([[4.0, 2.0], [0.0, 2.0], [5.0, 5.0]], 8 / 6, 2, id="prompts truncated"),
        # All means equal: V = MSE / 4 = 4 / 4.
        pytest.param([[1.0, -1.0], [-1.0, 1.0]], 1, 1, id="both truncated"),
    ],
)
def test_a_truncated_component_leaves_the_other_mean_squares(table: Table, variance: float, dof: float) -> None:
    interval = crossed_interval(np.array(table))
    assert interval.se**2 == pytest.approx(variance)
    assert interval.dof == pytest.approx(dof)


def test_a_tie_of_mean_squares_is_not_decided_by_rounding() -> None:
    # MSB = MSE = 1/4 exactly, so vb = 0 and dof = S - 1; rounding after scaling can push MSB to either side.
    table = np.array([[0.0, 1.0], [2.0, 2.0]])
    assert {crossed_interval(table * scale).dof for scale in np.linspace(0.5, 1.5, 101)} == {1.0}


def long_format(table: Table) -> pd.DataFrame:
    seeds, prompts = np.indices(table.shape)
    return pd.DataFrame({"seed": seeds.ravel(), "prompt": prompts.ravel(), "d": table.ravel()})


def test_mean_squares_agree_with_statsmodels_anova() -> None:
    table = simulated("anova", 4, 15, 0.3)
    anova = sm.stats.anova_lm(smf.ols("d ~ C(seed) + C(prompt)", data=long_format(table)).fit())
    squares = mean_squares(table)
    expected = anova["mean_sq"][["C(seed)", "C(prompt)", "Residual"]].tolist()
    assert [squares.seeds, squares.prompts, squares.residual] == pytest.approx(expected, rel=1e-9)


def test_standard_error_agrees_with_statsmodels_crossed_reml() -> None:
    table = simulated("reml", 5, 12, 0.3)
    frame = long_format(table).assign(group=1)
    components = {"seed": "0 + C(seed)", "prompt": "0 + C(prompt)"}
    fit = smf.mixedlm("d ~ 1", frame, groups="group", vc_formula=components).fit(reml=True)
    assert crossed_interval(table).se == pytest.approx(float(fit.bse_fe.iloc[0]), rel=1e-3)


def test_coverage_where_rows_as_independent_undercover() -> None:
    n_sweeps, n_seeds, n_prompts = 400, 3, 200
    covered = naive_covered = 0
    for sweep in range(n_sweeps):
        table = simulated(f"sweep {sweep}", n_seeds, n_prompts, seed_sd=0.03)
        interval = crossed_interval(table)
        covered += interval.low <= 0 <= interval.high
        naive_covered += abs(table.mean()) <= 1.96 * table.std(ddof=1) / math.sqrt(table.size)
    low, high = stats.binom.ppf([0.001, 0.999], n_sweeps, 0.95)
    assert low <= covered <= high
    assert naive_covered < stats.binom.ppf(1e-6, n_sweeps, 0.95)


@given(random_tables())
def test_order_of_seeds_and_prompts_does_not_matter(table: Table) -> None:
    rng = np.random.default_rng(table.size)
    shuffled = table[rng.permutation(table.shape[0])][:, rng.permutation(table.shape[1])]
    one, other = crossed_interval(table), crossed_interval(shuffled)
    assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-6)


@given(random_tables(min_seeds=1), st.floats(-100, 100), st.floats(0.01, 100))
def test_shifting_and_scaling_the_table_shifts_and_scales_the_interval(
    table: Table, shift: float, scale: float
) -> None:
    plain, moved = crossed_interval(table), crossed_interval(shift + scale * table)
    expected = (shift + scale * plain.estimate, shift + scale * plain.low, shift + scale * plain.high)
    assert (moved.estimate, moved.low, moved.high) == pytest.approx(expected, rel=1e-5, abs=1e-5)


@given(random_tables())
def test_negating_the_table_mirrors_the_interval(table: Table) -> None:
    plain, mirrored = crossed_interval(table), crossed_interval(-table)
    assert (mirrored.low, mirrored.high) == pytest.approx((-plain.high, -plain.low))


@given(random_tables())
def test_interval_lies_around_the_mean_and_widens_with_the_level(table: Table) -> None:
    narrow, wide = crossed_interval(table, level=0.8), crossed_interval(table, level=0.99)
    assert wide.low <= narrow.low <= narrow.estimate <= narrow.high <= wide.high
    assert (wide.low < narrow.low) == (np.ptp(table) > 0)


@pytest.mark.parametrize("shape", [(1, 7), (3, 1), (3, 7), (2, 2)])
def test_equal_cells_give_a_zero_width_interval(shape: tuple[int, int]) -> None:
    interval = crossed_interval(np.full(shape, 0.1))
    assert interval.low == interval.high == interval.estimate == pytest.approx(0.1)
    assert interval.se == 0


def test_one_seed_is_the_prompt_t_interval_and_says_so() -> None:
    row = np.array([[0.0, 1.0, 1.0, 0.5, 1.0]])
    interval = crossed_interval(row)
    outside = stats.ttest_1samp(row[0], 0).confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx((outside.low, outside.high))
    assert interval.kind == "prompts only: seed variance not estimated"
    assert (interval.dof, interval.n_seeds, interval.n_prompts) == (4, 1, 5)


def test_one_prompt_is_the_seed_t_interval_and_says_so() -> None:
    column = np.array([[0.2], [0.6], [0.4]])
    interval = crossed_interval(column)
    outside = stats.ttest_1samp(column[:, 0], 0).confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx((outside.low, outside.high))
    assert interval.kind == "seeds only: prompt variance not estimated"


@pytest.mark.parametrize(
    "table",
    [
        np.zeros((1, 1)),
        np.zeros((0, 5)),
        np.zeros((3, 0)),
        np.zeros(4),
        np.array([[0.0, np.nan]]),
        np.full((2, 2), np.inf),
    ],
)
def test_tables_without_an_interval_are_refused(table: Table) -> None:
    with pytest.raises(ValueError, match="seed x prompt table"):
        crossed_interval(table)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_level_is_a_probability(level: float) -> None:
    with pytest.raises(ValueError, match="level between 0 and 1"):
        crossed_interval(HAND_TABLE, level)


@pytest.mark.parametrize(("values", "zero"), [([1.0, 1.1], "above"), ([-1.0, -1.1], "below"), ([-1.0, 1.0], "inside")])
def test_side_of_zero(values: list[float], zero: str) -> None:
    assert crossed_interval(np.array([values]), level=0.9).zero == zero


def test_an_interval_that_touches_zero_holds_it() -> None:
    assert crossed_interval(np.zeros((3, 4))).zero == "inside"


def test_minimum_detectable_effect_worked() -> None:
    # Two-sided 5 %, power .8, many degrees of freedom: (1.95996 + 0.84162) se.
    assert minimum_detectable_effect(se=2, dof=1e9) == pytest.approx(2 * 2.80159, rel=1e-4)
    # Printed t table, 5 degrees of freedom: t.975 = 2.571, t.90 = 1.476.
    assert minimum_detectable_effect(se=1, dof=5, power=0.9) == pytest.approx(2.571 + 1.476, abs=1e-3)


@pytest.mark.parametrize(("dof", "error"), [(2, 0.06), (5, 0.01), (10, 0.001), (200, 0.001)])
def test_minimum_detectable_effect_is_as_near_the_noncentral_t_as_documented(dof: float, error: float) -> None:
    exact = special.nctdtrinc(dof, 0.2, special.stdtrit(dof, 0.975))
    assert minimum_detectable_effect(se=1, dof=dof) == pytest.approx(exact, rel=error)


@pytest.mark.parametrize("wrong", [{"se": -1.0}, {"dof": 0.0}, {"power": 1.0}, {"power": 0.4}, {"level": 1.0}])
def test_minimum_detectable_effect_refuses(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected se >= 0"):
        minimum_detectable_effect(**{"se": 1.0, "dof": 3.0, **wrong})


@settings(max_examples=30)
@given(st.floats(1e-170, 1e-150), st.integers(2, 4))
def test_tiny_differences_never_give_nan(tiny: float, n_seeds: int) -> None:
    table = np.zeros((n_seeds, 3))
    table[0, 0] = tiny
    interval = crossed_interval(table)
    assert math.isfinite(interval.low)
    assert interval.dof > 0
