"""What a gate found. Numbers are raw, positive changes are improvements whichever way the metric points."""

from typing import Literal

from epa_bench.core.metric import MetricInfo
from epa_bench.core.records import Finite, Record
from epa_bench.leaderboard.gate_policy import Check, Golden
from epa_bench.stats.crossed import Interval
from epa_bench.stats.noninferiority import Verdict

EXIT_CODES: dict[Verdict, Literal[0, 1, 2]] = {"PASS": 0, "BREACH": 1, "INCONCLUSIVE": 2}


class Flip(Record):
    """A prompt whose outcome changed sides of one half between baseline and candidate."""

    seed: int
    prompt_id: str
    before: Finite
    after: Finite
    better: bool


class Tested(Record):
    """The statistics of one check, over the prompts and seeds that both have."""

    baseline: Finite
    """Mean score, as it stands in the rows."""

    candidate: Finite

    interval: Interval
    """Of the change, positive where the candidate is better; each end a one-sided bound at the policy's level."""

    p_non_inferior: Finite
    p_inferior: Finite
    """Holm-adjusted over the checks of its kind: those that decide, and the advisory ones."""

    needed_margin: Finite
    """What an unchanged candidate would pass with probability .8."""

    p_sign_flip: Finite
    """Of no change at all, for these seeds: signs of whole prompts flipped."""

    p_mcnemar: Finite | None
    """The same for outcomes of 0 and 1 from one seed; else None."""

    flips: tuple[Flip, ...] | None
    """Losses first; None for a metric whose values are not all within 0 and 1."""


class CheckResult(Record):
    """One check of the policy."""

    check: Check
    info: MetricInfo
    verdict: Verdict

    seeds: tuple[int, ...]
    """That both have."""

    seeds_left_out: tuple[int, ...]
    """That only one of them has."""

    n_prompts: int
    """With a value in each of these seeds, on both sides."""

    n_left_out: int
    """Prompts of either side without that."""

    notes: tuple[str, ...]
    """Why there is no verdict, and what a reader must know of one."""

    tested: Tested | None
    """None where there was nothing to test."""

    @property
    def decides(self) -> bool:
        return self.check.tier != "advisory"


class GoldenResult(Record):
    """One golden value of the policy."""

    golden: Golden
    found: Finite | None
    """The candidate's."""

    verdict: Literal["PASS", "BREACH"]


class GateReport(Record):
    """All of a gate."""

    policy: str
    baseline: str
    candidate: str
    level: Finite
    verdict: Verdict
    checks: tuple[CheckResult, ...]
    golden: tuple[GoldenResult, ...]

    @property
    def exit_code(self) -> int:
        """0 PASS, 1 BREACH, 2 INCONCLUSIVE."""
        return EXIT_CODES[self.verdict]
