"""Preferences of the embedded task: gold-scored responses ranked with Bradley-Terry noise."""

import math
from collections.abc import Sequence
from random import Random

from epa_bench.core.digest import stable_seed
from epa_bench.core.records import Preference, Response, prompt_digest
from epa_bench.data.embedded.gold import gold_reward


def rank_responses(prompt: str, responses: Sequence[str], seed: int) -> Preference | None:
    """The distinct non-empty responses as a preference with gold scores, best first; None if fewer than two are left.

    Each response is ranked by its gold reward plus a standard Gumbel variate, so the ranking is a Plackett-Luce draw
    and every pair's marginal is Bradley-Terry exactly: P(i before j) = sigmoid(gold_i - gold_j). The order therefore
    need not follow the gold scores. The noise belongs to (seed, prompt, response) and not to the order of calls or of
    responses: the same response meets the same noise in every set it is ranked in. Responses are kept to the letter;
    only those that are empty or blank are left out.
    """
    distinct = dict.fromkeys(text for text in responses if text.strip())
    if len(distinct) < 2:
        return None
    prompt_id = prompt_digest(prompt)
    gold = {text: gold_reward(prompt, text) for text in distinct}
    noisy = {text: gold[text] + _gumbel(seed, prompt_id, text) for text in distinct}
    best, *others = (Response(text=text, gold=gold[text]) for text in sorted(distinct, key=lambda text: -noisy[text]))
    return Preference(prompt=prompt, chosen=best, rejected=tuple(others), source=f"embedded task, prompt {prompt!r}")


def _gumbel(seed: int, prompt_id: str, text: str) -> float:
    """A standard Gumbel variate; 52 random bits and a half are a float strictly between 0 and 1, so both logs exist."""
    uniform = (Random(stable_seed("embedded preference", seed, prompt_id, text)).getrandbits(52) + 0.5) / 2**52
    return -math.log(-math.log(uniform))
