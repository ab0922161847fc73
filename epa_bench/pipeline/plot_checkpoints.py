"""Figures of a run's checkpoints, as files: training, linearity, reliability."""

from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from epa_bench.core.errors import ConfigError
from epa_bench.pipeline.linearity_series import linearity_series, points_of
from epa_bench.pipeline.reliability_series import margins_of, reliability_series
from epa_bench.pipeline.run_results import Evaluated, evaluated
from epa_bench.pipeline.training_series import SPEED, training_series
from epa_bench.plots.files import write_figure, write_points
from epa_bench.plots.linearity import linearity_figure
from epa_bench.plots.paper import Format
from epa_bench.plots.reliability import reliability_figure
from epa_bench.plots.series import Training
from epa_bench.plots.training import training_figure
from epa_bench.suites.calibration import ReliabilityBin, expected_calibration_error
from epa_bench.suites.linearity_points import LinearityPoint

_OF = ("suite", "arm", "seed")


def plot_training(
    run_folder: Path, leaderboards: Path, only: Format | None, *, metrics: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Writes NAME.training.svg, .png and .csv beside the tables. Gives a row an arm with its last values.

    Raises what `training_series` raises, and StoreError where the files cannot be written.
    """
    training = training_series(run_folder, metrics)
    path = leaderboards / f"{run_folder.name}.training"
    plot = write_figure(training_figure(training), path, only)
    points = (
        (panel.metric, band.label, step, found.value, found.low, found.high)
        for panel in training.panels
        for band in panel.bands
        for step, found in zip(band.steps, band.ranges, strict=True)
    )
    write_points(path, ("metric", "arm", "step", "mean", "low", "high"), points)
    return [{"arm": arm, **_last(training, arm), "plot": plot} for arm in training.labels]


def plot_linearity(
    run_folder: Path,
    leaderboards: Path,
    only: Format | None,
    *,
    arms: Sequence[str] = (),
    seeds: Sequence[int] = (),
) -> list[dict[str, Any]]:
    """Writes NAME.SUITE.svg, .png and .csv beside the tables, for every linearity suite of a run.

    Of all checkpoints, or of these arms, in this order, and these seeds. Gives a row a checkpoint with the number of
    its points. Raises ConfigError for a run without such a suite or checkpoint, StoreError where a cell is absent or
    damaged, DataError without a point.
    """
    shown = []
    for suite, results in evaluated(run_folder, "linearity").items():
        points = [(result, points_of(result)) for result in _chosen(results, arms, seeds)]
        path = leaderboards / f"{run_folder.name}.{suite}"
        plot = write_figure(linearity_figure(linearity_series(run_folder.name, points)), path, only)
        rows = (
            (suite, result.arm, result.seed, *point.model_dump().values())
            for result, found in points
            for point in found
        )
        write_points(path, (*_OF, *LinearityPoint.model_fields), rows)
        shown += [
            {"suite": suite, "checkpoint": result.label, "points": len(found), "plot": plot} for result, found in points
        ]
    return shown


def plot_reliability(run_folder: Path, leaderboards: Path, only: Format | None) -> list[dict[str, Any]]:
    """Writes NAME.SUITE.svg, .png and .csv beside the tables, for every calibration suite of a run.

    Gives a row a checkpoint with the number of its pairs and the error (ECE, 0 to 1) that its panel shows. Raises
    ConfigError for a run without such a suite, StoreError where a cell is absent or damaged, DataError without a pair.
    """
    shown = []
    for suite, results in evaluated(run_folder, "calibration").items():
        margins = [(result, margins_of(result)) for result in results]
        reliability = reliability_series(run_folder.name, margins)
        path = leaderboards / f"{run_folder.name}.{suite}"
        plot = write_figure(reliability_figure(reliability), path, only)
        rows = ((suite, panel.arm, panel.seed, *astuple(found)) for panel in reliability.panels for found in panel.bins)
        write_points(path, (*_OF, *(field.name for field in fields(ReliabilityBin))), rows)
        shown += [
            {
                "suite": suite,
                "checkpoint": result.label,
                "pairs": len(margins_N),
                "ece": expected_calibration_error(margins_N) if margins_N else None,
                "plot": plot,
            }
            for result, margins_N in margins
        ]
    return shown


def _chosen(results: Sequence[Evaluated], arms: Sequence[str], seeds: Sequence[int]) -> list[Evaluated]:
    """Those of the arms and seeds that are named, in the order of the arms; all of them where none is."""
    absent = [arm for arm in arms if arm not in {result.arm for result in results}]
    absent += [f"seed {seed}" for seed in seeds if seed not in {result.seed for result in results}]
    if absent:
        known = ", ".join(result.label for result in results)
        raise ConfigError(f"no checkpoint of {', '.join(absent)} in the run; it has {known}")
    chosen = [result for result in results if (not arms or result.arm in arms) and (not seeds or result.seed in seeds)]
    return sorted(chosen, key=lambda result: arms.index(result.arm)) if arms else chosen


def _last(training: Training, arm: str) -> dict[str, float | None]:
    """Values at the last point."""
    found = {
        panel.metric: band.ranges[-1].value for panel in training.panels for band in panel.bands if band.label == arm
    }
    return {metric: found.get(metric) for metric in ("rewards/margins", "rewards/accuracies", SPEED)}
