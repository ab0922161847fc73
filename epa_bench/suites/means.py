"""Means with their intervals as they are written: rows that share a prompt belong together."""

from collections.abc import Sequence
from typing import Self

from epa_bench.core.records import Finite, Record
from epa_bench.stats.clustered import ClusteredMean, clustered_mean, clustered_proportion


class Mean(Record):
    """A mean over rows and its 95 % interval for new prompts."""

    value: Finite
    low: Finite | None
    high: Finite | None
    """None where all rows are of one prompt."""

    n: int
    """Rows."""

    @classmethod
    def of(cls, values: Sequence[float], prompts: Sequence[str]) -> Self | None:
        """Student's interval; see `clustered_mean`. None without rows."""
        if len(set(prompts)) < 2:
            return cls._without_interval(values)
        return cls._of(clustered_mean(values, prompts))

    @classmethod
    def of_shares(cls, values: Sequence[float], prompts: Sequence[str]) -> Self | None:
        """Wilson's interval, for rows between 0 and 1; see `clustered_proportion`. None without rows."""
        if len(set(prompts)) < 2:
            return cls._without_interval(values)
        return cls._of(clustered_proportion(values, prompts))

    @classmethod
    def _of(cls, found: ClusteredMean) -> Self:
        return cls(value=found.estimate, low=found.low, high=found.high, n=found.n)

    @classmethod
    def _without_interval(cls, values: Sequence[float]) -> Self | None:
        return cls(value=sum(values) / len(values), low=None, high=None, n=len(values)) if values else None
