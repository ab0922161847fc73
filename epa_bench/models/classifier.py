"""Text classifiers: encoders with a head over classes, from a folder or new and tiny."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    set_seed,
)

from epa_bench.core.errors import CheckpointError
from epa_bench.data.tokenizer import END, train_tokenizer
from epa_bench.models.checkpoint import load_weights, read_tokenizer, ready

_START = "<|user|>"
"""What the pooled state of a new encoder is read from, as from BERT's [CLS]."""


def load_classifier(folder: Path, *, device: str) -> PreTrainedModel:
    """A trained classifier, fp32, dropout 0. Raises CheckpointError where it lacks a weight or has a single class."""
    model, missing = load_weights(AutoModelForSequenceClassification, folder, dtype=torch.float32)
    if missing:
        raise CheckpointError(
            f"{folder} holds no weights for {len(missing)} parameters of {type(model).__name__} ({missing[0]} ...): "
            "expected a classifier that was trained"
        )
    if (model.config.num_labels or 0) < 2:
        raise CheckpointError(f"{folder}: expected a classifier of two or more classes, got one of a single class")
    return ready(model, device)


def load_encoder(folder: Path, classes: Sequence[str], *, seed: int, device: str) -> PreTrainedModel:
    """A pretrained encoder under a new head over `classes`, drawn by `seed`. Raises CheckpointError.

    Also where the folder is a classifier already: what it knows of the task nobody would have to label.
    """
    set_seed(seed)
    model, missing = load_weights(AutoModelForSequenceClassification, folder, dtype=torch.float32, **_labels(classes))
    if not missing:
        raise CheckpointError(f"{folder} is a trained classifier already: expected the encoder that labels are for")
    lost = [name for name in missing if name.startswith(f"{model.base_model_prefix}.") and ".pooler." not in name]
    if lost:
        raise CheckpointError(f"{folder} holds no weights for {len(lost)} parameters of the encoder ({lost[0]} ...)")
    return ready(model, device)


def new_encoder(
    tokenizer: PreTrainedTokenizerBase, classes: Sequence[str], *, seed: int, device: str, hidden_size: int = 64
) -> PreTrainedModel:
    """A tiny BERT of two layers, randomly initialised."""
    set_seed(seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * hidden_size,
        max_position_embeddings=tokenizer.model_max_length,
        initializer_range=0.1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=tokenizer.pad_token_id,
        **_labels(classes),
    )
    return ready(BertForSequenceClassification(config), device)  # type: ignore[no-untyped-call]


def load_text_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """An encoder's tokenizer, which needs no EOS. Raises CheckpointError where there is none, or it cannot pad."""
    tokenizer = read_tokenizer(folder)
    if tokenizer.pad_token_id is None:
        raise CheckpointError(f"the tokenizer in {folder} has no padding token; set `pad_token` in its configuration")
    return tokenizer


def new_tokenizer(texts: Iterable[str], *, vocab_size: int, max_length: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE on the texts, each encoded as a user's turn."""
    tokenizer = train_tokenizer(texts, vocab_size, model_max_length=max_length)
    special = [(token, tokenizer.convert_tokens_to_ids(token)) for token in (_START, END)]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"{_START} $A {END}", special_tokens=special)
    return tokenizer


def _labels(classes: Sequence[str]) -> dict[str, Any]:
    return {"id2label": dict(enumerate(classes)), "label2id": {name: n for n, name in enumerate(classes)}}
