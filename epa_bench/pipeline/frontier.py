"""The reward-KL frontier of a run: every arm's place, and methods compared where they have gone equally far."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from epa_bench.core.errors import ConfigError, DataError, SuiteError
from epa_bench.core.files import read_records
from epa_bench.core.records import Finite, Record, ScoreRow
from epa_bench.leaderboard.board import REFERENCE_METHOD
from epa_bench.leaderboard.run_files import KEPT, ROWS
from epa_bench.stats.crossed import crossed_interval
from epa_bench.stats.frontier import Floats, MethodPoints, compare_at_matched_kl, first_over_optimised

Cells = Mapping[tuple[str, int, str], float]
"""(arm, seed, prompt) -> value."""


class Estimate(Record):
    """A mean with its 95 % interval for new seeds and prompts."""

    value: Finite
    low: Finite
    high: Finite


class FrontierPoint(Record):
    """Where one arm stands."""

    method: str
    arm: str

    kept: str | None = None
    """Of a checkpoint on the way, how much of the training it has behind it: `2/4`; `arm` ends in it."""

    beta: Finite
    learning_rate: Finite
    kl: Estimate
    reward: Estimate

    implicit_reward: Finite
    """beta x KL: the mean implicit reward of its own answers, in nats."""

    over_optimised: bool
    """The first of its method, in order of KL, where the reward falls while the implicit reward rises."""


class MatchedKl(Record):
    """A method and the baseline at one KL."""

    method: str
    kl: Finite
    reward: Finite
    baseline_reward: Finite
    difference: Finite
    low: Finite | None
    high: Finite | None
    """95 % interval; None where more than a twentieth of the draws do not reach this KL."""


class Frontier(Record):
    """What a run says of reward and KL."""

    run: str
    reward: str
    kl: str
    baseline: str
    seeds: tuple[int, ...]
    n_prompts: int

    n_left_out: int
    """Prompts without a value somewhere."""

    reference_reward: Finite
    points: tuple[FrontierPoint, ...]
    matched: tuple[MatchedKl, ...]


def frontier_of(run_folder: Path, *, reward: str, kl: str, baseline: str, n_draws: int = 1000) -> Frontier:
    """Of the rows that a run left; raises as `frontier_of_rows`, and DataError where they cannot be read."""
    rows = read_records(run_folder / ROWS, ScoreRow)
    on_the_way = read_records(run_folder / KEPT, ScoreRow) if (run_folder / KEPT).exists() else []
    return frontier_of_rows(run_folder.name, rows, on_the_way, reward=reward, kl=kl, baseline=baseline, n_draws=n_draws)


def frontier_of_rows(
    run: str,
    rows: Sequence[ScoreRow],
    on_the_way: Sequence[ScoreRow],
    *,
    reward: str,
    kl: str,
    baseline: str,
    n_draws: int = 1000,
) -> Frontier:
    """`reward` and `kl` name metrics of the run as SUITE.METRIC. An arm is a point of its method, the reference at 0.

    `on_the_way`: rows of the checkpoints that trainings kept, each of them a point too. Raises SuiteError for a metric
    without rows, ConfigError for an unknown baseline, DataError where all rows of a metric failed, or no seed or fewer
    than two prompts have a value in every arm.
    """
    kept = {row.arm: row.arm.rpartition("@")[2] for row in on_the_way}
    rows = [*rows, *on_the_way]
    rewards, kls = _cells(rows, reward), _cells(rows, kl)
    arms = {row.arm: row for row in rows if row.method != REFERENCE_METHOD}
    methods: dict[str, list[str]] = defaultdict(list)
    for arm, row in arms.items():
        methods[row.method].append(arm)
    if baseline not in methods:
        raise ConfigError(f"no method {baseline!r} in {run}; choose one of {', '.join(methods)}")
    seeds = sorted(set.intersection(*({s for a, s, _ in kls if a == arm} for arm in arms)))
    if not seeds:
        raise DataError(f"{run}: no seed has {kl} in every arm; run all arms with the same seeds")
    asked = {prompt for _, _, prompt in (*kls, *rewards)}
    prompts = sorted(p for p in asked if _complete(p, arms, seeds, rewards, kls))
    if len(prompts) < 2:
        raise DataError(
            f"{run}: expected two or more prompts with {reward} and {kl} in every arm and seed, and {reward} of "
            f"the reference, got {len(prompts)} of {len(asked)}; give both suites the same prompts (limit)"
        )
    tables = {
        method: MethodPoints(_table(kls, found, seeds, prompts), _table(rewards, found, seeds, prompts))
        for method, found in methods.items()
    }
    reference_P = np.array([rewards[REFERENCE_METHOD, 0, prompt] for prompt in prompts])
    return Frontier(
        run=run,
        reward=reward,
        kl=kl,
        baseline=baseline,
        seeds=tuple(seeds),
        n_prompts=len(prompts),
        n_left_out=len(asked) - len(prompts),
        reference_reward=float(reference_P.mean()),
        points=tuple(p for method, found in methods.items() for p in _points(tables[method], found, arms, kept)),
        matched=tuple(
            row
            for method in methods
            if method != baseline
            for row in _matched(method, tables[method], tables[baseline], reference_P, n_draws)
        ),
    )


def _cells(rows: Sequence[ScoreRow], name: str) -> Cells:
    suite, _, metric = name.partition(".")
    found: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    asked = [row for row in rows if (row.suite, row.metric) == (suite, metric)]
    for row in asked:
        if row.value is not None:
            found[row.arm, row.seed, row.prompt_id].append(row.value)
    if asked and not found:
        raise DataError(f"all {len(asked)} rows of {name} failed, the first because {asked[0].error}")
    if not found:
        known = sorted({f"{row.suite}.{row.metric}" for row in rows})
        raise SuiteError(
            f"the run has no values of {name}; add its suite to the sweep, or name one of {', '.join(known)}"
        )
    return {key: fmean(values) for key, values in found.items()}


def _complete(prompt: str, arms: Mapping[str, ScoreRow], seeds: Sequence[int], rewards: Cells, kls: Cells) -> bool:
    everywhere = [(arm, seed, prompt) for arm in arms for seed in seeds]
    return (REFERENCE_METHOD, 0, prompt) in rewards and all(key in rewards and key in kls for key in everywhere)


def _table(cells: Cells, arms: Sequence[str], seeds: Sequence[int], prompts: Sequence[str]) -> Floats:
    return np.array([[[cells[arm, seed, prompt] for prompt in prompts] for seed in seeds] for arm in arms])


def _points(
    table: MethodPoints, names: Sequence[str], arms: Mapping[str, ScoreRow], kept: Mapping[str, str]
) -> list[FrontierPoint]:
    kl_A, reward_A = table.kl_ASP.mean(axis=(1, 2)).tolist(), table.reward_ASP.mean(axis=(1, 2)).tolist()
    implicit_A = [arms[name].beta * kl for name, kl in zip(names, kl_A, strict=True)]
    flagged = first_over_optimised(kl_A, implicit_A, reward_A)
    return [
        FrontierPoint(
            method=arms[name].method,
            arm=name,
            kept=kept.get(name),
            beta=arms[name].beta,
            learning_rate=arms[name].learning_rate,
            kl=_estimate(table.kl_ASP[a]),
            reward=_estimate(table.reward_ASP[a]),
            implicit_reward=implicit_A[a],
            over_optimised=a == flagged,
        )
        for a, name in enumerate(names)
    ]


def _matched(
    method: str, table: MethodPoints, baseline: MethodPoints, reference_P: Floats, n_draws: int
) -> list[MatchedKl]:
    return [
        MatchedKl(
            method=method,
            kl=found.kl,
            reward=found.reward,
            baseline_reward=found.baseline,
            difference=found.difference,
            low=found.interval.low if found.interval else None,
            high=found.interval.high if found.interval else None,
        )
        for found in compare_at_matched_kl(table, baseline, reference_P, n_draws=n_draws)
    ]


def _estimate(values_SP: Floats) -> Estimate:
    found = crossed_interval(values_SP)
    return Estimate(value=found.estimate, low=found.low, high=found.high)
