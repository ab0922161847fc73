"""A generated task of four classes of texts: where an encoder from scratch can show what labels are worth.

A class has topics of unequal frequency, each with words of its own; a text mixes words of its topic, of another topic,
and common ones. Classes and topics are unbalanced, so that a label of a rare topic teaches more than another of a
frequent one.
"""

from itertools import accumulate, product
from random import Random

from epa_bench.core.digest import stable_seed
from epa_bench.data.pool import TextRow

CLASSES = ("north", "east", "south", "west")
_CLASS_WEIGHTS = (4, 3, 2, 1)

_TOPICS = 6
"""Of a class; the n-th is as frequent as 1 / n."""

_TOPIC_WORDS, _COMMON_WORDS = 12, 120
_LENGTH = (6, 16)
_OF_TOPIC, _OF_OTHER = 0.35, 0.12
"""Probabilities that a word is of the text's topic, and of one drawn anew; else it is a common one."""

_SYLLABLES = tuple(consonant + vowel for consonant, vowel in product("bdfgklmnprst", "aeiou"))


def topic_texts(count: int, seed: int) -> list[TextRow]:
    """Texts with their classes, independent of each other; `seed` draws the texts, never what the words mean."""
    rng = Random(stable_seed("topic texts", seed))
    words = _words()
    return [_text(rng, words) for _ in range(count)]


def _words() -> list[str]:
    """Common words, then each topic's; all of two syllables and different."""
    distinct = [first + second for first, second in product(_SYLLABLES, repeat=2)]
    Random(stable_seed("words of topics")).shuffle(distinct)
    return distinct[: _COMMON_WORDS + len(CLASSES) * _TOPICS * _TOPIC_WORDS]


def _text(rng: Random, words: list[str]) -> TextRow:
    label, topic = _draw_topic(rng)
    text = []
    for _ in range(rng.randint(*_LENGTH)):
        draw = rng.random()
        if draw < _OF_TOPIC:
            text.append(_topic_word(rng, words, label, topic))
        elif draw < _OF_TOPIC + _OF_OTHER:
            text.append(_topic_word(rng, words, *_draw_topic(rng)))
        else:
            text.append(words[rng.randrange(_COMMON_WORDS)])
    return TextRow(" ".join(text), CLASSES[label])


def _draw_topic(rng: Random) -> tuple[int, int]:
    """(class, topic)."""
    (label,) = rng.choices(range(len(CLASSES)), _CLASS_WEIGHTS)
    (topic,) = rng.choices(range(_TOPICS), cum_weights=list(accumulate(1 / n for n in range(1, _TOPICS + 1))))
    return label, topic


def _topic_word(rng: Random, words: list[str], label: int, topic: int) -> str:
    return words[_COMMON_WORDS + (label * _TOPICS + topic) * _TOPIC_WORDS + rng.randrange(_TOPIC_WORDS)]
