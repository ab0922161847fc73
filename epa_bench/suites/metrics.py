"""Metrics of each kind of suite, for tables."""

from collections.abc import Mapping

from epa_bench.core.metric import MetricInfo
from epa_bench.suites import generation, linearity, pairwise, reward_accuracy

METRICS_OF_KIND: Mapping[str, Mapping[str, MetricInfo]] = {
    "pairwise": pairwise.METRICS,
    "generation": generation.METRICS,
    "reward_accuracy": reward_accuracy.METRICS,
    "linearity": linearity.METRICS,
}
