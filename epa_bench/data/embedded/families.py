"""The instructions of the embedded task: six families over a closed word list, each with one right answer."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

from epa_bench.core.digest import stable_seed
from epa_bench.core.errors import ConfigError

Split = Literal["sft", "preference", "evaluation"]
"""`sft` trains the reference model, `preference` supplies the comparisons, `evaluation` is never trained on."""

_SPLIT_OF_BUCKET: tuple[Split, ...] = ("sft",) * 5 + ("preference",) * 3 + ("evaluation",) * 2

MAX_PROMPTS = 20_000
"""Most prompts one draw may ask for; every split of every family holds more than its share of them."""

THINGS: tuple[str, ...] = (
    *("ant", "bell", "canyon", "dune", "elm", "feather", "goat", "harbor", "ink", "jar", "kettle", "lamp"),
    *("moth", "nest", "oak", "pebble", "quilt", "river", "salt", "tunnel", "urn", "village", "wolf", "yarn"),
)

_OPPOSITE_PAIRS: tuple[tuple[str, str], ...] = (
    *(("hot", "cold"), ("big", "small"), ("early", "late"), ("near", "far"), ("wet", "dry")),
    *(("open", "shut"), ("loud", "quiet"), ("soft", "hard"), ("full", "empty"), ("young", "old")),
)
OPPOSITE: dict[str, str] = {a: b for pair in _OPPOSITE_PAIRS for a, b in (pair, pair[::-1])}

NUMBERS: dict[int, str] = {2: "two", 3: "three", 4: "four", 5: "five"}

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of instruction; prompts of it are made from distinct words of one list."""

    name: str

    phrasings: tuple[str, ...]
    """Ways to ask; `{}` stands for the words."""

    lexicon: Words

    sizes: tuple[int, int]
    """Fewest and most words in a prompt."""

    answer: Callable[[Words], Words]

    mistakes: Words = ()
    """Words that are neither in the prompt nor the answer, but that a mistaken attempt may well use."""


@dataclass(frozen=True, slots=True)
class TaskPrompt:
    """A prompt of the task with all that is known about it."""

    family: str
    text: str
    words: Words
    answer: str

    topic: frozenset[str]
    """Words that a right or a mistaken attempt at THIS prompt may use; anything else belongs to another prompt."""


FAMILIES: tuple[Family, ...] = (
    Family(
        name="repeat",
        phrasings=("say again: {}", "echo {}", "{} - same please"),
        lexicon=THINGS,
        sizes=(2, 4),
        answer=lambda words: words,
    ),
    Family(
        name="reverse",
        phrasings=("say backwards: {}", "turn around {}", "{} - reversed"),
        lexicon=THINGS,
        sizes=(2, 4),
        answer=lambda words: words[::-1],
    ),
    Family(
        name="sort",
        phrasings=("by alphabet: {}", "sort {}", "{} - in order"),
        lexicon=THINGS,
        sizes=(2, 4),
        answer=lambda words: tuple(sorted(words)),
    ),
    Family(
        name="longest",
        phrasings=("longest of: {}", "pick longest from {}", "{} - longest one"),
        lexicon=THINGS,
        sizes=(2, 4),
        # max() keeps the first of several longest words, so that every list has an answer.
        answer=lambda words: (max(words, key=len),),
    ),
    Family(
        name="count",
        phrasings=("how many: {}", "count {}", "{} - what number"),
        lexicon=THINGS,
        sizes=(2, 5),
        answer=lambda words: (NUMBERS[len(words)],),
        mistakes=tuple(NUMBERS.values()),
    ),
    Family(
        name="opposites",
        phrasings=("opposites of: {}", "contrary to {}", "{} - but opposite"),
        lexicon=tuple(OPPOSITE),
        sizes=(2, 4),
        answer=lambda words: tuple(OPPOSITE[word] for word in words),
    ),
)


def make_prompts(count: int, seed: int, split: Split) -> tuple[TaskPrompt, ...]:
    """`count` distinct prompts, the families in turn; prompts of different splits never ask the same thing.

    The split is decided by a digest of (family, words), not of the text: the same task in another phrasing stays on
    its side. Raises ConfigError unless 0 <= count <= MAX_PROMPTS.
    """
    if not 0 <= count <= MAX_PROMPTS:
        raise ConfigError(f"the embedded task: expected 0 to {MAX_PROMPTS} {split} prompts, got {count}; ask for fewer")
    rng = Random(stable_seed("embedded prompts", seed, split))
    drawn: dict[str, TaskPrompt] = {}
    while len(drawn) < count:
        family = FAMILIES[len(drawn) % len(FAMILIES)]
        words = tuple(rng.sample(family.lexicon, rng.randint(*family.sizes)))
        phrasing = rng.choice(family.phrasings)
        if split_of(family.name, words) == split:
            prompt = _task_prompt(family, phrasing, words)
            drawn.setdefault(prompt.text, prompt)
    return tuple(drawn.values())


def split_of(family: str, words: Words) -> Split:
    """The one split that may hold this task: half of all tasks are `sft`, 3/10 `preference`, 2/10 `evaluation`."""
    return _SPLIT_OF_BUCKET[stable_seed("embedded split", family, words) % len(_SPLIT_OF_BUCKET)]


def parse(prompt_text: str) -> TaskPrompt | None:
    """What a text asks for, or None if it is not, to the letter, a prompt of the task."""
    for family in FAMILIES:
        for phrasing in family.phrasings:
            words = _words_between(prompt_text, *phrasing.split("{}"))
            if _is_legal(family, words):
                return _task_prompt(family, phrasing, words)
    return None


def solve(prompt_text: str) -> str | None:
    """The right answer, or None if the text is not a prompt of the task."""
    prompt = parse(prompt_text)
    return None if prompt is None else prompt.answer


def _words_between(text: str, head: str, tail: str) -> Words:
    if len(text) < len(head) + len(tail) or not text.startswith(head) or not text.endswith(tail):
        return ()
    return tuple(text[len(head) : len(text) - len(tail)].split(" "))


def _is_legal(family: Family, words: Words) -> bool:
    fewest, most = family.sizes
    return fewest <= len(words) <= most and len(set(words)) == len(words) and set(words) <= set(family.lexicon)


def _task_prompt(family: Family, phrasing: str, words: Words) -> TaskPrompt:
    answer = family.answer(words)
    return TaskPrompt(
        family=family.name,
        text=phrasing.format(" ".join(words)),
        words=words,
        answer=" ".join(answer),
        topic=frozenset((*words, *answer, *family.mistakes)),
    )
