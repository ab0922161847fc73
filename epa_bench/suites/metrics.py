"""Metrics of each suite, for tables."""

from collections.abc import Mapping

from epa_bench.core.metric import MetricInfo
from epa_bench.suites import (
    alpaca_eval,
    bench_values,
    best_of_n,
    calibration,
    displacement,
    generation,
    golden,
    kl,
    linearity,
    lm_eval_values,
    mt_bench_scores,
    off_support,
    pairwise,
    reward_accuracy,
)
from epa_bench.suites.definitions import LmEvalSuite, SuiteDefinition

METRICS_OF_KIND: Mapping[str, Mapping[str, MetricInfo]] = {
    "pairwise": pairwise.METRICS,
    "generation": generation.METRICS,
    "reward_accuracy": reward_accuracy.METRICS,
    "linearity": linearity.METRICS,
    "best_of_n": best_of_n.METRICS,
    "kl": kl.METRICS,
    "reward_bench": bench_values.REWARD_BENCH_METRICS,
    "reward_bench_2": bench_values.REWARD_BENCH_2_METRICS,
    "off_support": off_support.METRICS,
    "displacement": displacement.METRICS,
    "calibration": calibration.METRICS,
    "alpaca_eval": alpaca_eval.METRICS,
    "mt_bench": mt_bench_scores.METRICS,
    "golden": golden.METRICS,
}


def metrics_of(suite: SuiteDefinition) -> Mapping[str, MetricInfo]:
    """By name: those of the suite's kind, or one a task of an lm-eval suite."""
    if isinstance(suite, LmEvalSuite):
        return lm_eval_values.metrics_of_tasks(suite.tasks)
    return METRICS_OF_KIND[suite.kind]
