"""Small sets of score rows with known numbers."""

from collections.abc import Callable, Mapping

import pytest

from epa_bench.core.records import ScoreRow

Values = Mapping[int, Mapping[str, float | str]]
"""Seed -> prompt -> value, or the text of an error."""

RowMaker = Callable[..., list[ScoreRow]]


@pytest.fixture(scope="session")
def rows_of() -> RowMaker:
    """Rows of one arm, of method `epa` or `dpo` by the start of its name."""

    def make(
        arm: str,
        values: Values,
        *,
        suite: str = "alpaca",
        metric: str = "win_rate",
        beta: float = 0.1,
        learning_rate: float = 5e-7,
        item: int = 0,
    ) -> list[ScoreRow]:
        return [
            ScoreRow(
                suite=suite,
                metric=metric,
                arm=arm,
                method=arm.split("-")[0],
                beta=beta,
                learning_rate=learning_rate,
                seed=seed,
                prompt_id=prompt,
                item=item,
                value=None if isinstance(value, str) else value,
                error=value if isinstance(value, str) else None,
            )
            for seed, by_prompt in values.items()
            for prompt, value in by_prompt.items()
        ]

    return make


@pytest.fixture(scope="session")
def worked_rows(rows_of: RowMaker) -> list[ScoreRow]:
    """EPA - DPO is [[1, 0, .5], [.5, 0, 0]].

    Mean 1/3, MSA = 1/6, MSB = 7/24, MSE = 1/24, so V = (4 + 7 - 1) / 24 / 6 = 5/72 and dof = 100/41.
    """
    epa = {0: {"a": 1.0, "b": 0.5, "c": 1.0}, 1: {"a": 1.0, "b": 0.0, "c": 0.5}}
    dpo = {0: {"a": 0.0, "b": 0.5, "c": 0.5}, 1: {"a": 0.5, "b": 0.0, "c": 0.5}}
    return [*rows_of("epa-1-1-2", epa), *rows_of("dpo", dpo)]
