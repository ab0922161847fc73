"""Overlaps between training prompts and prompts that suites ask.

Three kinds, the strongest is told: the same text; the same words, whatever their case, spacing and punctuation; 13
words in a row in common, the length of GPT-3's check (arXiv 2005.14165, appendix C), which also leaves out n-grams of
more than ten training documents as boilerplate. Plain sets: a row costs a look-up a word, and no n-gram is hashed to
less than itself, so none is taken for another.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from epa_bench.core.records import Preference, Prompt, Record
from epa_bench.data.supervised import SupervisedRow

NGRAM = 13
"""Words in a row. Prompts with fewer are compared whole only."""

Kind = Literal["exact", "normalised", "ngram"]

BOILERPLATE = 10
"""An n-gram of more training rows than this is a template's ("you will be given a definition of a task first"), whose
rows share no question. Whole prompts are told however often they occur."""


class Overlap(Record):
    """A training row that a suite asks about; one a row and suite."""

    index: int
    """Of the row in its file, from 0."""

    row: str
    """Where it stands: file and row."""

    suite: str
    kind: Kind

    shared: str
    """The suite's prompt, or of an n-gram the words in common."""


def asked_texts(prompt: Prompt) -> list[str]:
    """What a user says in a prompt: every turn of theirs is compared by itself."""
    if isinstance(prompt, str):
        return [prompt]
    return [message.content for message in prompt if message.role == "user"]


def find_overlaps(train: Sequence[Preference | SupervisedRow], asked: Mapping[str, Iterable[str]]) -> list[Overlap]:
    """The training rows whose prompt overlaps with one that a suite asks; `asked`: suite -> its prompts.

    Linear in the words of both. Words are what Unicode calls so: languages written without spaces are compared whole.
    """
    index = _Index(asked)
    whole: list[dict[str, tuple[Kind, str]]] = []
    in_part: list[list[tuple[str, str]]] = []
    rows_of_ngram: Counter[str] = Counter()
    for row in train:
        texts = asked_texts(row.prompt)
        whole.append(index.whole(texts))
        in_part.append(index.in_part(texts))
        rows_of_ngram.update({ngram for _, ngram in in_part[-1]})
    overlaps = []
    for number, row in enumerate(train):
        found = whole[number]
        for suite, ngram in in_part[number]:
            if rows_of_ngram[ngram] <= BOILERPLATE:
                found.setdefault(suite, ("ngram", ngram))
        overlaps += [
            Overlap(index=number, row=row.source, suite=suite, kind=kind, shared=shared)
            for suite, (kind, shared) in found.items()
        ]
    return overlaps


class _Index:
    def __init__(self, asked: Mapping[str, Iterable[str]]) -> None:
        self._exact: dict[str, set[str]] = {}
        self._normalised: dict[str, dict[str, str]] = {}
        self._ngrams: dict[str, set[str]] = {}
        for suite, texts in asked.items():
            for text in texts:
                self._exact.setdefault(text, set()).add(suite)
                words = _words(text)
                if words:
                    self._normalised.setdefault(" ".join(words), {}).setdefault(suite, text)
                for ngram in _ngrams(words):
                    self._ngrams.setdefault(ngram, set()).add(suite)

    def whole(self, texts: Sequence[str]) -> dict[str, tuple[Kind, str]]:
        """Suite -> how it asks one of the texts as a whole, and its prompt."""
        found: dict[str, tuple[Kind, str]] = {}
        for text in texts:
            found |= {suite: ("exact", text) for suite in sorted(self._exact.get(text, ()))}
        for text in texts:
            for suite, asked in sorted(self._normalised.get(" ".join(_words(text)), {}).items()):
                found.setdefault(suite, ("normalised", asked))
        return found

    def in_part(self, texts: Sequence[str]) -> list[tuple[str, str]]:
        """(suite, n-gram) of every n-gram in common."""
        return [
            (suite, ngram)
            for text in texts
            for ngram in _ngrams(_words(text))
            for suite in sorted(self._ngrams.get(ngram, ()))
        ]


class _Separators(dict[int, str]):
    """For str.translate: a blank for what is no part of a word. Marks are: without them Khmer has a word a letter."""

    def __missing__(self, character: int) -> str:
        kept = unicodedata.category(chr(character))[0] in "LMN"
        self[character] = found = chr(character) if kept else " "
        return found


_SEPARATORS = _Separators()


def _words(text: str) -> list[str]:
    return unicodedata.normalize("NFKC", text).casefold().translate(_SEPARATORS).split()


def _ngrams(words: list[str]) -> Iterable[str]:
    return (" ".join(words[start : start + NGRAM]) for start in range(len(words) - NGRAM + 1))
