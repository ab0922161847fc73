"""What a leaderboard holds. Every number is raw (not scaled for display) and carries its denominator."""

from typing import Self

from pydantic import Field, model_validator

from epa_bench.core.metric import MetricInfo
from epa_bench.core.records import Finite, Record
from epa_bench.stats.crossed import Interval

REFERENCE_METHOD = "reference"
"""Method name of the untrained checkpoint: shown beside the arms, not a candidate for the headline."""


class Cell(Record):
    """A mean over a seed x prompt table and what is known of it."""

    seeds: tuple[int, ...]
    """Seeds in the table, ascending."""

    n_prompts: int
    """Prompts in the table: those with a value in every seed."""

    n_left_out: int
    """Prompts that any arm has a row for in this suite and metric, and that are not in the table."""

    value: Finite | None = None
    """The mean; None where the table is empty."""

    interval: Interval | None = None

    note: str | None = None
    """Why the value or its interval is absent; None where both are there."""

    @model_validator(mode="after")
    def _absence_has_a_reason(self) -> Self:
        if (self.interval is None) != (self.note is not None):
            raise ValueError("a cell has either an interval or a note that says why not")
        return self


class Score(Cell):
    """Mean of an arm's values."""


class Margin(Cell):
    """Mean of the paired differences arm - baseline arm."""

    against: str | None
    """Name of the baseline arm; None where none fits."""

    mde: Finite | None = None
    """Minimum detectable effect at power .8 and the interval's level; None without an interval."""


class ArmResult(Record):
    """One line of a table."""

    arm: str
    method: str
    beta: Finite
    learning_rate: Finite
    score: Score

    margin: Margin | None
    """None for an arm of the baseline method itself."""

    n_failed: int
    """Rows with an error instead of a value, over all seeds. Counted, never scored."""

    stale: tuple[str, ...] = ()
    """What would be otherwise were its rows computed today; empty where they would be the same, or it is not known."""


class MetricTable(Record):
    """All arms on one metric of one suite."""

    suite: str
    metric: str
    info: MetricInfo

    judge: str | None
    """Who gave the verdicts; None for a suite without a judge."""

    arms: tuple[ArmResult, ...] = Field(min_length=1)
    """Arms of the baseline method first, then the others; each part by name."""

    arms_without_rows: tuple[str, ...]
    """Arms of the leaderboard that this metric has no row of, in the same order."""


class Leaderboard(Record):
    """Tables ordered by suite name, then metric name."""

    title: str

    baseline: str
    """Name of the baseline method."""

    level: Finite
    """Nominal coverage of every interval."""

    tables: tuple[MetricTable, ...] = Field(min_length=1)

    versions: dict[str, str]
    """Package or data set -> version."""

    notes: tuple[str, ...]

    def settings(self, suite: str) -> str | None:
        """How the suite was set, which a sweep's board states in its notes; None for an imported run."""
        return next((note for note in self.notes if note.startswith(f"{suite}: {{")), None)
