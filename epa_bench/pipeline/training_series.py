"""A run's training logs as curves: arms overlaid, seeds as bands."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from epa_bench.core.cell import Cell
from epa_bench.core.errors import ConfigError, DataError
from epa_bench.pipeline.run_results import trained_arms
from epa_bench.plots.series import Band, Range, Training, TrainingPanel

SPEED = "tokens_per_second"

_TITLES: Mapping[str, str] = {
    "loss/over_step0": "loss / loss at start",
    "rewards/margins": "margin over rejected (nats)",
    "rewards/accuracies": "reward accuracy (0 to 1)",
    "rewards/chosen": "reward of chosen (nats)",
    "rewards/rejected": "reward of rejected (nats)",
    "rewards/weak": "reward of weak negatives (nats)",
    "softmax_mass/strong": "softmax mass, strong (0 to 1)",
    "softmax_mass/weak": "softmax mass, weak (0 to 1)",
    "learning_rate": "learning rate",
    "logps/chosen": "log-prob of chosen (nats)",
    "logps/rejected": "log-prob of rejected (nats)",
    SPEED: "tokens a second",
}
"""Metric of the log -> title, in the order of the panels."""

_MOST_POINTS = 100
"""Of a curve; of longer trainings, each is the mean of several steps."""

Curve = Mapping[int, float]
"""Number of a point, from 0 -> its value; a point whose steps logged nothing is left out."""


def training_series(run_folder: Path, metrics: Sequence[str] = ()) -> Training:
    """A panel a metric that any arm logged, of these or of all.

    Raises ConfigError for a metric that has no panel, StoreError for a run without a table or whose log is gone or
    damaged, DataError where nothing was trained.
    """
    unknown = [metric for metric in metrics if metric not in _TITLES]
    if unknown:
        raise ConfigError(f"no training curve of {', '.join(unknown)}; choose from {', '.join(_TITLES)}")
    logs: dict[str, list[list[dict[str, float]]]] = defaultdict(list)
    for trained in trained_arms(run_folder):
        logs[trained.arm].append(_log(trained.cell))
    if not logs:
        raise DataError(f"{run_folder}: no arm was trained here, so there is no training to plot")
    return series_of_logs(run_folder.name, logs, metrics or tuple(_TITLES))


def series_of_logs(
    run: str, logs: Mapping[str, Sequence[Sequence[Mapping[str, float]]]], metrics: Sequence[str] = tuple(_TITLES)
) -> Training:
    """`logs`: arm -> seeds -> optimizer steps -> what was logged, with `tokens` and `seconds` where they are known."""
    longest = max((len(log) for of_arm in logs.values() for log in of_arm), default=0)
    width = -(-longest // _MOST_POINTS)
    panels = [
        TrainingPanel(
            metric,
            _TITLES[metric],
            [band for arm, of_arm in logs.items() if (band := _band(arm, of_arm, metric, width)).steps],
        )
        for metric in metrics
    ]
    absent = [panel.title for panel in panels if not panel.bands]
    caption = (
        f"Run {run}. Lines: means over seeds; bands: lowest to highest seed. "
        + (f"A point is the mean of {width} steps. " if width > 1 else "")
        + "At the start the loss of EPA and DPO is log(number of candidates). Reward: beta times the log-ratio to the "
        "reference." + (f" Logged by no arm: {', '.join(absent)}." if absent else "")
    )
    return Training(tuple(logs), [panel for panel in panels if panel.bands], caption)


def _log(cell: Cell) -> list[dict[str, float]]:
    """Steps of a training; with tokens and seconds, which trainings of older versions did not leave."""
    files = [name for name in ("training_log.jsonl", "training_speed.jsonl") if name in cell.manifest.outputs]
    read = [[json.loads(line) for line in cell.file(name).read_text().splitlines()] for name in files]
    return [{name: value for entry in step for name, value in entry.items()} for step in zip(*read, strict=True)]


def _band(arm: str, of_arm: Sequence[Sequence[Mapping[str, float]]], metric: str, width: int) -> Band:
    """At the points that every seed has."""
    curves = [_curve(log, metric, width) for log in of_arm]
    points = sorted(set.intersection(*map(set, curves)))
    values = [[curve[point] for curve in curves] for point in points]
    # Steps of a point, the last of which may have fewer; of the shortest log, because every seed has it.
    last = min(map(len, of_arm))
    ends = [(point * width + 1, min((point + 1) * width, last)) for point in points]
    return Band(arm, [fmean(end) for end in ends], [Range(fmean(found), min(found), max(found)) for found in values])


def _curve(log: Sequence[Mapping[str, float]], metric: str, width: int) -> Curve:
    points = [log[start : start + width] for start in range(0, len(log), width)]
    return {number: value for number, steps in enumerate(points) if (value := _value(steps, metric)) is not None}


def _value(steps: Sequence[Mapping[str, float]], metric: str) -> float | None:
    """Mean over the steps that logged it; of tokens a second the tokens of all over the seconds of all."""
    if metric == SPEED:
        timed = [(step["tokens"], step["seconds"]) for step in steps if "seconds" in step]
        seconds = sum(second for _, second in timed)
        return sum(token for token, _ in timed) / seconds if seconds > 0 else None
    logged = [step[metric] for step in steps if metric in step and np.isfinite(step[metric])]
    return fmean(logged) if logged else None
