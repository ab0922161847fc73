"""Rows of the supervised stage, what aligned models say of them, and which of them to keep. No model here."""

import math
from collections.abc import Sequence
from random import Random
from statistics import fmean
from typing import Annotated

from pydantic import Field

from epa_bench.core.digest import stable_seed
from epa_bench.core.errors import DataError, Problem, list_problems
from epa_bench.core.records import Finite, Prompt, Record, prompt_digest

Key = tuple[str, str]
"""Digest of the prompt, and the response: what a score belongs to, whatever tokens a model makes of it."""


class SupervisedRow(Record):
    """A prompt and the response to train on."""

    prompt: Prompt
    response: str

    source: str
    """Where the row came from, for error messages. Not part of its identity."""

    @property
    def key(self) -> Key:
        return prompt_digest(self.prompt), self.response


class AlignedScore(Record):
    """What an aligned model says of one supervised row: a line of a score file."""

    prompt: Prompt
    response: str = Field(pattern=r"\S")

    logp: Annotated[Finite, Field(le=0)]
    """Summed over the response's tokens, nats."""

    tokens: int = Field(ge=1)
    """Response tokens under the model's own tokenizer."""

    @property
    def key(self) -> Key:
        return prompt_digest(self.prompt), self.response

    @property
    def mean(self) -> float:
        """r_j, nats a token."""
        return self.logp / self.tokens


def join_scores(rows: Sequence[SupervisedRow], scores: Sequence[AlignedScore], name: str) -> list[AlignedScore]:
    """The score of every row, in the rows' order, whatever the order of the scores; others are left out.

    `name`: whose scores they are. Raises DataError that lists the rows without a score, which scores of other data
    are, and for two different scores of one row.
    """
    found: dict[Key, AlignedScore] = {}
    for score in scores:
        known = found.setdefault(score.key, score)
        if (known.logp, known.tokens) != (score.logp, score.tokens):
            raise DataError(
                f"{name} has two scores for the response {score.response[:60]!r}: {known.logp:g} over {known.tokens} "
                f"tokens, and {score.logp:g} over {score.tokens}; give one score a row"
            )
    keys = [row.key for row in rows]
    missing = [Problem(row.source, "no score") for row, key in zip(rows, keys, strict=True) if key not in found]
    if missing:
        raise DataError(
            list_problems(missing, f"the scores of {name}")
            + f"\n{len(missing)} of {len(rows)} supervised rows have no score: these are scores of other data. Score "
            "these rows: scores are joined by prompt and response, to the letter."
        )
    return [found[key] for key in keys]


def order_of_rows(rows: int, *, rows_per_step: int, epochs: int, seed: int) -> list[int]:
    """Indices of the rows of a whole training, every epoch in an order of its own and a step of `rows_per_step` after
    the other; a step may go over the end of an epoch, and what does not fill the last one is left out.

    Fixed before training, so that the split of a step into forward passes and ranks changes nothing. Raises DataError
    where there is not one whole step.
    """
    order: list[int] = []
    for epoch in range(epochs):
        of_epoch = list(range(rows))
        Random(stable_seed("supervised rows", seed, epoch)).shuffle(of_epoch)
        order += of_epoch
    if len(order) < rows_per_step:
        raise DataError(
            f"{rows} supervised rows in {epochs} epoch(s) are less than one optimizer step of {rows_per_step}; lower "
            "reference.sft.per_device_train_batch_size or gradient_accumulation_steps, or train for more epochs"
        )
    return order[: len(order) - len(order) % rows_per_step]


def best_rows(rows: Sequence[SupervisedRow], scores: Sequence[Sequence[float]], share: float) -> list[int]:
    """Indices, ascending, of the share of rows, rounded up, with the highest mean of a row's scores.

    Rows of equal scores are taken by their key, so the order of the rows does not decide.
    """
    means = [fmean(of_row) for of_row in scores]
    ranked = sorted(range(len(rows)), key=lambda i: (-means[i], rows[i].key))
    return sorted(ranked[: math.ceil(share * len(rows))])


def shuffled_scores(
    rows: Sequence[SupervisedRow], scores: Sequence[Sequence[float]], seed: int
) -> list[Sequence[float]]:
    """Each row's scores passed to another row, round a random circle of keys: the order of the rows does not decide."""
    circle = sorted(range(len(rows)), key=lambda i: rows[i].key)
    Random(stable_seed("shuffled aligned scores", seed)).shuffle(circle)
    given = list(scores)
    for giver, receiver in zip(circle, [*circle[1:], *circle[:1]], strict=True):
        given[receiver] = scores[giver]
    return given
