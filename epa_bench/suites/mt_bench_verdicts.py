"""Verdicts from FastChat's judgments: what is a rating or a winner, and what is an error."""

from collections.abc import Iterable, Mapping

from epa_bench.judges.records import GameVerdict, MatchVerdict, RatingVerdict
from epa_bench.judges.records import Winner as Side
from epa_bench.suites.mt_bench import QUESTIONS, TURNS
from epa_bench.suites.mt_bench_files import FAILED, PairJudgment, SingleJudgment, Winner

_UNREAD = "the judgment failed or could not be read"

_SIDES: Mapping[Winner, Side] = {"model_1": "baseline", "model_2": "output", "tie": "tie"}


def rating_verdict(judgment: SingleJudgment) -> RatingVerdict:
    """A score outside 1 to 10, FAILED included, is an error."""
    prompt_id, item, score = str(judgment.question_id), judgment.turn, judgment.score
    if 1 <= score <= 10:
        return RatingVerdict(prompt_id=prompt_id, item=item, rating=score)
    error = f"no rating: {_UNREAD}" if score == FAILED else f"rating out of range: {score:g}, not 1 to 10"
    return RatingVerdict(prompt_id=prompt_id, item=item, error=error)


def missing_ratings(judgments: Iterable[SingleJudgment]) -> list[RatingVerdict]:
    """An error for every rating that one model lacks."""
    there = {(judgment.question_id, judgment.turn) for judgment in judgments}
    return [
        RatingVerdict(prompt_id=str(number), item=turn, error="no judgment in the files")
        for number in QUESTIONS
        for turn in TURNS
        if (number, turn) not in there
    ]


def match_verdict(judgment: PairJudgment) -> MatchVerdict:
    """model_1 is the baseline, model_2 the output. An error where a game is one, a tie where the games disagree."""
    straight, swapped = _game(judgment.g1_winner, swapped=False), _game(judgment.g2_winner, swapped=True)
    error = straight.error or swapped.error
    return MatchVerdict(
        prompt_id=str(judgment.question_id),
        item=judgment.turn,
        winner=None if error else straight.winner if straight.winner == swapped.winner else "tie",
        error=error,
        games=(straight, swapped),
    )


def _game(winner: Winner, *, swapped: bool) -> GameVerdict:
    if winner == "error":
        return GameVerdict(swapped=swapped, error=f"no verdict: {_UNREAD}")
    return GameVerdict(swapped=swapped, winner=_SIDES[winner])
