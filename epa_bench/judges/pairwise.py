"""What a judge's reply says of two answers: pure functions of log-probs or text."""

import math
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass

from epa_bench.judges.asking import UnparsedError

LABELS = ("m", "M")
"""AlpacaEval's names of the answer shown first and the one shown second."""


@dataclass(frozen=True, slots=True)
class WeightedPreference:
    """What the log-probs of the judge's first token say."""

    preference: float | None
    """1 the first output (the baseline) wins, 2 the second (the model) wins; None where neither label has any
    probability."""

    outside: float
    """Probability mass, 0 to 1, of everything but the two labels."""


def weighted_preference(
    top_logprobs: Iterable[tuple[str, float]], swapped: bool, labels: tuple[str, str] = LABELS
) -> WeightedPreference:
    """AlpacaEval 2's preference: 2 - P(first) / (P(first) + P(second)), 3 minus that where the order was swapped.

    `top_logprobs`: (token, natural log-probability) of the most probable tokens at the label's position; `labels` the
    tokens for the answer shown first and second. A label that is not among them has probability 0; tokens that read
    alike are one. alpaca_eval 0.6.6, `logprob_parser` and `RandomSwitchTwoColumnsProcessor`.
    """
    mass = dict.fromkeys(labels, 0.0)
    for token, logprob in top_logprobs:
        if token in mass:
            mass[token] += math.exp(logprob)
    total = sum(mass.values())
    outside = min(1.0, max(0.0, 1 - total))
    if total == 0:
        return WeightedPreference(None, outside)
    shown = 2 - mass[labels[0]] / total
    return WeightedPreference(3 - shown if swapped else shown, outside)


def seeded_swap(instruction: str) -> bool:
    """Whether AlpacaEval shows the model's output first for this instruction (alpaca_eval 0.6.6, seed 0)."""
    return random.Random("is_switched_outputs" + instruction + "0").choices([False, True], k=1)[0]


def label_in_text(text: str, labels: tuple[str, str], patterns: tuple[str, str] | None = None) -> float:
    """1 where the text names the first label, 2 where it names the second, as whole words or by `patterns`.

    Raises UnparsedError where it names both or neither.
    """
    first, second = (re.search(pattern, text) is not None for pattern in patterns or map(_whole_word, labels))
    if first and second:
        raise UnparsedError("both labels")
    if not first and not second:
        raise UnparsedError("neither label")
    return 1.0 if first else 2.0


def _whole_word(label: str) -> str:
    # An apostrophe joins: the m of "I'm" is no label.
    return rf"(?<![\w'\u2019]){re.escape(label)}(?![\w'\u2019])"
