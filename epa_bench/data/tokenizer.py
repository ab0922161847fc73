"""A tokenizer trained on the spot: byte-level BPE, so any text can be encoded, with one-token role headers."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from epa_bench.core.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, END = "<|pad|>", "<|end|>"
ROLE_TOKENS: tuple[str, ...] = ("<|system|>", "<|user|>", "<|assistant|>")
SPECIAL_TOKENS: tuple[str, ...] = (PAD, END, *ROLE_TOKENS)
"""Ids 0 to 4, in this order."""

MIN_VOCAB_SIZE = 256 + len(SPECIAL_TOKENS)
"""Every byte and every special token; what is above it are merges."""

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] not in ['system', 'user', 'assistant'] -%}"
    "{{- raise_exception('unknown role ' ~ message['role'] ~ ': expected system, user or assistant') -}}"
    "{%- endif -%}"
    "{{- '<|' ~ message['role'] ~ '|>' ~ message['content'] -}}"
    "{%- if message['role'] == 'assistant' -%}{{- eos_token -}}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)
"""A role header is one token, nothing surrounds the content, and only the assistant's turns end in EOS.

So the rendering up to the generation prompt is a token prefix of the rendering with the answer."""


def train_tokenizer(
    texts: Iterable[str], vocab_size: int, *, model_max_length: int = 2048
) -> "PreTrainedTokenizerFast":
    """Byte-level BPE with at most `vocab_size` entries (fewer if the texts hold fewer merges), EOS, PAD and a template.

    The result depends only on how often each text occurs, not on their order. Encoding adds no special tokens, and
    decoding gives the text back exactly. Raises ConfigError if `vocab_size` cannot hold every byte and special token.
    """
    if vocab_size < MIN_VOCAB_SIZE:
        raise ConfigError(
            f"tokenizer: expected vocab_size >= {MIN_VOCAB_SIZE} (256 bytes and {len(SPECIAL_TOKENS)} special tokens), "
            f"got {vocab_size}; raise it"
        )
    # Imported here: these modules must be importable without the model stack.
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=list(ROLE_TOKENS),
        chat_template=CHAT_TEMPLATE,
        model_max_length=model_max_length,
        # A Llama knows no token types; by default they would be among the inputs.
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )
