"""What a gate asks of a candidate: policy.yaml, typed, with the line of every key."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from epa_bench.config.values import Fraction, Positive
from epa_bench.config.yaml12 import Document, Location, read_document
from epa_bench.core.errors import ConfigError, Problem, list_problems
from epa_bench.core.records import Finite, Record
from epa_bench.leaderboard.board import ArmResult, Leaderboard
from epa_bench.leaderboard.lookup import UnknownNameError, find_result

_NO_ROWS = (
    "is fitted to all prompts together (length control), so there is no value a prompt to pair with the baseline's; "
    "check `win_rate` and the answers' `length` instead"
)

Tier = Literal["critical", "supporting", "advisory"]


class _OfArm(Record):
    """Names one arm's values of one metric, as they stand in rows.jsonl."""

    suite: str
    metric: str
    arm: str


class Check(_OfArm):
    """The candidate's arm may be worse than the baseline's by less than `margin`."""

    margin: Positive
    """In the unit of the rows: .02 is two points of a win rate."""

    tier: Tier
    """critical: must pass; supporting: must not breach; advisory: is only reported."""


class Golden(_OfArm):
    """A number that does not vary: anything else is a breach."""

    of: Literal["score", "margin", "margin_se"] = "score"
    """The arm's mean score, its margin over the baseline arm, or the standard error of that margin."""

    value: Finite
    tolerance: Annotated[Finite, Field(ge=0)]
    """Largest |found - value| that passes."""

    def found(self, result: ArmResult) -> float | None:
        """None where the arm has no such number."""
        margin = result.margin
        if self.of == "score":
            return result.score.value
        if margin is None:
            return None
        if self.of == "margin":
            return margin.value
        return None if margin.interval is None else margin.interval.se


class Policy(Record):
    """The file."""

    level: Annotated[Finite, Field(gt=0.5, lt=1)] = 0.95
    """Of each one-sided bound."""

    max_left_out: Fraction = 0.05
    """Share of a check's prompts that may lack a pair; above it the check is inconclusive, since what failed may well
    be what got worse."""

    checks: tuple[Check, ...] = ()
    golden: tuple[Golden, ...] = ()

    @model_validator(mode="after")
    def _asks_something_once(self) -> Self:
        if not self.checks and not self.golden:
            raise ValueError("expected `checks`, `golden` or both")
        checks = [(check.suite, check.metric, check.arm) for check in self.checks]
        golden = [(golden.suite, golden.metric, golden.arm, golden.of) for golden in self.golden]
        if len(set(checks)) < len(checks) or len(set(golden)) < len(golden):
            raise ValueError("two entries of one list name the same suite, metric and arm")
        return self

    @property
    def compared(self) -> frozenset[tuple[str, str]]:
        """(suite, metric) of every check."""
        return frozenset((check.suite, check.metric) for check in self.checks)


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy and where its keys stand."""

    policy: Policy
    document: Document

    def check_names(
        self, baseline: Leaderboard | None, candidate: Leaderboard, statistics: Collection[tuple[str, str]] = ()
    ) -> None:
        """Raises ConfigError that lists every suite, metric and arm that a run does not have, and every metric of a
        check without a better side.

        `baseline`: None where it is not read. `statistics`: (suite, metric) of the tables that are no means of rows,
        which the boards do not have.
        """
        boards = {"candidate": candidate} | ({"baseline": baseline} if baseline else {})
        problems = [problem for name, board in boards.items() for problem in self._unknown(name, board, statistics)]
        if problems:
            raise ConfigError(list_problems(problems, self.document.name))

    def _unknown(self, run: str, board: Leaderboard, statistics: Collection[tuple[str, str]]) -> Iterator[Problem]:
        # Golden values are asked of the candidate only.
        parts = {"checks": self.policy.checks} | ({"golden": self.policy.golden} if run == "candidate" else {})
        for part, entries in parts.items():
            for number, asked in enumerate(entries):
                place: Location = (part, number)
                if (asked.suite, asked.metric) in statistics:
                    yield Problem(self.document.where((*place, "metric")), f"`{asked.metric}` {_NO_ROWS}")
                    continue
                try:
                    table, _ = find_result(board, asked.suite, asked.metric, asked.arm)
                except UnknownNameError as unknown:
                    yield Problem(self.document.where((*place, unknown.key)), f"the {run} has {unknown}")
                    continue
                if part == "checks" and table.info.better not in ("higher", "lower"):
                    what = f"`{asked.metric}` has no better side, so nothing is inferior; give it a golden value"
                    yield Problem(self.document.where((*place, "metric")), what)


def read_policy(path: Path) -> LoadedPolicy:
    """Raises ConfigError that lists every problem with file and line."""
    document = read_document(path)
    try:
        # Through JSON: strict mode then takes lists for tuples and 1 for 1.0.
        return LoadedPolicy(Policy.model_validate_json(json.dumps(document.data)), document)
    except ValidationError as error:
        problems = [
            Problem(
                document.where(detail["loc"]), f"`{'.'.join(map(str, detail['loc'])) or 'the file'}`: {detail['msg']}"
            )
            for detail in error.errors()
        ]
        raise ConfigError(list_problems(problems, document.name)) from None
