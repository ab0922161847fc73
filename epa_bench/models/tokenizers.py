"""Whether a checkpoint's tokenizer is its reference's: log-probs of other tokens cannot be compared."""

from collections.abc import Iterator
from typing import Any

from transformers import PreTrainedTokenizerBase

from epa_bench.core.errors import CheckpointError

_SAMPLES = (
    "The quick brown fox, 12345.67 times\n\n\tover  the lazy dog's back.",
    "def f(x):\n    return {'a': [x ** 2]}  # café, naïve, Größe",
    "日本語のテキスト и русский, العربية, 🙂👩‍👩‍👧",
    " leading and trailing ",
)
"""Texts that tokenizers with the same vocabulary but other merges, normalisation or splitting tell apart."""


def check_same_tokenizer(reference: PreTrainedTokenizerBase, checkpoint: PreTrainedTokenizerBase) -> None:
    """Raises CheckpointError that lists what differs: vocabulary, special tokens, chat template, or how text is split.

    What a tokenizer is called and where it lies does not matter.
    """
    differences = list(_differences(reference, checkpoint))
    if differences:
        names = checkpoint.name_or_path or "the checkpoint", reference.name_or_path or "the reference"
        raise CheckpointError(
            "the tokenizer of {} is not that of its reference, {}:\n{}\n".format(
                *names, "\n".join(f"  {difference}" for difference in differences)
            )
            + "Use the tokenizer the reference was trained with; nothing scored with another can be compared."
        )


def _differences(reference: Any, checkpoint: Any) -> Iterator[str]:
    ours, theirs = reference.get_vocab(), checkpoint.get_vocab()
    missing, added = sorted(ours.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys())
    moved = sorted(token for token in ours.keys() & theirs.keys() if ours[token] != theirs[token])
    for tokens, what in ((missing, "missing"), (added, "added"), (moved, "under another id")):
        if tokens:
            more = ", ..." if len(tokens) > 5 else ""
            yield f"vocabulary: {len(tokens)} tokens {what}: {', '.join(map(repr, tokens[:5]))}{more}"
    names = sorted({*reference.special_tokens_map, *checkpoint.special_tokens_map})
    for name in names:
        before, after = (tokenizer.special_tokens_map.get(name) for tokenizer in (reference, checkpoint))
        if before != after:
            yield f"special tokens: {name} is {after!r}, was {before!r}"
    if reference.chat_template != checkpoint.chat_template:
        yield "chat template: another text"
    for sample in _SAMPLES:
        if reference(sample)["input_ids"] != checkpoint(sample)["input_ids"]:
            yield f"splitting: {sample!r} becomes other tokens"
            return
