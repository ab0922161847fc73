"""The renderer against tokenizers built on the spot, byte-level and SentencePiece-like, with templates of each kind."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from epa_bench.core.errors import CheckpointError, DataError
from epa_bench.core.records import Message, Prompt
from epa_bench.data.chat import Renderer

CORPUS = ["Hello there, how are you? I am fine. The answer is 42.\n\nUser: Hi\nAssistant: Hello\n"] * 20
SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
LLAMA = (
    "{{ '<s>' }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] | trim + ' </s>\\n' }}{% endif %}{% endfor %}"
)
ZEPHYR = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\\n' + m['content'] + '</s>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)
BARE = (
    "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
EMPTY_THOUGHT = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' }}{% if m['role'] == 'assistant' %}"
    "{{ '[think][/think]' }}{% endif %}{{ m['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
SPECIAL_LEAD = EMPTY_THOUGHT.replace("[think][/think]", "<s>")
HEADER_ONLY = (
    "{% for m in messages %}{{ '<|im_start|>' + m['content'] + '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>' }}{% endif %}"
)
UNSTABLE = CHATML.replace("assistant\\n' }}", "assistant\\n[think]' }}")
NO_GENERATION_PROMPT = CHATML.replace("{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}", "")
REWRITES_HISTORY = (
    "{% for m in messages %}{% if 'secret' in messages[-1]['content'] %}!{% endif %}{{ m['content'] + '</s>' }}"
    "{% endfor %}{% if add_generation_prompt %}{% endif %}"
)
DROPS_ANSWERS = "{% for m in messages if m['role'] == 'user' %}{{ m['content'] }}{% endfor %}"
REFUSES_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + CHATML


def byte_level(template: str | None, eos: str | None = "<|im_end|>", *, bos: bool = False) -> PreTrainedTokenizerFast:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=340, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator(CORPUS, trainer)
    if bos:
        raw.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
        )
    return _wrapped(raw, template, eos)


def sentencepiece_like(template: str | None) -> PreTrainedTokenizerFast:
    """As Llama's and Zephyr's: every text gets a space in front, and a space is part of the word behind it."""
    raw = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    raw.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=150,
        special_tokens=["<unk>", *SPECIAL],
        initial_alphabet=[*map(chr, range(33, 127)), "▁", "\n"],
        show_progress=False,
    )
    raw.train_from_iterator([line for text in CORPUS for line in text.split()], trainer)
    return _wrapped(raw, template, "</s>")


def _wrapped(raw: Tokenizer, template: str | None, eos: str | None) -> PreTrainedTokenizerFast:
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=raw,
        bos_token="<s>",
        eos_token=eos,
        additional_special_tokens=[token for token in SPECIAL if token not in ("<s>", eos)],
    )
    tokenizer.chat_template = template
    return tokenizer


def renderer(tokenizer: PreTrainedTokenizerFast, template: Any = "chat", max_length: int = 500) -> Renderer:
    return Renderer(tokenizer, template=template, max_length=max_length)


def raw_text(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


TALK: Prompt = (
    Message(role="user", content="Hi"),
    Message(role="assistant", content="Hello"),
    Message(role="user", content="How are you?"),
)


@pytest.mark.parametrize("prompt", ["Hi", TALK])
@pytest.mark.parametrize("template", [CHATML, LLAMA, ZEPHYR, BARE, EMPTY_THOUGHT])
@pytest.mark.parametrize("build", [byte_level, sentencepiece_like])
def test_prompt_ids_are_the_tokenizers_own_and_those_of_every_response(
    build: Callable[[str], PreTrainedTokenizerFast], template: str, prompt: Prompt
) -> None:
    tokenizer = build(template)
    render = renderer(tokenizer)
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [m.model_dump() for m in prompt]
    expected = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False)
    assert render.prompt_ids(prompt) == expected
    for text in ("Hello", " Hello", "\n\nHello", "s", "</s>", "42."):
        encoded = render.encode(prompt, text)
        assert encoded.prompt_ids == expected
        assert encoded.response_ids.count(tokenizer.eos_token_id) == 1
        assert encoded.response_ids[-1] == tokenizer.eos_token_id
        assert not encoded.truncated


@pytest.mark.parametrize(
    ("template", "eos", "response"),
    [
        (CHATML, "<|im_end|>", "I am fine.<|im_end|>"),
        (CHATML, "</s>", "I am fine.<|im_end|></s>"),  # the template closes the turn without EOS: one is appended
        (LLAMA, "</s>", " I am fine. </s>"),
        (ZEPHYR, "</s>", "I am fine.</s>"),
        (BARE, "</s>", " I am fine.</s>"),
        (EMPTY_THOUGHT, "<|im_end|>", "[think][/think]I am fine.<|im_end|>"),  # the model has to write it too
    ],
)
def test_the_response_is_what_the_model_must_write(template: str, eos: str, response: str) -> None:
    tokenizer = byte_level(template, eos)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoded = renderer(tokenizer).encode("Hi", "I am fine.")
    assert raw_text(tokenizer, encoded.response_ids) == response
    if eos == "</s>" and template == CHATML:
        assert tokenizer.convert_tokens_to_ids("<|im_end|>") in encoded.response_ids
    rendered = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "I am fine."}], tokenize=False
    )
    assert str(rendered).startswith(raw_text(tokenizer, encoded.prompt_ids) + response.removesuffix("</s>"))


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("Helo 4.\n<s>/|")), st.text(st.sampled_from("Helo 4.\n<s>/|"), min_size=1))
def test_prompt_and_response_are_their_texts(prompt: str, response: str) -> None:
    """Byte-level BPE is lossless, so the ids must give both texts back whatever merges at the border."""
    encoded = BYTE_PLAIN.encode(prompt, response)
    assert encoded.prompt_ids == BYTE_PLAIN.prompt_ids(prompt)
    assert raw_text(BYTE_TOKENIZER, encoded.prompt_ids) == prompt
    assert raw_text(BYTE_TOKENIZER, encoded.response_ids) == response + "<|im_end|>"


BYTE_TOKENIZER = byte_level(None)
BYTE_PLAIN = renderer(BYTE_TOKENIZER, "plain")


def test_a_merge_across_the_border_cannot_change_the_prompt() -> None:
    whole = BYTE_TOKENIZER("Hello", add_special_tokens=False)["input_ids"]
    assert len(whole) == 1
    encoded = BYTE_PLAIN.encode("Hel", "lo")
    assert encoded.prompt_ids == BYTE_TOKENIZER("Hel", add_special_tokens=False)["input_ids"]
    assert encoded.prompt_ids + encoded.response_ids[:-1] != whole
    assert raw_text(BYTE_TOKENIZER, encoded.response_ids) == "lo<|im_end|>"


@pytest.mark.parametrize("text", ["Hello there", "Hello </s> there", "Hello <|im_start|> there"])
def test_sentencepiece_puts_no_space_before_the_response(text: str) -> None:
    """After a line feed a Zephyr writes `Hello`, not the `▁Hello` that the text tokenised alone begins with."""
    tokenizer = sentencepiece_like(ZEPHYR)
    assert tokenizer.tokenize("Hello")[0].startswith("▁")
    tokens = tokenizer.convert_ids_to_tokens(renderer(tokenizer).encode("Hi", text).response_ids)
    assert "".join(tokens[:-1]).replace("▁", " ") == text
    assert tokens[-1] == "</s>"
    assert not {"</s>", "<|im_start|>"} & set(tokens[:-1])


@pytest.mark.parametrize("template", [CHATML, LLAMA, ZEPHYR, HEADER_ONLY])
@pytest.mark.parametrize("build", [byte_level, sentencepiece_like])
def test_the_response_is_tokenised_as_the_template_does_it(
    build: Callable[[str], PreTrainedTokenizerFast], template: str
) -> None:
    tokenizer = build(template)
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "The answer is 42."}]
    rendered: Any = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False)
    encoded = renderer(tokenizer).encode("Hi", "The answer is 42.")
    before_eos = [*encoded.prompt_ids, *encoded.response_ids[:-1]]
    assert rendered[: len(before_eos)] == before_eos


def test_special_tokens_the_template_writes_stay_special() -> None:
    tokenizer = byte_level(SPECIAL_LEAD)
    encoded = renderer(tokenizer).encode("Hi", "Fine <s>")
    assert raw_text(tokenizer, encoded.response_ids) == "<s>Fine <s><|im_end|>"
    begin = tokenizer.convert_tokens_to_ids("<s>")
    assert [index for index, token in enumerate(encoded.response_ids) if token == begin] == [0]


@pytest.mark.parametrize("template", ["chat", "plain"])
def test_special_tokens_in_a_response_are_plain_text(template: str) -> None:
    tokenizer = byte_level(CHATML)
    text = "Fine.<|im_end|>\n<|im_start|>user\nHi</s>"
    encoded = renderer(tokenizer, template).encode("Hi", text)
    assert not set(SPECIAL) & set(tokenizer.convert_ids_to_tokens(encoded.response_ids[:-1]))
    assert raw_text(tokenizer, encoded.response_ids) == text + "<|im_end|>"


def test_a_tokenizer_that_cannot_write_its_eos_as_text_refuses_it() -> None:
    words = Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1, "yes": 2, "<unk>": 3}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>")  # type: ignore[no-untyped-call]
    render = renderer(tokenizer, "plain")
    assert render.encode("yes", " yes").response_ids == [2, 1]
    with pytest.raises(DataError, match="expected no EOS inside a response, got '</s>'"):
        render.encode("yes", " yes </s> yes")


def test_plain_keeps_the_tokenizers_bos_but_no_eos_before_the_response() -> None:
    tokenizer = byte_level(None, "</s>", bos=True)
    assert tokenizer("Hi")["input_ids"][-1] == tokenizer.eos_token_id
    encoded = renderer(tokenizer, "plain").encode("User: Hi\nAssistant:", " Hello")
    assert raw_text(tokenizer, encoded.prompt_ids) == "<s>User: Hi\nAssistant:"
    assert raw_text(tokenizer, encoded.response_ids) == " Hello</s>"


def test_a_template_that_is_not_prefix_stable_warns_once_and_uses_what_is_shared() -> None:
    tokenizer = byte_level(UNSTABLE)
    render = renderer(tokenizer)
    with pytest.warns(UserWarning, match="not prefix-stable"):
        first = render.encode("Hi", "I am fine.")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = render.encode("How are you?", "[think]")
    assert raw_text(tokenizer, render.prompt_ids("Hi")).endswith("assistant\n[think]")
    assert raw_text(tokenizer, first.prompt_ids).endswith("assistant\n")
    assert raw_text(tokenizer, first.response_ids) == "I am fine.<|im_end|>"
    # The shared part does not depend on what the response begins with.
    assert raw_text(tokenizer, second.prompt_ids).endswith("assistant\n")
    assert raw_text(tokenizer, second.response_ids) == "[think]<|im_end|>"


@pytest.mark.parametrize("template", ["chat", "plain"])
def test_a_long_response_is_cut_on_the_right_and_never_emptied(template: str) -> None:
    tokenizer = byte_level(CHATML)
    full = renderer(tokenizer, template).encode("Hi", "The answer is 42.")
    prompt, response = len(full.prompt_ids), len(full.response_ids)
    for length in range(prompt + 1, prompt + response + 2):
        encoded = renderer(tokenizer, template, length).encode("Hi", "The answer is 42.")
        assert encoded.prompt_ids == full.prompt_ids
        assert encoded.response_ids == full.response_ids[: length - prompt]
        assert len(encoded.response_ids) >= 1
        assert encoded.truncated == (length < prompt + response)
        assert (tokenizer.eos_token_id in encoded.response_ids) != encoded.truncated
    with pytest.raises(
        DataError, match=rf"at most {prompt - 1} tokens \(max_length - 1\), got {prompt}: .*raise `data"
    ):
        renderer(tokenizer, template, prompt).encode("Hi", "The answer is 42.")


def test_decode_leaves_special_tokens_out() -> None:
    render = renderer(byte_level(CHATML))
    encoded = render.encode("Hi", "The answer is 42.")
    assert render.decode(encoded.response_ids) == "The answer is 42."
    assert render.decode(encoded.prompt_ids) == "user\nHi\nassistant\n"


@pytest.mark.parametrize(
    ("tokenizer", "what"),
    [
        (byte_level(None), "expected a chat template, the tokenizer has none; set `reference.template: plain`"),
        (byte_level(CHATML, None), "expected an EOS token, the tokenizer has none; set its eos_token"),
    ],
)
def test_an_unusable_tokenizer_is_refused_at_once(tokenizer: PreTrainedTokenizerFast, what: str) -> None:
    with pytest.raises(CheckpointError, match=what):
        renderer(tokenizer)


@pytest.mark.parametrize(
    ("template", "answer", "error", "what"),
    [
        (NO_GENERATION_PROMPT, "Hello", CheckpointError, r"ignores add_generation_prompt and writes '<\|im_start\|>a"),
        (DROPS_ANSWERS, "Hello", CheckpointError, "that writes the assistant's last message"),
        (
            "{% for m in messages %}\n{{ m.content }",
            "Hello",
            CheckpointError,
            r"no valid Jinja \(line 2: unexpected '}'",
        ),
        (REWRITES_HISTORY, "a secret", DataError, "this one changes it for the answer 'a secret'"),
    ],
)
def test_an_unusable_template_says_why(template: str, answer: str, error: type[Exception], what: str) -> None:
    with pytest.raises(error, match=what):
        renderer(byte_level(template)).encode("Hi", answer)


def test_messages_a_template_refuses_are_a_data_error() -> None:
    prompt = (Message(role="system", content="Be brief."), Message(role="user", content="Hi"))
    with pytest.raises(DataError, match="refuses messages of the roles system, user: no system role"):
        renderer(byte_level(REFUSES_SYSTEM)).prompt_ids(prompt)


def test_plain_refuses_messages() -> None:
    with pytest.raises(DataError, match=r"a string under `reference.template: plain`, got 3 messages"):
        BYTE_PLAIN.prompt_ids(TALK)
    with pytest.raises(DataError, match="as a string"):
        BYTE_PLAIN.encode(TALK, "Hello")
