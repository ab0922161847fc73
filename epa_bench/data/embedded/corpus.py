"""What the reference model of the embedded task is trained on: right answers, near misses and off-topic answers.

The off-topic share is deliberate. EPA and DPO differ in what they do to responses that belong to other prompts, and a
reference model that gives those no mass leaves nothing to see. The share is far larger than that of a real instruction
model, so the task shows that a pipeline can see the effect; it is not evidence about large models.
"""

from collections.abc import Callable, Sequence
from random import Random

from epa_bench.core.digest import stable_seed
from epa_bench.core.errors import ConfigError
from epa_bench.data.embedded.families import OPPOSITE, THINGS, TaskPrompt
from epa_bench.data.embedded.gold import kind_of

_ALL_WORDS = (*THINGS, *OPPOSITE)


def sft_corpus(
    prompts: Sequence[TaskPrompt], seed: int, *, correct: float, off_topic: float
) -> tuple[tuple[str, str], ...]:
    """One (prompt text, response text) for every prompt, in order.

    With probability `correct` the response is the right answer, with probability `off_topic` the right answer of
    another of the prompts, one that is off topic here, else a near miss: the right answer with one word dropped,
    swapped, doubled or replaced. Raises ConfigError if the two are not probabilities that sum to at most 1, or if no
    other prompt's answer is off topic for a prompt that needs one.
    """
    if min(correct, off_topic) < 0 or not correct + off_topic <= 1:
        raise ConfigError(
            "the embedded task's reference corpus: expected correct >= 0, off_topic >= 0 and correct + off_topic <= 1, "
            f"got correct = {correct}, off_topic = {off_topic}; lower one of them"
        )
    corpus = []
    for prompt in prompts:
        rng = Random(stable_seed("embedded corpus", seed, prompt.text))
        draw = rng.random()
        if draw < correct:
            response = prompt.answer
        elif draw < correct + off_topic:
            response = _answer_of_another(prompt, prompts, rng)
        else:
            response = near_miss(prompt, rng)
        corpus.append((prompt.text, response))
    return tuple(corpus)


def near_miss(prompt: TaskPrompt, rng: Random) -> str:
    """The right answer with one thing wrong; never the right answer itself, never off topic."""
    words = prompt.answer.split()
    corruptions = (_drop, _swap, _double, _replace) if len(words) > 1 else (_double, _mistake)
    return " ".join(rng.choice(corruptions)(words, prompt, rng))


def _answer_of_another(prompt: TaskPrompt, prompts: Sequence[TaskPrompt], rng: Random) -> str:
    """The first off-topic answer from a random start on, so that a prompt without one is found out, not retried."""
    start = rng.randrange(len(prompts))
    for shift in range(len(prompts)):
        answer = prompts[(start + shift) % len(prompts)].answer
        if kind_of(prompt, answer) == "off_topic":
            return answer
    raise ConfigError(
        f"the embedded task's reference corpus: none of {len(prompts)} prompts has an answer that is off topic for "
        f"{prompt.text!r}; give more prompts or set off_topic to 0"
    )


_Corruption = Callable[[list[str], TaskPrompt, Random], list[str]]


def _drop(words: list[str], prompt: TaskPrompt, rng: Random) -> list[str]:
    gone = rng.randrange(len(words))
    return words[:gone] + words[gone + 1 :]


def _swap(words: list[str], prompt: TaskPrompt, rng: Random) -> list[str]:
    left = rng.randrange(len(words) - 1)
    return [*words[:left], words[left + 1], words[left], *words[left + 2 :]]


def _double(words: list[str], prompt: TaskPrompt, rng: Random) -> list[str]:
    twice = rng.randrange(len(words))
    return [*words[: twice + 1], *words[twice:]]


def _replace(words: list[str], prompt: TaskPrompt, rng: Random) -> list[str]:
    at = rng.randrange(len(words))
    other = rng.choice([word for word in _ALL_WORDS if word not in words])
    return [*words[:at], other, *words[at + 1 :]]


def _mistake(words: list[str], prompt: TaskPrompt, rng: Random) -> list[str]:
    """Another word of the topic for a one-word answer: a random word would be off topic altogether."""
    return [rng.choice(sorted(prompt.topic - set(words)))]
