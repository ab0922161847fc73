"""MT-Bench's verdicts: ratings from 1 to 10, and matches played in both orders.

Patterns: lm-sys/FastChat at 0e6d3e4, fastchat/llm_judge/common.py. There a failed rating is -1 and nothing bounds one;
here both are errors.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from epa_bench.judges.asking import Answer, Judge, Report, Tally, UnparsedError, ask_in_order, silent
from epa_bench.judges.records import GameVerdict, MatchVerdict, Question, RatingVerdict, Reply, Winner

_RATINGS = (re.compile(r"\[\[(\d+\.?\d*)\]\]", re.ASCII), re.compile(r"\[(\d+\.?\d*)\]", re.ASCII))
_LABEL = re.compile(r"\[\[([ABC])\]\]")


@dataclass(frozen=True, slots=True)
class RatingItem:
    """One answer to rate."""

    prompt_id: str
    item: int
    """Distinguishes several items of a prompt, such as turns."""

    question: Question


@dataclass(frozen=True, slots=True)
class MatchItem:
    """Two answers to compare."""

    prompt_id: str
    item: int

    straight: Question
    """The baseline is assistant A."""

    swapped: Question
    """The output is assistant A."""


def parse_rating(reply: Reply) -> float:
    """The first `[[7]]`, failing that the first `[7]`. Raises UnparsedError where there is none within 1 to 10."""
    match = next(filter(None, (pattern.search(reply.text) for pattern in _RATINGS)), None)
    if match is None:
        raise UnparsedError("no rating" + _cut(reply))
    rating = float(match[1])
    if not 1 <= rating <= 10:
        raise UnparsedError(f"rating out of range: {match[1][:20]}, not 1 to 10")
    return rating


def parse_label(reply: Reply) -> str:
    """A, B or C from `[[A]]`. Raises UnparsedError where there is none or several differ.

    (FastChat takes A before B before C, wherever they stand.)
    """
    labels: list[str] = sorted(set(_LABEL.findall(reply.text)))
    if not labels:
        raise UnparsedError("no label" + _cut(reply))
    if len(labels) > 1:
        raise UnparsedError(f"several labels: {', '.join(labels)}")
    return labels[0]


def _cut(reply: Reply) -> str:
    return ": the reply was cut at its token limit" if reply.finish == "length" else ""


def judge_ratings(
    items: Sequence[RatingItem], judge: Judge, report: Report = silent
) -> tuple[list[RatingVerdict], Tally]:
    """One verdict an item, in their order. Raises what `judge.ask_all` raises."""
    answers, tally = ask_in_order(judge, [item.question for item in items], parse_rating, report)
    verdicts = [
        RatingVerdict(
            prompt_id=item.prompt_id, item=item.item, rating=answer.value, error=answer.error, reply=answer.reply
        )
        for item, answer in zip(items, answers, strict=True)
    ]
    return verdicts, tally


def judge_matches(
    items: Sequence[MatchItem], judge: Judge, report: Report = silent
) -> tuple[list[MatchVerdict], Tally]:
    """Every match in both orders, one verdict a match. Raises what `judge.ask_all` raises."""
    questions = [question for item in items for question in (item.straight, item.swapped)]
    answers, tally = ask_in_order(judge, questions, parse_label, report)
    games = zip(answers[::2], answers[1::2], strict=True)
    verdicts = [
        _match(item, _game(straight, swapped=False), _game(swapped, swapped=True))
        for item, (straight, swapped) in zip(items, games, strict=True)
    ]
    return verdicts, tally


def _game(answer: Answer[str], *, swapped: bool) -> GameVerdict:
    winner = None if answer.value is None else _winner(answer.value, swapped)
    return GameVerdict(swapped=swapped, winner=winner, error=answer.error, reply=answer.reply)


def _winner(label: str, swapped: bool) -> Winner:
    if label == "C":
        return "tie"
    return "output" if (label == "A") == swapped else "baseline"


def _match(item: MatchItem, straight: GameVerdict, swapped: GameVerdict) -> MatchVerdict:
    """An error where either game is one; a tie where the games disagree."""
    error = straight.error or swapped.error
    winner = None if error else straight.winner if straight.winner == swapped.winner else "tie"
    return MatchVerdict(prompt_id=item.prompt_id, item=item.item, winner=winner, error=error, games=(straight, swapped))
