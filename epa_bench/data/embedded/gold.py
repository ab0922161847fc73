"""The gold reward of the embedded task: programmatic, graded, defined for any two strings.

With A the words of the right answer, R the words of the response and T the prompt's topic (`TaskPrompt.topic`):

    gold = 4 - 1.0 [R != A]                                   anything but the right answer
             - 1.5 (1 - LCS(A, R) / max(|A|, |R|))            words missing, extra or out of order
             - 1.5 (1 - 2 |A & R| / (|A| + |R|))              wrong words, whatever their order
             - 3.0 (share of R outside T)                     off topic: belongs to another prompt
             - 0.5 (1 - distinct(R) / |R|)                    repetition
             - 0.5 min(1, abs(|R| - |A|) / |A|)               length

so it lies in [-4, 4] and is 4 exactly for the right words in the right order; spacing does not count. An empty response
counts as wholly off topic. Two neighbours swapped cost about 1.4 and a wholly off-topic answer of the right length 7,
so that under Bradley-Terry noise, P(a over b) = sigmoid(gold_a - gold_b), near misses are ranked with noise (a swap
loses to the right answer with probability 0.8) and off-topic responses practically always come last.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from epa_bench.data.embedded.families import TaskPrompt, parse

GOLD_MIN, GOLD_MAX = -4.0, 4.0

UNKNOWN_PROMPT_GOLD = GOLD_MIN
"""The reward of every response to a text that is no prompt of the task: nothing is known, so nothing is preferred."""

_ALIGNED_WORDS = 64
"""Words of a response that are aligned with the answer, which has at most four: what follows can only be excess."""

Kind = Literal["exact", "near_miss", "off_topic"]


def gold_reward(prompt_text: str, response_text: str) -> float:
    """The module's formula; UNKNOWN_PROMPT_GOLD if the text is not a prompt of the task. Never raises."""
    prompt = parse(prompt_text)
    if prompt is None:
        return UNKNOWN_PROMPT_GOLD
    answer, response = prompt.answer.split(), response_text.split()
    penalty = (
        1.0 * (response != answer)
        + 1.5 * (1 - _common_subsequence(answer, response[:_ALIGNED_WORDS]) / max(len(answer), len(response)))
        + 1.5 * (1 - 2 * (Counter(answer) & Counter(response)).total() / (len(answer) + len(response)))
        + 3.0 * off_topic_share(prompt, response_text)
        + 0.5 * (1 - len(set(response)) / max(1, len(response)))
        + 0.5 * min(1.0, abs(len(response) - len(answer)) / len(answer))
    )
    return GOLD_MAX - penalty


def off_topic_share(prompt: TaskPrompt, response_text: str) -> float:
    """Share of the response's words, in [0, 1], that no attempt at this prompt would use; 1 for an empty response."""
    response = response_text.split()
    return sum(word not in prompt.topic for word in response) / len(response) if response else 1.0


def kind_of(prompt: TaskPrompt, response_text: str) -> Kind:
    """`exact`: the right words in order; `off_topic`: more than half of the words are off topic; else `near_miss`."""
    if response_text.split() == prompt.answer.split():
        return "exact"
    return "off_topic" if off_topic_share(prompt, response_text) > 0.5 else "near_miss"


def _common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence; O(len(first) * len(second))."""
    row = [0] * (len(second) + 1)
    for a in first:
        diagonal = 0
        for j, b in enumerate(second, start=1):
            diagonal, row[j] = row[j], diagonal + 1 if a == b else max(row[j], row[j - 1])
    return row[-1]
