"""The label curve of text classification: a generated task, or labelled texts from files."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from epa_bench.acquisition.text import TextClassifier
from epa_bench.core.errors import DataError
from epa_bench.core.metric import MetricInfo
from epa_bench.data.pool import TextRow, classes_of, read_labelled_texts
from epa_bench.data.topics import topic_texts
from epa_bench.models.classifier import load_encoder, load_text_tokenizer, new_encoder, new_tokenizer
from epa_bench.steps import loading  # noqa: F401 - sets verbosity
from epa_bench.studies.label_curve import CurveArm, Evaluated
from epa_bench.training.classification import ClassifierTraining, train_classifier

ARMS = (
    CurveArm(name="random", representation="random"),
    CurveArm(name="entropy", representation="entropy"),
    CurveArm(name="margin", representation="margin"),
    CurveArm(name="features, k-means-nearest", representation="features"),
    CurveArm(name="BADGE, k-means++", representation="badge"),
    CurveArm(name="VAP, k-means++", representation="vap"),
    CurveArm(name="VAP, k-means-nearest", representation="vap", selector="k-means-nearest"),
    CurveArm(name="VAP unit, k-means++", representation="vap", unit=True),
)

_METRICS = {"accuracy": MetricInfo(label="accuracy", unit="%", better="higher", scale=100, digits=1)}

_FROM_SCRATCH = ClassifierTraining(num_train_epochs=12, learning_rate=2e-3, max_length=64)
_PRETRAINED = ClassifierTraining(num_train_epochs=3, learning_rate=2e-5, max_length=128)
"""As in ALPS's code (Yuan et al. 2020), but that dropout is off as everywhere here."""

_GENERATED_POOL, _GENERATED_TEST = 2000, 500
_VOCABULARY = 900
"""Entries of the tokenizer that a new encoder gets, trained on the pool's texts without their labels."""


@dataclass(frozen=True)
class TextTask:
    """Accuracy on held-out texts."""

    data: str
    """A sentence for the table."""

    pool: Sequence[TextRow]
    test: Sequence[TextRow]
    classes: Sequence[str]

    encoder: Path | None
    """A pretrained encoder's folder; None for a tiny one from scratch."""

    device: str

    @property
    def methods(self) -> Sequence[str]:
        return ("classifier",)

    @property
    def metrics(self) -> Mapping[str, MetricInfo]:
        return _METRICS

    @property
    def about(self) -> str:
        settings, model = self._training, "a pretrained encoder" if self.encoder else "a tiny BERT from scratch"
        return (
            f"{self.data} {len(self.classes)} classes, a pool of {len(self.pool)} texts, {len(self.test)} test texts. "
            f"Model: {model}, trained anew from its base for every point: {settings.num_train_epochs} epochs, learning "
            f"rate {settings.learning_rate:g}, batches of {settings.batch_size}."
        )

    @property
    def _training(self) -> ClassifierTraining:
        return _FROM_SCRATCH if self.encoder is None else _PRETRAINED

    @cached_property
    def _tokenizer(self) -> PreTrainedTokenizerBase:
        if self.encoder is not None:
            return load_text_tokenizer(self.encoder)
        texts = [row.text for row in self.pool]
        return new_tokenizer(texts, vocab_size=_VOCABULARY, max_length=self._training.max_length)

    def train(self, method: str, rows: Sequence[int], seed: int) -> Evaluated:
        """Values: 1 where the most probable class of a test text is its own, else 0."""
        model = self._base(seed)
        with tempfile.TemporaryDirectory(prefix="epa-bench-") as folder:
            labelled = [self.pool[row] for row in rows]
            train_classifier(
                model, self._tokenizer, labelled, self._training, Path(folder), seed=seed, device=self.device
            )
        classifier = TextClassifier(model, self._tokenizer, self._training.max_length)
        predicted = classifier.probabilities(list(self.test)).argmax(axis=1)
        right = {
            f"{number:06}": float(self.classes[found] == row.label)
            for number, (row, found) in enumerate(zip(self.test, predicted, strict=True))
        }
        return Evaluated(classifier, {"accuracy": right})

    def _base(self, seed: int) -> PreTrainedModel:
        if self.encoder is not None:
            return load_encoder(self.encoder, self.classes, seed=seed, device=self.device)
        return new_encoder(self._tokenizer, self.classes, seed=seed, device=self.device)


def generated_task(encoder: Path | None, device: str) -> TextTask:
    """The four-class task of `data/topics.py`."""
    pool, test = topic_texts(_GENERATED_POOL, seed=1), topic_texts(_GENERATED_TEST, seed=2)
    return TextTask("Generated texts.", pool, test, classes_of(pool, "the generated task"), encoder, device)


def task_of_files(pool: Path, test: Path, encoder: Path | None, device: str, say: Callable[[str], None]) -> TextTask:
    """Raises DataError for files that do not fit, a single class, or a test label that the pool does not have.

    Test texts that the pool has as well are left out of the pool, and counted.
    """
    pool_rows, test_rows = read_labelled_texts(pool), read_labelled_texts(test)
    classes = classes_of(pool_rows, str(pool))
    unknown = sorted({row.label for row in test_rows if row.label is not None} - set(classes))
    if unknown:
        raise DataError(f"{test}: expected the labels of {pool}, {', '.join(classes)}; got {', '.join(unknown)}")
    asked = {row.key for row in test_rows}
    kept = [row for row in pool_rows if row.key not in asked]
    if len(kept) < len(pool_rows):
        say(f"{len(pool_rows) - len(kept)} texts of {pool} are left out: the test file has them too")
    return TextTask(f"{pool.name} and {test.name}.", kept, test_rows, classes, encoder, device)
