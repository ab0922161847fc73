"""Methods at matched KL, beside the table of every sweep that has measured both KL and reward."""

import pandas as pd

from epa_bench.core.errors import DataError, SuiteError
from epa_bench.core.records import ScoreRow
from epa_bench.leaderboard.rows import records_of
from epa_bench.pipeline.frontier import Frontier, frontier_of_rows
from epa_bench.pipeline.run import Run
from epa_bench.suites.definitions import GenerationSuite, KlSuite

_WITHOUT = "Margins stand at each method's own distance from the reference"


def matched_kl(run: Run, rows: pd.DataFrame, kept: pd.DataFrame | None) -> tuple[Frontier | None, list[str]]:
    """The frontier of a sweep with the suites `kl` and `generation` and a gold reward, and what the table says of it.

    `rows`, `kept`: tables of `score_frame`, of the last checkpoints and of those kept on the way.

    Without `kl` there is neither; where KL is measured and cannot be matched, the note says why.
    """
    kls = [name for name, suite in run.cells.suites.items() if isinstance(suite, KlSuite)]
    if not kls:
        return None, []
    rewards = [name for name, suite in run.cells.suites.items() if isinstance(suite, GenerationSuite)]
    if not rewards or not run.cells.has_gold:
        return None, [
            f"{_WITHOUT}; matching it needs `generation` with a gold reward, or `epa-bench frontier --reward`."
        ]
    name, baseline = run.sweep.name, run.sweep.table.baseline
    reward, kl = f"{rewards[0]}.gold_reward", f"{kls[0]}.kl_k3_tokens"
    last, on_the_way = (_asked(frame, {reward, kl}) for frame in (rows, kept))
    try:
        found = frontier_of_rows(name, last, on_the_way, reward=reward, kl=kl, baseline=baseline)
    except (DataError, SuiteError) as error:
        return None, [f"{_WITHOUT}, which cannot be matched: {error}."]
    return found, [f"{_WITHOUT}. Methods where they have gone equally far: {name}.matched-kl.md."]


def _asked(frame: pd.DataFrame | None, metrics: set[str]) -> list[ScoreRow]:
    """The rows of some metrics, SUITE.METRIC each."""
    if frame is None:
        return []
    return list(records_of(frame[(frame["suite"] + "." + frame["metric"]).isin(metrics)]))
