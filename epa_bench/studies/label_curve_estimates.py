"""Estimates of a label curve: heights, areas, and areas against random choice, paired by seed and test item.

Shape suffixes: S seeds, P test items, L label counts.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from epa_bench.core.code import package_versions
from epa_bench.core.errors import ConfigError, DataError
from epa_bench.core.metric import MetricInfo
from epa_bench.core.processor import processor_name
from epa_bench.core.records import Finite, Record
from epa_bench.stats.crossed import crossed_interval
from epa_bench.studies.label_curve import RANDOM, CurveArm, CurveSettings, CurveTask, CurveValues, train_all

MIN_SEEDS = 3
_PACKAGES = ("torch", "transformers", "scikit-learn")

Array = NDArray[np.float64]


class Estimate(Record):
    """A mean over seeds and test items with its 95 % interval for new ones of both."""

    value: Finite
    low: Finite
    high: Finite


class CurveLine(Record):
    """One metric of one method under one arm."""

    method: str
    arm: str
    metric: str

    test_items: int
    """Those with a value at every seed and label count, of every arm; the others are left out of all."""

    left_out: int
    points: tuple[Estimate, ...]
    """At `CurveSettings.labels`."""

    area: Estimate
    """Mean height of the curve: its trapezoidal area over the range of labels."""

    seed_areas: tuple[Finite, ...]

    against_random: Estimate | None
    """Area minus that of random choice, paired by seed and test item; None for random itself."""

    against_first_method: Estimate | None
    """Area minus that of the first method under the same arm, paired likewise; None for the first."""


class LabelCurve(Record):
    """Everything the table says."""

    about: str
    settings: CurveSettings
    arms: tuple[CurveArm, ...]
    metrics: dict[str, MetricInfo]
    lines: tuple[CurveLine, ...]
    trainings: int
    processor: str
    versions: dict[str, str]


def run_label_curve(
    task: CurveTask,
    arms: Sequence[CurveArm],
    settings: CurveSettings,
    say: Callable[[str], None] = lambda line: None,
) -> LabelCurve:
    """Raises ConfigError for too few seeds or arms without `random`, DataError for a pool that is too small."""
    if len(set(settings.seeds)) < MIN_SEEDS:
        raise ConfigError(
            f"expected {MIN_SEEDS} or more seeds, got {len(set(settings.seeds))}: intervals are over them"
        )
    if RANDOM not in [arm.name for arm in arms]:
        raise ConfigError(f"expected an arm `{RANDOM}`, which the others are compared with")
    if len(task.pool) < settings.labels[-1]:
        raise DataError(f"expected a pool of {settings.labels[-1]} or more rows, got {len(task.pool)}")
    return curve_of(task, arms, settings, train_all(task, arms, settings, settings.seeds, say))


def curve_of(task: CurveTask, arms: Sequence[CurveArm], settings: CurveSettings, values: CurveValues) -> LabelCurve:
    """The estimates from the values of all seeds."""
    return LabelCurve(
        about=task.about,
        settings=settings,
        arms=tuple(arms),
        metrics=dict(task.metrics),
        lines=tuple(line for metric in task.metrics for line in _lines(task, arms, settings, metric, values)),
        trainings=len(settings.seeds) * len(task.methods) * (1 + len(arms) * settings.rounds),
        processor=processor_name(),
        versions=package_versions(_PACKAGES),
    )


def _lines(
    task: CurveTask, arms: Sequence[CurveArm], settings: CurveSettings, metric: str, values: CurveValues
) -> list[CurveLine]:
    items = _shared_items(metric, values)
    everything = set().union(*(of_model[metric] for of_model in values.values()))
    first = task.methods[0]
    heights = {
        (method, arm.name): _heights_LSP(values, settings, method, arm.name, metric, items)
        for method in task.methods
        for arm in arms
    }
    areas = {key: _area_SP(heights_LSP, settings.labels) for key, heights_LSP in heights.items()}
    return [
        CurveLine(
            method=method,
            arm=arm,
            metric=metric,
            test_items=len(items),
            left_out=len(everything) - len(items),
            points=tuple(_estimate(height_SP) for height_SP in heights[method, arm]),
            area=_estimate(area_SP),
            seed_areas=tuple(area_SP.mean(axis=1).tolist()),
            against_random=None if arm == RANDOM else _estimate(area_SP - areas[method, RANDOM]),
            against_first_method=None if method == first else _estimate(area_SP - areas[first, arm]),
        )
        for (method, arm), area_SP in areas.items()
    ]


def _shared_items(metric: str, values: CurveValues) -> list[str]:
    """Test items that every model has a value of. Raises DataError without two."""
    shared = set.intersection(*(set(of_model[metric]) for of_model in values.values()))
    if len(shared) < 2:
        raise DataError(f"expected two or more test items on which every model has a {metric}, got {len(shared)}")
    return sorted(shared)


def _heights_LSP(
    values: CurveValues, settings: CurveSettings, method: str, arm: str, metric: str, items: Sequence[str]
) -> Array:
    of_models = [[values[method, arm, seed, labels][metric] for seed in settings.seeds] for labels in settings.labels]
    return np.array([[[of_model[item] for item in items] for of_model in of_seeds] for of_seeds in of_models])


def _area_SP(heights_LSP: Array, labels: Sequence[int]) -> Array:
    return np.asarray(np.trapezoid(heights_LSP, labels, axis=0) / (labels[-1] - labels[0]))


def _estimate(values_SP: Array) -> Estimate:
    found = crossed_interval(values_SP)
    return Estimate(value=found.estimate, low=found.low, high=found.high)
