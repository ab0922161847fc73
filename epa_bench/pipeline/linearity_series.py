"""A run's linearity as points for each checkpoint."""

from collections.abc import Sequence

import numpy as np

from epa_bench.core.digest import stable_seed
from epa_bench.core.files import read_records
from epa_bench.pipeline.run_results import Evaluated
from epa_bench.plots.series import Linearity, LinearityPanel
from epa_bench.suites.linearity_points import LinearityPoint, linearity_points
from epa_bench.suites.probes import ProbeItem, ProbeScore, scored_items

_DOTS = 400
"""Of a panel: more would hide each other. The CSV has all points."""

Points = list[LinearityPoint]


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
