"""A checkpoint's tokenizer against its reference's: every kind of difference is listed, and no other."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from epa_bench.core.errors import CheckpointError
from epa_bench.data.tokenizer import train_tokenizer
from epa_bench.models.checkpoint import load_tokenizer
from epa_bench.models.tokenizers import check_same_tokenizer

TEXTS = ["the cat sat on the mat", "a cat and a dog", "the dog sat"]


def tokenizer(texts: Iterable[str] = TEXTS, size: int = 290) -> PreTrainedTokenizerFast:
    return train_tokenizer(texts, size)


def differences(checkpoint: PreTrainedTokenizerFast) -> list[str]:
    with pytest.raises(CheckpointError) as caught:
        check_same_tokenizer(tokenizer(), checkpoint)
    first, *middle, last = str(caught.value).splitlines()
    assert first == "the tokenizer of the checkpoint is not that of its reference, the reference:"
    assert last.startswith("Use the tokenizer the reference was trained with")
    return [line.strip() for line in middle]


def test_the_same_tokenizer_wherever_it_lies(tmp_path: Path) -> None:
    tokenizer().save_pretrained(tmp_path / "a")
    tokenizer().save_pretrained(tmp_path / "b")
    check_same_tokenizer(load_tokenizer(tmp_path / "a"), load_tokenizer(tmp_path / "b"))
    check_same_tokenizer(tokenizer(), load_tokenizer(tmp_path / "a"))


def test_another_vocabulary() -> None:
    found = differences(tokenizer(["zebra zebra zebra quagga quagga"], 290))
    assert any(
        line.startswith("vocabulary: ") and "tokens missing: " in line and line.endswith("...") for line in found
    )
    assert any("tokens added: " in line for line in found)


def test_an_added_token() -> None:
    longer = tokenizer()
    longer.add_tokens(["<tool>"])
    assert differences(longer) == ["vocabulary: 1 tokens added: '<tool>'"]


def test_ids_that_changed_places() -> None:
    swapped = tokenizer()
    state = json.loads(swapped.backend_tokenizer.to_str())
    ids = state["model"]["vocab"]
    ids["a"], ids["b"] = ids["b"], ids["a"]
    swapped._tokenizer = swapped.backend_tokenizer.from_str(json.dumps(state))
    found = differences(swapped)
    assert found[0] == "vocabulary: 2 tokens under another id: 'a', 'b'"
    assert found[-1].startswith("splitting: ")


CHANGES: dict[str, tuple[Callable[[Any], None], str]] = {
    "pad": (
        lambda other: setattr(other, "pad_token", other.eos_token),
        "special tokens: pad_token is '<|end|>', was '<|pad|>'",
    ),
    "eos": (
        lambda other: setattr(other, "eos_token", "<|pad|>"),
        "special tokens: eos_token is '<|pad|>', was '<|end|>'",
    ),
    "template": (
        lambda other: setattr(other, "chat_template", other.chat_template + " "),
        "chat template: another text",
    ),
    "no template": (lambda other: setattr(other, "chat_template", None), "chat template: another text"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_special_tokens_and_template(change: str) -> None:
    other = tokenizer()
    make, expected = CHANGES[change]
    make(other)
    assert differences(other) == [expected]


def test_the_same_vocabulary_split_otherwise() -> None:
    """As a tokenizer that lowers its input, or lost its pre-tokenizer on the way."""
    from tokenizers import normalizers

    other = tokenizer()
    other.backend_tokenizer.normalizer = normalizers.Lowercase()
    (found,) = differences(other)
    assert found.startswith('splitting: "The quick brown fox')
