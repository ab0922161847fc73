import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats  # type: ignore[import-untyped]

from epa_bench.core.digest import stable_seed
from epa_bench.core.errors import DataError
from epa_bench.core.metric import MetricInfo
from epa_bench.core.records import ScoreRow
from epa_bench.leaderboard.board import ArmResult, Leaderboard, Margin
from epa_bench.leaderboard.build import build_table
from epa_bench.leaderboard.rows import write_rows
from epa_bench.stats.crossed import minimum_detectable_effect

Rows = list[ScoreRow]
RowMaker = Callable[..., Rows]


def build(rows: Rows | pd.DataFrame, **changes: Any) -> Leaderboard:
    arguments: dict[str, Any] = {"baseline": "dpo", "judge": {}, "title": "t", "versions": {}, **changes}
    return build_table(rows, **arguments)


def result_of(board: Leaderboard, arm: str, table: int = 0) -> ArmResult:
    return next(result for result in board.tables[table].arms if result.arm == arm)


def margin_of(board: Leaderboard, arm: str, table: int = 0) -> Margin:
    margin = result_of(board, arm, table).margin
    assert margin is not None
    return margin


def test_worked_margin(worked_rows: Rows) -> None:
    margin = margin_of(build(worked_rows), "epa-1-1-2")
    assert margin.interval is not None
    se, dof = math.sqrt(5 / 72), 100 / 41
    half_width = stats.t.ppf(0.975, dof) * se
    assert margin.value == margin.interval.estimate == pytest.approx(1 / 3)
    assert (margin.interval.se, margin.interval.dof) == pytest.approx((se, dof))
    assert (margin.interval.low, margin.interval.high) == pytest.approx((1 / 3 - half_width, 1 / 3 + half_width))
    assert margin.mde == pytest.approx(minimum_detectable_effect(se, dof))
    assert (margin.against, margin.seeds, margin.n_prompts, margin.n_left_out) == ("dpo", (0, 1), 3, 0)


def test_worked_scores(worked_rows: Rows) -> None:
    board = build(worked_rows)
    dpo, epa = board.tables[0].arms
    assert (dpo.arm, epa.arm) == ("dpo", "epa-1-1-2")
    assert (dpo.score.value, epa.score.value) == pytest.approx((2 / 6, 4 / 6))
    assert dpo.margin is None
    assert (epa.score.seeds, epa.score.n_prompts, epa.n_failed) == ((0, 1), 3, 0)


def realistic_rows(rows_of: RowMaker) -> Rows:
    """Two items a prompt, seeds 0-2 against 1-3, rows missing and failed, values with full mantissas."""
    rng = np.random.default_rng(stable_seed("test_build"))
    rows = []
    for arm, seeds in (("epa", (0, 1, 2)), ("dpo", (1, 2, 3))):
        for item in (0, 1):
            values = {
                seed: {
                    f"p{prompt:03}": "judge failed" if rng.random() < 0.02 else float(rng.random())
                    for prompt in range(150)
                    if rng.random() > 0.02
                }
                for seed in seeds
            }
            rows += rows_of(arm, values, item=item)
    return rows


def test_ten_lines_of_pandas_give_the_same_last_digit(rows_of: RowMaker, tmp_path: Path) -> None:
    rows = realistic_rows(rows_of)
    margin = margin_of(build(rows), "epa")
    score = result_of(build(rows), "dpo").score
    write_rows(tmp_path / "scores.jsonl", rows)

    lines = (tmp_path / "scores.jsonl").read_text().splitlines()
    frame = pd.DataFrame([{"value": None, **json.loads(line)} for line in lines])
    frame = frame[(frame.suite == "alpaca") & (frame.metric == "win_rate")]
    prompts = frame.groupby(["arm", "seed", "prompt_id"])["value"].mean(skipna=False).unstack("prompt_id")
    epa, dpo = (pd.DataFrame(prompts.xs(arm, level="arm")) for arm in ("epa", "dpo"))
    difference = (epa - dpo).dropna(how="all").dropna(axis="columns")

    assert margin.value == difference.to_numpy().ravel().mean()
    assert margin.value == difference.stack().mean()
    assert (margin.seeds, margin.n_prompts) == (tuple(difference.index), difference.shape[1])
    assert margin.n_left_out == prompts.shape[1] - difference.shape[1] > 0
    assert score.value == dpo.dropna(axis="columns").stack().mean()


def test_items_are_averaged_first_so_that_prompts_weigh_equally(rows_of: RowMaker) -> None:
    rows = [
        *rows_of("epa", {0: {"a": 1.0, "b": 0.0}}),
        *rows_of("epa", {0: {"a": 1.0}}, item=1),
        *rows_of("epa", {0: {"a": 0.0}}, item=2),
    ]
    assert result_of(build(rows), "epa").score.value == pytest.approx((2 / 3 + 0) / 2)


def test_a_failed_item_takes_its_prompt_out_and_is_counted(rows_of: RowMaker) -> None:
    rows = [
        *rows_of("epa", {0: {"a": 1.0, "b": 0.5, "c": 0.25}, 1: {"a": 1.0, "b": "timeout", "c": 0.75}}),
        *rows_of("epa", {0: {"a": 1.0, "b": 0.5, "c": "no verdict"}}, item=1),
        *rows_of("dpo", {0: {"a": 0.0, "b": 0.0, "c": 0.0}, 1: {"a": 0.0, "b": 0.0, "c": 0.0}}),
    ]
    board = build(rows)
    epa, dpo = result_of(board, "epa"), result_of(board, "dpo")
    assert (epa.score.value, epa.score.n_prompts, epa.score.n_left_out, epa.n_failed) == (1.0, 1, 2, 2)
    assert (dpo.score.n_prompts, dpo.score.n_left_out, dpo.n_failed) == (3, 0, 0)
    assert (margin_of(board, "epa").n_prompts, margin_of(board, "epa").n_left_out) == (1, 2)


def test_a_missing_row_takes_its_prompt_out_of_the_margin_and_its_arms_score(rows_of: RowMaker) -> None:
    rows = [
        *rows_of("epa", {0: {"a": 1.0, "b": 0.5}, 1: {"a": 1.0, "b": 0.5}}),
        *rows_of("dpo", {0: {"a": 0.0, "b": 0.0, "c": 9.0}, 1: {"a": 0.5, "b": 0.0, "c": 9.0}}),
    ]
    board = build(rows)
    margin = margin_of(board, "epa")
    assert margin.value == pytest.approx((1 + 0.5 + 0.5 + 0.5) / 4)
    assert (margin.n_prompts, margin.n_left_out) == (2, 1)
    assert result_of(board, "epa").score.n_left_out == 1
    assert result_of(board, "dpo").score.n_left_out == 0


def test_margin_uses_common_seeds_only(rows_of: RowMaker) -> None:
    rows = [
        *rows_of("epa", {seed: {"a": 1.0 + seed, "b": 2.0} for seed in (2, 0, 1)}),
        *rows_of("dpo", {seed: {"a": 0.0, "b": 0.0} for seed in (1, 2, 3)}),
    ]
    board = build(rows)
    assert margin_of(board, "epa").seeds == (1, 2)
    assert margin_of(board, "epa").value == pytest.approx((2 + 2 + 3 + 2) / 4)
    assert result_of(board, "epa").score.seeds == (0, 1, 2)


def test_no_common_seed_is_no_margin_with_a_reason(rows_of: RowMaker) -> None:
    rows = [*rows_of("epa", {7: {"a": 1.0, "b": 0.5}}), *rows_of("dpo", {0: {"a": 1.0}, 1: {"a": 0.0}})]
    margin = margin_of(build(rows), "epa")
    assert (margin.value, margin.interval, margin.mde) == (None, None, None)
    assert margin.note == "no common seed: 7 here, 0, 1 for dpo"


def test_reference_with_one_seed_pairs_on_it_and_says_what_is_not_estimated(rows_of: RowMaker) -> None:
    prompts = {"a": 0.5, "b": 0.25, "c": 0.0}
    rows = [
        *rows_of("reference", {0: prompts}, beta=0.0, learning_rate=0.0),
        *rows_of("dpo", {seed: {name: value + 0.25 for name, value in prompts.items()} for seed in range(3)}),
    ]
    board = build(rows)
    score, margin = result_of(board, "reference").score, margin_of(board, "reference")
    assert score.interval is not None
    assert margin.interval is not None
    assert score.interval.kind == margin.interval.kind == "prompts only: seed variance not estimated"
    assert margin.value == pytest.approx(-0.25)
    assert (margin.seeds, margin.against) == ((0,), "dpo")


def test_opponent_has_the_same_beta_and_learning_rate(rows_of: RowMaker) -> None:
    values = {0: {"a": 1.0, "b": 0.0}}
    grid = [(0.1, 5e-7), (0.1, 1e-6), (0.5, 5e-7)]
    rows = [
        row
        for method in ("epa", "dpo")
        for beta, rate in grid
        for row in rows_of(f"{method}-{beta}-{rate}", values, beta=beta, learning_rate=rate)
    ]
    rows += rows_of("reference", values, beta=0.0, learning_rate=0.0)
    board = build(rows)
    for beta, rate in grid:
        assert margin_of(board, f"epa-{beta}-{rate}").against == f"dpo-{beta}-{rate}"
    assert margin_of(board, "reference").against is None
    assert margin_of(board, "reference").note == "none of 3 dpo arms has beta 0.0 and learning rate 0.0"


def test_two_equal_baseline_arms_are_not_chosen_between(rows_of: RowMaker) -> None:
    values = {0: {"a": 1.0, "b": 0.0}}
    rows = [row for arm in ("epa", "dpo-x", "dpo-y") for row in rows_of(arm, values)]
    assert margin_of(build(rows), "epa").note == "2 dpo arms have beta 0.1 and learning rate 5e-07: dpo-x, dpo-y"


def test_without_a_baseline_arm_there_are_scores_and_a_reason(rows_of: RowMaker) -> None:
    board = build(rows_of("epa", {0: {"a": 1.0, "b": 0.0}}))
    assert result_of(board, "epa").score.value == 0.5
    assert margin_of(board, "epa").note == "no arm of the baseline method dpo"


def test_baseline_without_rows_in_one_suite(rows_of: RowMaker) -> None:
    values = {0: {"a": 1.0, "b": 0.0}}
    rows = [*rows_of("epa", values), *rows_of("dpo", values), *rows_of("epa", values, suite="mt_bench")]
    board = build(rows)
    assert margin_of(board, "epa", table=1).note == "no rows of dpo"
    assert [table.arms_without_rows for table in board.tables] == [(), ("dpo",)]


def test_order_is_suites_and_metrics_by_name_and_arms_with_the_baseline_first(rows_of: RowMaker) -> None:
    values = {0: {"a": 1.0, "b": 0.0}}
    rows = [
        row
        for suite, metric in (("mt", "score"), ("alpaca", "win"), ("alpaca", "length"))
        for arm in ("zeta", "epa", "dpo-b", "dpo-a", "alpha")
        for row in rows_of(arm, values, suite=suite, metric=metric)
    ]
    board = build(rows)
    assert [(t.suite, t.metric) for t in board.tables] == [("alpaca", "length"), ("alpaca", "win"), ("mt", "score")]
    assert [result.arm for result in board.tables[0].arms] == ["dpo-a", "dpo-b", "alpha", "epa", "zeta"]


def test_all_prompts_failed(rows_of: RowMaker) -> None:
    rows = [*rows_of("epa", {0: {"a": "x", "b": "y"}}), *rows_of("dpo", {0: {"a": 1.0, "b": 0.0}})]
    board = build(rows)
    epa = result_of(board, "epa")
    assert (epa.score.value, epa.score.note, epa.n_failed) == (None, "no prompt has a value in every seed", 2)
    assert (epa.score.n_prompts, epa.score.n_left_out) == (0, 2)
    assert margin_of(board, "epa").value is None


def test_one_value_a_checkpoint_gets_an_interval_over_seeds_and_none_with_one_seed(rows_of: RowMaker) -> None:
    rows = [*rows_of("epa", {0: {"all": 0.5}, 1: {"all": 0.75}}), *rows_of("dpo", {0: {"all": 0.5}})]
    board = build(rows)
    epa, dpo = result_of(board, "epa").score, result_of(board, "dpo").score
    assert epa.interval is not None
    assert epa.interval.kind == "seeds only: prompt variance not estimated"
    assert (dpo.value, dpo.interval, dpo.note) == (0.5, None, "one seed and one prompt: no interval")


def test_metric_info_and_judge_are_looked_up_by_name(worked_rows: Rows, rows_of: RowMaker) -> None:
    info = MetricInfo(label="win rate", unit="%", better="higher", scale=100, digits=1)
    rows = [*worked_rows, *rows_of("dpo", {0: {"a": 3.0, "b": 4.0}}, metric="length")]
    board = build(rows, metrics={("alpaca", "win_rate"): info}, judge={"alpaca": "gold judge 1"})
    assert [table.info for table in board.tables] == [MetricInfo(label="length"), info]
    assert {table.judge for table in board.tables} == {"gold judge 1"}


def test_a_frame_gives_the_same_leaderboard_as_rows(worked_rows: Rows) -> None:
    assert build(pd.DataFrame([row.model_dump() for row in worked_rows])) == build(worked_rows)


def test_repeated_rows_are_refused(worked_rows: Rows) -> None:
    with pytest.raises(DataError, match=r"arm dpo, seed 0, prompt_id a, item 0 occurs twice \(1 repeats"):
        build([*worked_rows, worked_rows[6]])


def test_an_arm_with_two_settings_is_refused(rows_of: RowMaker) -> None:
    rows = [*rows_of("epa", {0: {"a": 1.0}}), *rows_of("epa", {1: {"a": 1.0}}, beta=0.5)]
    with pytest.raises(DataError, match="arm 'epa' has 2 settings"):
        build(rows)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(worked_rows: Rows, value: float) -> None:
    frame = pd.DataFrame([row.model_dump() for row in worked_rows])
    frame.loc[0, "value"] = value
    with pytest.raises(DataError, match=r"arm epa-1-1-2, seed 0, prompt_id a, item 0 \(1 in all\)"):
        build(frame)


def test_missing_columns_and_no_rows_are_refused(worked_rows: Rows) -> None:
    frame = pd.DataFrame([row.model_dump() for row in worked_rows])
    with pytest.raises(DataError, match="missing: prompt_id, error"):
        build(frame.drop(columns=["prompt_id", "error"]))
    with pytest.raises(DataError, match="at least one row"):
        build([])
