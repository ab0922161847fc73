"""Synthetic comparison groups: random token ids, lengths spread as in preference data. Imports no torch."""

import math
import random
from itertools import islice

from epa_bench.bench.cases import Case
from epa_bench.core.digest import stable_seed
from epa_bench.data.chat import EncodedResponse

PAD_ID, EOS_ID = 0, 1
FIRST_WORD = 2
"""Ids from here on are words."""

_SHAPE = 1.2
"""Of the Weibull distribution of lengths. Padding batches of 2, 4 or 8 pairs to their longest sequence then makes 1.6,
1.9 or 2.3 of a token, as it does for a thousand pairs of UltraFeedback and for HH-RLHF's helpful-base test pairs (words
and punctuation marks counted, sequences cut at 1,024)."""


def draw_groups(case: Case, index: int) -> list[list[EncodedResponse]]:
    """The groups of step `index`, the positive first. Weak negatives are as long as other responses are."""
    shape = [case.prompt, case.response, case.ragged, case.candidates, case.groups, case.model.vocab_size]
    draw = random.Random(stable_seed("bench", shape, index))
    prompts = [_words(draw, case, length) for length in _lengths(draw, case.prompt, case.groups, case.ragged)]
    lengths = _lengths(draw, case.response, case.candidates * case.groups, case.ragged)
    responses = iter([[*_words(draw, case, length - 1), EOS_ID] for length in lengths])
    return [
        [EncodedResponse(prompt, response, False) for response in islice(responses, case.candidates)]
        for prompt in prompts
    ]


def count_tokens(groups: list[list[EncodedResponse]]) -> int:
    """Tokens of all sequences, a prompt counted with each of its responses, padding not at all."""
    return sum(len(sequence.prompt_ids) + len(sequence.response_ids) for group in groups for sequence in group)


def _lengths(draw: random.Random, mean: int, count: int, ragged: bool) -> list[int]:
    """Quantiles of a Weibull distribution in random order, or all alike; every step has the same mean."""
    if not ragged:
        return [mean] * count
    quantiles = [(-math.log1p(-(i + 0.5) / count)) ** (1 / _SHAPE) for i in range(count)]
    scale = mean * count / sum(quantiles)
    lengths = [max(2, round(scale * quantile)) for quantile in quantiles]
    draw.shuffle(lengths)
    return lengths


def _words(draw: random.Random, case: Case, count: int) -> list[int]:
    return draw.choices(range(FIRST_WORD, case.model.vocab_size), k=count)
