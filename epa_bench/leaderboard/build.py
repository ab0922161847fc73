"""Score rows to a leaderboard: what is averaged, what is paired with what, and what is left out.

The arithmetic, which a reader can repeat in pandas to the last digit:

1. A prompt's value is the mean of its items in order of `item`, so prompts weigh equally. It has none where an item
   failed: a mean of other items than the baseline's would not be a paired comparison.
2. Per arm, values stand in a table of seeds x prompts, both ascending. A score is `mean()` over the table's cells,
   seed by seed, after prompts without a value in some seed were dropped.
3. A margin subtracts the baseline arm's table from the arm's on the seeds they share, drops prompts with a gap in
   either and takes `mean()` in the same way.
"""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from epa_bench.core.metric import MetricInfo
from epa_bench.core.records import ScoreRow
from epa_bench.leaderboard.board import ArmResult, Leaderboard, Margin, MetricTable, Score
from epa_bench.leaderboard.opponents import Arm, Opponent, arms_of, opponent_of
from epa_bench.leaderboard.rows import score_frame
from epa_bench.stats.crossed import Interval, crossed_interval, minimum_detectable_effect


def build_table(
    rows: Sequence[ScoreRow] | pd.DataFrame,
    *,
    baseline: str,
    judge: Mapping[str, str],
    title: str,
    versions: Mapping[str, str],
    notes: Sequence[str] = (),
    metrics: Mapping[tuple[str, str], MetricInfo] | None = None,
    level: float = 0.95,
) -> Leaderboard:
    """The leaderboard of all rows: a table for each suite and metric, ordered by name.

    `baseline` is a method; see `baseline_of` for several runs in one table. An arm's opponent is the baseline arm with
    its beta and learning rate; failing that, the only baseline arm of the rows; failing that there is no margin, and a
    note says why. `judge` describes a suite's judge, `metrics` says how (suite, metric) is shown: unknown ones are
    shown plainly.

    The order of the rows does not matter. Raises DataError for rows that contradict each other (see `score_frame`).
    """
    frame = score_frame(rows)
    arms = arms_of(frame, baseline)
    opponents = {arm.name: opponent_of(arm, arms, baseline) for arm in arms if not arm.is_baseline(baseline)}
    known = metrics or {}
    tables = []
    for _, part in frame.groupby(["suite", "metric"], sort=True):
        suite, metric = str(part["suite"].iloc[0]), str(part["metric"].iloc[0])
        with_rows = set(part["arm"].unique())
        tables.append(
            MetricTable(
                suite=suite,
                metric=metric,
                info=known.get((suite, metric), MetricInfo(label=metric)),
                judge=judge.get(suite),
                arms=tuple(_results(part, arms, opponents, level)),
                arms_without_rows=tuple(arm.name for arm in arms if arm.name not in with_rows),
            )
        )
    return Leaderboard(
        title=title,
        baseline=baseline,
        level=level,
        tables=tuple(tables),
        versions=dict(versions),
        notes=tuple(notes),
    )


def build_again(rows: Sequence[ScoreRow] | pd.DataFrame, board: Leaderboard) -> Leaderboard:
    """The leaderboard of rows as `board` shows them: its title, judges, metrics, versions and notes, but no number of
    it. Tables that are not means of rows, such as length-controlled win rates, are not in it. Raises DataError."""
    return build_table(
        rows,
        baseline=board.baseline,
        judge={table.suite: table.judge for table in board.tables if table.judge is not None},
        title=board.title,
        versions=board.versions,
        notes=board.notes,
        metrics={(table.suite, table.metric): table.info for table in board.tables},
        level=board.level,
    )


def prompt_values(part: pd.DataFrame) -> pd.DataFrame:
    """One value a prompt, of the rows of one suite and metric: index (arm, seed), a column a prompt, NaN for none."""
    return part.groupby(["arm", "seed", "prompt_id"])["value"].mean(skipna=False).unstack("prompt_id")


def differences(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """Ours - theirs over the seeds in common, ascending, and the prompts with a value in all of them on both sides.

    Both have a row a seed and a column a prompt.
    """
    common = ours.index.intersection(theirs.index).sort_values()
    return (ours.loc[common] - theirs.loc[common]).dropna(axis="columns")


def _results(
    part: pd.DataFrame, arms: Sequence[Arm], opponents: Mapping[str, Opponent], level: float
) -> Iterator[ArmResult]:
    """One result an arm that has rows, in the order of `arms`."""
    by_arm = {str(name): table.droplevel("arm") for name, table in prompt_values(part).groupby(level="arm")}
    failed = part["error"].notna().groupby(part["arm"]).sum()
    for arm in arms:
        if arm.name in by_arm:
            yield ArmResult(
                arm=arm.name,
                method=arm.method,
                beta=arm.beta,
                learning_rate=arm.learning_rate,
                score=_score(by_arm[arm.name], level),
                margin=_margin(by_arm, arm.name, opponents[arm.name], level) if arm.name in opponents else None,
                n_failed=int(failed[arm.name]),
            )


def _score(table: pd.DataFrame, level: float) -> Score:
    complete = table.dropna(axis="columns")
    value, interval, note = _mean(complete, level)
    return Score(
        seeds=_seeds(table),
        n_prompts=complete.shape[1],
        n_left_out=table.shape[1] - complete.shape[1],
        value=value,
        interval=interval,
        note=note,
    )


def _margin(by_arm: Mapping[str, pd.DataFrame], arm: str, opponent: Opponent, level: float) -> Margin:
    ours = by_arm[arm]

    def absent(why: str) -> Margin:
        return Margin(against=opponent.arm, seeds=(), n_prompts=0, n_left_out=ours.shape[1], note=why)

    if opponent.arm is None:
        return absent(opponent.why_none)
    if opponent.arm not in by_arm:
        return absent(f"no rows of {opponent.arm}")
    theirs = by_arm[opponent.arm]
    if ours.index.intersection(theirs.index).empty:
        return absent(f"no common seed: {_listed(ours)} here, {_listed(theirs)} for {opponent.arm}")
    difference = differences(ours, theirs)
    value, interval, note = _mean(difference, level)
    return Margin(
        against=opponent.arm,
        seeds=_seeds(difference),
        n_prompts=difference.shape[1],
        n_left_out=ours.shape[1] - difference.shape[1],
        value=value,
        interval=interval,
        note=note,
        mde=minimum_detectable_effect(interval.se, interval.dof, level=level) if interval else None,
    )


def _mean(table: pd.DataFrame, level: float) -> tuple[float | None, Interval | None, str | None]:
    """Mean of a seed x prompt table, its interval, and why one of them is absent."""
    if table.shape[1] == 0:
        return None, None, "no prompt has a value in every seed"
    if table.size == 1:
        return float(table.to_numpy()[0, 0]), None, "one seed and one prompt: no interval"
    interval = crossed_interval(table.to_numpy(), level)
    return interval.estimate, interval, None


def _seeds(table: pd.DataFrame) -> tuple[int, ...]:
    return tuple(int(seed) for seed in table.index)


def _listed(table: pd.DataFrame) -> str:
    return ", ".join(str(seed) for seed in _seeds(table))
