"""A run's linearity as a scatter for each checkpoint."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from epa_bench.core.digest import stable_seed
from epa_bench.core.files import read_records
from epa_bench.pipeline.plot_files import write_figure, write_points
from epa_bench.pipeline.run_results import Evaluated, evaluated
from epa_bench.plots.linearity import linearity_figure
from epa_bench.plots.paper import Format
from epa_bench.plots.series import Linearity, LinearityPanel
from epa_bench.suites.linearity_points import LinearityPoint, linearity_points
from epa_bench.suites.probes import ProbeItem, ProbeScore, scored_items

_DOTS = 400
"""Of a panel: more would hide each other. The CSV has all points."""

_COLUMNS = ("suite", "arm", "seed", *LinearityPoint.model_fields)

Points = list[LinearityPoint]


def plot_linearity(run_folder: Path, leaderboards: Path, only: Format | None) -> list[dict[str, Any]]:
    """Writes NAME.SUITE.svg, .png and .csv beside the tables, for every linearity suite of a run.

    Gives a row a checkpoint with the number of its points. Raises ConfigError for a run without such a suite,
    StoreError where a cell is absent or damaged, DataError without a point.
    """
    shown = []
    for suite, results in evaluated(run_folder, "linearity").items():
        points = [(result, points_of(result)) for result in results]
        path = leaderboards / f"{run_folder.name}.{suite}"
        figure = linearity_figure(linearity_series(run_folder.name, points))
        plot = write_figure(figure, path, only)
        write_points(path, _COLUMNS, (row for result, found in points for row in _rows(result, found)))
        shown += [
            {"suite": suite, "checkpoint": result.label, "points": len(found), "plot": plot} for result, found in points
        ]
    return shown


def linearity_series(run: str, points: Sequence[tuple[Evaluated, Points]]) -> Linearity:
    """A panel a checkpoint, with some of its points."""
    caption = (
        f"Run {run}. Rewards minus their prompt's mean; r and slope of all points together. At most {_DOTS} points a "
        "panel, drawn at random."
    )
    return Linearity([_panel(result, found) for result, found in points], caption)


def points_of(result: Evaluated) -> Points:
    """Of the prompts that the suite has a value for. Raises StoreError where what they were made of is not there."""
    config = result.cell.manifest.recipe["config"]
    scored = scored_items(
        read_records(result.input("probes").file("probes.jsonl"), ProbeItem),
        read_records(result.input("logps").file("logps.jsonl"), ProbeScore),
        read_records(result.input("reference_logps").file("logps.jsonl"), ProbeScore),
        beta=config["beta"],
        limit=config["limit"],
    )
    return list(linearity_points(scored, config["mismatched"]))


def _panel(result: Evaluated, points: Points) -> LinearityPanel:
    rng = np.random.Generator(np.random.PCG64(stable_seed("dots", result.label)))
    drawn = [points[index] for index in sorted(np.argsort(rng.random(len(points)), kind="stable")[:_DOTS])]
    return LinearityPanel(
        arm=result.arm,
        seed=result.seed,
        note=_fit(points),
        own=[(point.gold, point.reward) for point in drawn if not point.mismatched],
        mismatched=[(point.gold, point.reward) for point in drawn if point.mismatched],
    )


def _fit(points: Points) -> str:
    """Pearson's correlation and the least-squares slope; both axes have mean 0."""
    gold_N, reward_N = (np.array([getattr(point, name) for point in points]) for name in ("gold", "reward"))
    across, up, along = float(gold_N @ gold_N), float(reward_N @ reward_N), float(gold_N @ reward_N)
    if across == 0 or up == 0:
        return "no fit"
    return f"r {along / (across * up) ** 0.5:.2f}, slope {along / across:.2f}"


def _rows(result: Evaluated, points: Points) -> list[list[object]]:
    return [[result.suite, result.arm, result.seed, *point.model_dump().values()] for point in points]
