"""Fixed inputs through the parts of a sweep that no training changes: the same values on every machine.

For `golden` entries of a gate's policy. Each part is the one the sweep runs, under the sweep's own settings; only
what goes in is fixed here. Numbers that depend on weights differ between processors and have no place here.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from epa_bench.core.digest import stable_seed
from epa_bench.core.files import write_records
from epa_bench.core.metric import MetricInfo
from epa_bench.core.records import Message, Preference, Response
from epa_bench.data.chat import Renderer
from epa_bench.data.embedded.families import make_prompts
from epa_bench.data.plan import build_plan
from epa_bench.judges.pairs import Pairing, PairwiseProtocol, judge_pairs, pairwise_questions
from epa_bench.judges.rating import RatingItem, judge_ratings
from epa_bench.judges.recorded import RecordedReplies
from epa_bench.judges.records import JudgeDecoding, Question, Reply, StoredReply, Usage
from epa_bench.suites import golden_scores
from epa_bench.suites.mt_bench import CATEGORIES
from epa_bench.suites.mt_bench_files import FIRST_QUESTION
from epa_bench.suites.mt_bench_scores import Scores, rating_values, score_ratings
from epa_bench.suites.pairwise import pairwise_values
from epa_bench.suites.values import Value

METRICS: Mapping[str, MetricInfo] = {
    "loss": MetricInfo(label="loss of given log-probs", unit="nats", digits=9),
    "loss_gradient": MetricInfo(label="its slope in the positive's log-prob", digits=9),
    "plan_order": MetricInfo(label="order of given rows, as a checksum"),
    "plan_negatives": MetricInfo(label="their negatives, as a checksum"),
    "plan_candidates": MetricInfo(label="candidates of a group that count"),
    "prompt_tokens": MetricInfo(label="tokens of given prompts", unit="tokens"),
    "response_tokens": MetricInfo(label="tokens of given answers", unit="tokens"),
    "token_ids": MetricInfo(label="their ids, as a checksum"),
    "win_rate": MetricInfo(label="given replies on pairs, both orders", unit="%", scale=100, digits=6),
    "score": MetricInfo(label="given ratings of two turns"),
    "mt_bench_average": MetricInfo(label="MT-Bench's average of these ratings, over rows", digits=9),
    "mt_bench_parts": MetricInfo(label="its turns and categories, as a checksum", digits=9),
    "paired_rows": MetricInfo(label="given rows of seeds, prompts and turns", digits=9),
    **golden_scores.METRICS,
}
"""A checksum weighs each number by its place, so that what is swapped shows. None has a better side."""

_TEXTS = 8

_TEMPLATE = """\
<|im_start|>user
{instruction}
m: {output_1}
M: {output_2}<|im_end|>
"""
_DECODING = JudgeDecoding(temperature=0, max_tokens=1, top_logprobs=5)
_RATINGS = (
    *("Rating: [[7]]", "[[8.5]] and not [[2]]", "So: [3]", "Rating: [[10]]"),
    # Three that are no rating, each beside a turn that has one: such a prompt has no value.
    *("[[11]]", "Rating: [[9]]", "[[4]]", "I would rather not.", "", "[[6]]"),
)
_QUESTIONS = (FIRST_QUESTION, FIRST_QUESTION + 10, FIRST_QUESTION + 11, FIRST_QUESTION + 30, FIRST_QUESTION + 31)
"""Of three categories."""


def plan_values(settings: Mapping[str, Any]) -> Iterator[Value]:
    """`settings`: `build_plan`'s, here over given rows: two steps an epoch and one row that is left over."""
    prompts = make_prompts(2 * settings["groups_per_step"] + 1, 0, "preference")
    rows = [
        Preference(
            prompt=prompt.text,
            chosen=Response(text=prompt.answer),
            # A text of its own, one that other rows have too, and as many more as are asked for.
            rejected=tuple(
                Response(text=text)
                for text in (f"no {prompt.text}", "two", *(f"{n} {prompt.text}" for n in range(settings["strong"])))
            ),
            source=f"golden row {number}",
        )
        for number, prompt in enumerate(prompts)
    ]
    for place, group in enumerate(build_plan(rows, **settings).groups, start=1):
        counted = [c for c in group.candidates if c.masked is None]
        weights = {"positive": 0, "strong": 1, "weak": 2}
        negatives = sum(n * weights[c.role] * (1 + c.example) * (1 + c.response) for n, c in enumerate(counted))
        yield _value("plan_order", place, place * group.example)
        yield _value("plan_negatives", place, place * negatives)
        yield _value("plan_candidates", place, len(counted))


def template_values(renderer: Renderer) -> Iterator[Value]:
    """Ids of prompts and answers of the embedded task under the sweep's tokenizer and template."""
    for number, prompt in enumerate(make_prompts(_TEXTS, 0, "evaluation")):
        encoded = renderer.encode(prompt.text, prompt.answer)
        ids = [*encoded.prompt_ids, *encoded.response_ids]
        yield _value("prompt_tokens", number, len(encoded.prompt_ids))
        yield _value("response_tokens", number, len(encoded.response_ids))
        yield _value("token_ids", number, sum(place * token for place, token in enumerate(ids, start=1)))


def pair_values(folder: Path) -> Iterable[Value]:
    """Replies that follow from which answer is shown first, read by log-probs and combined over both orders.

    `folder`: for the recording.
    """
    protocol = PairwiseProtocol(template=_TEMPLATE, order="both", decoding=_DECODING)
    pairings = [
        Pairing(prompt_id=str(n), instruction=f"question {n}", output=f"answer {n}", baseline=f"other {n}")
        for n in range(_TEXTS)
    ]
    questions = pairwise_questions(pairings, protocol)
    replies = [_preferred(number, question) for number, question in enumerate(questions)]
    verdicts, _ = judge_pairs(pairings, protocol, _recording(folder / "pairs.jsonl", questions, replies))
    return (value for value in pairwise_values(verdicts) if value.metric == "win_rate")


def rating_values_of_turns(folder: Path) -> Iterator[Value]:
    """Ratings of five questions, two turns each, and their scores as FastChat has them. `folder`: for the recording."""
    items = [
        RatingItem(str(_QUESTIONS[number // 2]), 1 + number % 2, _question(f"rate answer {number}"))
        for number in range(len(_RATINGS))
    ]
    questions = [item.question for item in items]
    replies = [Reply(text=text, usage=_USAGE) for text in _RATINGS]
    verdicts, _ = judge_ratings(items, _recording(folder / "ratings.jsonl", questions, replies))
    yield from (value for value in rating_values(verdicts) if value.metric == "score")
    scores = score_ratings(verdicts)
    assert scores.average is not None
    yield _value("mt_bench_average", 0, scores.average.value)
    yield _value("mt_bench_parts", 0, _parts(scores))


def _parts(scores: Scores) -> float:
    parts = [scores.first_turn, scores.second_turn, *(scores.categories[category] for category in CATEGORIES)]
    return sum(place * mean.value for place, mean in enumerate(parts, start=1) if mean is not None)


def paired_rows(arm: str, seed: int) -> Iterator[Value]:
    """Rows whose arms share an effect of the prompt, so that pairing decides the margin's standard error.

    Two turns a prompt of unequal mean; one prompt in ten has lost a turn, another one for each arm and seed.
    """
    for number in range(20):
        shared = np.random.default_rng(stable_seed("golden prompt", number)).random()
        own = np.random.default_rng(stable_seed("golden row", arm, seed, number)).random(2)
        for turn in (1, 2):
            lost = turn == 2 and number % 10 == stable_seed("golden lost", arm, seed) % 10
            value = None if lost else shared + turn * float(own[turn - 1]) / 8
            error = "lost on purpose" if lost else None
            yield Value(metric="paired_rows", prompt_id=f"{number:02}", item=turn, value=value, error=error)


_USAGE = Usage(input_tokens=1, output_tokens=1)


def _value(metric: str, place: int, value: float) -> Value:
    return Value(metric=metric, prompt_id=f"{place:05}", value=float(value))


def _question(text: str) -> Question:
    return Question(template="golden", messages=(Message(role="user", content=text),), decoding=_DECODING)


def _preferred(number: int, question: Question) -> Reply:
    """The answer wins by its pair's number, wherever it stands, and a little more often in the first place."""
    text = question.messages[-1].content
    first = text.index("answer ") < text.index("other ")
    share = 0.1 + 0.08 * (number // 2) + (0.1 if first else 0)
    label, other = ("m", "M") if first else ("M", "m")
    found = ((label, math.log(share)), (other, math.log(0.95 - share)))
    # The last pair's second reply names neither label.
    unread = number == 2 * _TEXTS - 1
    return Reply(text="", top_logprobs=(("the", -0.1),) if unread else found, usage=_USAGE)


def _recording(path: Path, questions: list[Question], replies: list[Reply]) -> RecordedReplies:
    rows = [
        StoredReply(key=question.asked, asked=question.asked, model="golden", decoding=_DECODING, reply=reply)
        for question, reply in zip(questions, replies, strict=True)
    ]
    write_records(path, rows)
    return RecordedReplies(path)
