"""MT-Bench's numbers: scores by turn, category and overall, win rates of pairs, and what is left of them as rows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from epa_bench.core.metric import MetricInfo
from epa_bench.core.records import Record
from epa_bench.judges.records import MatchVerdict, RatingVerdict
from epa_bench.stats.clustered import ClusteredMean, clustered_mean
from epa_bench.suites.means import Mean
from epa_bench.suites.mt_bench import CATEGORIES, category_of
from epa_bench.suites.values import Value

_TURN_METRICS = {1: "first_turn", 2: "second_turn"}

METRICS: Mapping[str, MetricInfo] = {
    "score": MetricInfo(label="score", better="higher", headline=True),
    "first_turn": MetricInfo(label="score, first turn", better="higher"),
    "second_turn": MetricInfo(label="score, second turn", better="higher"),
    **{category: MetricInfo(label=f"score, {category}", better="higher") for category in CATEGORIES},
    "win_rate_adjusted": MetricInfo(
        label="adjusted win rate", unit="%", better="higher", scale=100, digits=1, headline=True
    ),
    "order_inconsistency": MetricInfo(label="orders disagree", unit="%", better="lower", scale=100, digits=1),
}
"""Ratings give those up to the categories, pairs the last two."""


class Scores(Record):
    """Of one model. Means are over the rows with a rating, as in FastChat; None where there is none."""

    first_turn: Mean | None
    second_turn: Mean | None

    average: Mean | None
    """Over all rows, not of the turns' means."""

    categories: dict[str, Mean | None]
    n_errors: int

    def row(self) -> dict[str, Any]:
        """Flat, `low` and `high` being the average's; what has an interval of its own stands below in full."""
        return {
            "first_turn": _value(self.first_turn),
            "second_turn": _value(self.second_turn),
            "average": _value(self.average),
            **_interval(self.average),
            "n": self.average.n if self.average else 0,
            "n_errors": self.n_errors,
            "means": self.model_dump(mode="json", exclude={"n_errors"}),
        }


class PairScores(Record):
    """Of one model against others. A tie, or two orders that disagree, is half a win."""

    win: int
    loss: int
    tie: int
    win_rate_adjusted: Mean | None

    inconsistency_rate: Mean | None
    """Share of the pairs whose orders name different winners."""

    n_errors: int

    def row(self) -> dict[str, Any]:
        """Flat, `low` and `high` being the adjusted win rate's; rates as in FastChat's show_result."""
        n = self.win + self.loss + self.tie
        return {
            "win": self.win,
            "loss": self.loss,
            "tie": self.tie,
            "win_rate": self.win / n if n else None,
            "loss_rate": self.loss / n if n else None,
            "win_rate_adjusted": _value(self.win_rate_adjusted),
            **_interval(self.win_rate_adjusted),
            "inconsistency_rate": _value(self.inconsistency_rate),
            "n": n,
            "n_errors": self.n_errors,
            "means": self.model_dump(mode="json", include={"win_rate_adjusted", "inconsistency_rate"}),
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """One pair from one model's side."""

    prompt_id: str
    item: int

    share: float | None
    """1 won, 0 lost, 1/2 a tie; None for an error."""

    consistent: bool
    error: str | None


def rating_values(ratings: Iterable[RatingVerdict]) -> Iterator[Value]:
    """Three values a rating: the overall score's, its turn's and its category's."""
    for rating in ratings:
        for metric in ("score", _TURN_METRICS[rating.item], category_of(int(rating.prompt_id))):
            yield Value(
                metric=metric,
                prompt_id=rating.prompt_id,
                item=rating.item,
                value=rating.rating,
                error=rating.error,
            )


def outcome_values(outcomes: Iterable[Outcome]) -> Iterator[Value]:
    """Two values a pair. A model that meets several others has an item for each, so outcomes are numbered."""
    seen: dict[str, int] = {}
    for outcome in outcomes:
        item = seen[outcome.prompt_id] = seen.get(outcome.prompt_id, 0) + 1
        inconsistent = None if outcome.error else float(not outcome.consistent)
        for metric, value in (("win_rate_adjusted", outcome.share), ("order_inconsistency", inconsistent)):
            yield Value(metric=metric, prompt_id=outcome.prompt_id, item=item, value=value, error=outcome.error)


def outcomes(match: MatchVerdict) -> tuple[Outcome, Outcome]:
    """The output's side and the baseline's."""
    shares = {"output": (1.0, 0.0), "baseline": (0.0, 1.0), "tie": (0.5, 0.5), None: (None, None)}[match.winner]
    output, baseline = (Outcome(match.prompt_id, match.item, share, match.consistent, match.error) for share in shares)
    return output, baseline


def score_ratings(ratings: Sequence[RatingVerdict]) -> Scores:
    """The scores of one model."""
    return Scores(
        first_turn=_mean([rating for rating in ratings if rating.item == 1]),
        second_turn=_mean([rating for rating in ratings if rating.item == 2]),
        average=_mean(ratings),
        categories={
            category: _mean([rating for rating in ratings if category_of(int(rating.prompt_id)) == category])
            for category in CATEGORIES
        },
        n_errors=sum(rating.error is not None for rating in ratings),
    )


def score_outcomes(results: Sequence[Outcome]) -> PairScores:
    """The scores of one model's pairs."""
    judged = [(result, result.share) for result in results if result.share is not None]
    shares = [share for _, share in judged]
    prompts = [result.prompt_id for result, _ in judged]
    return PairScores(
        win=shares.count(1.0),
        loss=shares.count(0.0),
        tie=shares.count(0.5),
        win_rate_adjusted=Mean.of_shares(shares, prompts),
        inconsistency_rate=Mean.of_shares([float(not result.consistent) for result, _ in judged], prompts),
        n_errors=len(results) - len(judged),
    )


def score_difference(ours: Sequence[RatingVerdict], theirs: Sequence[RatingVerdict]) -> ClusteredMean | None:
    """Mean difference ours - theirs over the rows that both have a rating of, clustered by question.

    None where fewer than two questions have one.
    """
    known = {(rating.prompt_id, rating.item): rating.rating for rating in theirs if rating.rating is not None}
    pairs = [
        (rating.rating - known[rating.prompt_id, rating.item], rating.prompt_id)
        for rating in ours
        if rating.rating is not None and (rating.prompt_id, rating.item) in known
    ]
    if len({prompt for _, prompt in pairs}) < 2:
        return None
    return clustered_mean([difference for difference, _ in pairs], [prompt for _, prompt in pairs])


def _mean(ratings: Sequence[RatingVerdict]) -> Mean | None:
    rated = [(rating.rating, rating.prompt_id) for rating in ratings if rating.rating is not None]
    return Mean.of([value for value, _ in rated], [prompt for _, prompt in rated])


def _value(mean: Mean | None) -> float | None:
    return mean.value if mean else None


def _interval(mean: Mean | None) -> dict[str, float | None]:
    return {"low": mean.low if mean else None, "high": mean.high if mean else None}
