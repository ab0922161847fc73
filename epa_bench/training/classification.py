"""Fine-tuning a text classifier on labelled texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset
from transformers import DataCollatorWithPadding, PreTrainedModel, PreTrainedTokenizerBase, Trainer

from epa_bench.core.records import Record
from epa_bench.data.pool import TextRow
from epa_bench.models.checkpoint import ready
from epa_bench.training.run import run_trainer, training_arguments
from epa_bench.training.trainer import warmup_steps


class ClassifierTraining(Record):
    """How a classifier is trained."""

    num_train_epochs: int
    learning_rate: float
    batch_size: int = 32
    warmup_ratio: float = 0.06
    weight_decay: float = 0.01

    max_length: int = 128
    """Tokens; what is longer is cut on the right."""


class _Texts(Dataset[dict[str, Any]]):
    def __init__(self, items: Sequence[dict[str, Any]]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._items[index]


def train_classifier(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[TextRow],
    settings: ClassifierTraining,
    folder: Path,
    *,
    seed: int,
    device: str,
) -> None:
    """Cross-entropy, in place: AdamW with warm-up and linear decay, fp32; `seed` draws the order of the rows.

    The model's configuration names the classes. It is left in evaluation mode.
    """
    label2id = model.config.label2id
    assert label2id is not None
    encoded = tokenizer([row.text for row in rows], truncation=True, max_length=settings.max_length)
    items = [
        {"input_ids": ids, "labels": label2id[str(row.label)]}
        for ids, row in zip(encoded["input_ids"], rows, strict=True)
    ]
    steps = settings.num_train_epochs * -(-len(rows) // settings.batch_size)
    arguments = training_arguments(
        folder,
        device=device,
        save_steps=None,
        seed=seed,
        per_device_train_batch_size=settings.batch_size,
        num_train_epochs=settings.num_train_epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=warmup_steps(settings.warmup_ratio, steps),
        weight_decay=settings.weight_decay,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        data_collator=DataCollatorWithPadding(tokenizer),
        train_dataset=_Texts(items),
    )
    run_trainer(trainer, folder, lambda done, total: None)
    ready(model, device)
