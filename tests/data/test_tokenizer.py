"""The tokenizer trained on the spot: lossless, deterministic, with a prefix-stable chat template."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from epa_bench.core.errors import ConfigError
from epa_bench.data.embedded.families import make_prompts
from epa_bench.data.tokenizer import MIN_VOCAB_SIZE, SPECIAL_TOKENS, train_tokenizer

TEXTS = [text for prompt in make_prompts(600, 0, "sft") for text in (prompt.text, prompt.answer)]
CHAT = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "sort wolf ant"},
    {"role": "assistant", "content": "ant wolf"},
    {"role": "user", "content": "count wolf ant"},
    {"role": "assistant", "content": "two"},
]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(TEXTS, 512, model_max_length=128)


def test_special_tokens_come_first_and_the_vocabulary_is_filled(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.convert_ids_to_tokens(list(range(5))) == list(SPECIAL_TOKENS)
    assert (tokenizer.pad_token, tokenizer.eos_token) == ("<|pad|>", "<|end|>")
    assert set(tokenizer.all_special_tokens) == set(SPECIAL_TOKENS)
    assert len(tokenizer) == 512
    assert tokenizer.model_max_length == 128
    assert set(tokenizer("sort wolf ant")) == {"input_ids", "attention_mask"}


@given(text=st.text().filter(lambda text: "<|" not in text))
def test_any_text_is_encoded_without_loss(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert not set(ids) & set(range(5))


def test_smallest_vocabulary_is_bytes() -> None:
    tokenizer = train_tokenizer(["aaaa bbbb"], MIN_VOCAB_SIZE)
    assert len(tokenizer) == MIN_VOCAB_SIZE == 261
    assert len(tokenizer("wolf 狼")["input_ids"]) == len("wolf 狼".encode())


def test_few_texts_give_a_smaller_vocabulary() -> None:
    """`abab` holds the merges ab and abab only."""
    assert len(train_tokenizer(["abab"] * 10, 4096)) == MIN_VOCAB_SIZE + 2


def test_a_vocabulary_without_room_for_bytes_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected vocab_size >= 261"):
        train_tokenizer(TEXTS, 260)


def test_rendering(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.apply_chat_template(CHAT, tokenize=False) == (
        "<|system|>be brief<|user|>sort wolf ant<|assistant|>ant wolf<|end|>"
        "<|user|>count wolf ant<|assistant|>two<|end|>"
    )
    prompt = tokenizer.apply_chat_template(CHAT[:2], tokenize=False, add_generation_prompt=True)
    assert prompt == "<|system|>be brief<|user|>sort wolf ant<|assistant|>"


def test_prompt_tokens_are_a_prefix_and_headers_are_one_token(tokenizer: PreTrainedTokenizerFast) -> None:
    prompt = tokenizer.encode(str(tokenizer.apply_chat_template(CHAT[1:2], tokenize=False, add_generation_prompt=True)))
    full = tokenizer.encode(str(tokenizer.apply_chat_template(CHAT[1:3], tokenize=False)))
    assert full[: len(prompt)] == prompt
    assert full == [3, *tokenizer.encode("sort wolf ant"), 4, *tokenizer.encode("ant wolf"), 1]
    assert tokenizer.decode(full[len(prompt) :], skip_special_tokens=True) == "ant wolf"
    assert tokenizer.apply_chat_template(CHAT[1:3], return_dict=False) == full


def test_an_unknown_role_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(Exception, match="unknown role tool"):
        tokenizer.apply_chat_template([{"role": "tool", "content": "x"}], tokenize=False)


def test_survives_saving(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.apply_chat_template(CHAT, return_dict=False) == tokenizer.apply_chat_template(CHAT, return_dict=False)
    assert loaded.decode([3, *tokenizer("wolf 狼")["input_ids"], 1], skip_special_tokens=True) == "wolf 狼"
    assert (loaded.pad_token_id, loaded.eos_token_id, loaded.model_max_length) == (0, 1, 128)


def test_training_gives_the_same_bytes_whatever_the_order_process_and_hash_seed(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    here = tokenizer.backend_tokenizer.to_str()
    assert train_tokenizer(TEXTS[::-1], 512).backend_tokenizer.to_str() == here
    code = (
        "import hashlib\n"
        "from epa_bench.data.embedded.families import make_prompts\n"
        "from epa_bench.data.tokenizer import train_tokenizer\n"
        "texts = [text for prompt in make_prompts(600, 0, 'sft') for text in (prompt.text, prompt.answer)]\n"
        "print(hashlib.sha256(train_tokenizer(texts, 512).backend_tokenizer.to_str().encode()).hexdigest())"
    )
    env = {**os.environ, "PYTHONHASHSEED": "1", "TOKENIZERS_PARALLELISM": "true"}
    there = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True, text=True)
    assert there.stdout.strip() == hashlib.sha256(here.encode()).hexdigest()


def test_importing_loads_neither_torch_nor_transformers() -> None:
    code = (
        "import sys\n"
        "import epa_bench.data.tokenizer\n"
        "from epa_bench.data.embedded import corpus, families, gold, preferences\n"
        "print(sorted({'torch', 'transformers', 'tokenizers'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert found.stdout.strip() == "[]"
