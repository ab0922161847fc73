"""The one renderer: prompts and responses to token ids, for training, reference scores, probes and generation alike."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from jinja2 import TemplateError, TemplateSyntaxError

from epa_bench.core.errors import CheckpointError, DataError
from epa_bench.core.notices import notice
from epa_bench.core.records import Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PROBE = "\N{PILCROW SIGN}answer\N{PILCROW SIGN}"
"""Stands in for a response to learn what the template writes around one; begins with what no template contains."""


@dataclass(frozen=True, slots=True)
class EncodedResponse:
    """Token ids of a prompt and of one response to it."""

    prompt_ids: list[int]

    response_ids: list[int]
    """At least one token. Ends in the only EOS unless truncated; never the prompt, never the assistant's header."""

    truncated: bool
    """The response was cut on the right to fit `max_length`, its EOS with it."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """What surrounds every response to one prompt."""

    prompt_text: str
    prompt_ids: tuple[int, ...]

    lead: str
    """What the template writes between the generation prompt and the response, and the model must write too."""

    after: str
    """Everything the template writes after the response."""


class Renderer:
    """Renders with the tokenizer's own chat template (`chat`), or as prompt + response (`plain`).

    Three rules decide the token ids:

    - *The prompt's ids never depend on the response.* The prompt is tokenised alone. Prompt and response are then
      tokenised together, and if the prompt's ids are a prefix the rest is the response: so a tokenizer that treats the
      beginning of a text differently (SentencePiece's leading space) gives what it gives in context. If a merge crosses
      the border, the response is tokenised by itself, as it is when a model generates after the prompt's tokens.
    - *A response cannot forge a special token.* Where its text contains one (`</s>`, `<|im_start|>`), it is tokenised
      by itself with that text split like any other. Prompts are left to the tokenizer, like in every chat server.
    - *One EOS, last.* What a template writes after the EOS is dropped; if it writes none, one is appended.
    """

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        *,
        template: Literal["chat", "plain"],
        max_length: int,
        key: str = "reference.template",
    ) -> None:
        """`max_length`: tokens of prompt and response together; `key`: where a sweep sets the template, for messages.

        Raises CheckpointError.
        """
        name = tokenizer.name_or_path or "the tokenizer"
        if tokenizer.eos_token_id is None:
            raise CheckpointError(f"{name}: expected an EOS token, the tokenizer has none; set its eos_token")
        if template == "chat" and tokenizer.chat_template is None:
            raise CheckpointError(
                f"{name}: expected a chat template, the tokenizer has none; set `{key}: plain` "
                "to concatenate prompt and response, or give the tokenizer the template it was trained with; a base "
                "that is trained further learns one from `reference.sft.chat_template: FILE`"
            )
        self._tokenizer: Any = tokenizer
        self._name = name
        self._template = template
        self._key = key
        self._max_length = max_length
        self._eos: str = str(tokenizer.eos_token)
        self._eos_id: int = tokenizer.eos_token_id
        self._special_text = _any_of(tokenizer)
        self._leading_ids = self._find_leading_ids()
        self._warned = False
        self._frame = lru_cache(maxsize=256)(self._plain_frame if template == "plain" else self._chat_frame)

    def prompt_ids(self, prompt: Prompt) -> list[int]:
        """What a model is given to continue. `chat`: a string is one user message, and the generation prompt follows.

        `plain`: the text with the tokenizer's own leading special tokens, such as BOS. Raises DataError for messages
        under `plain`, and for messages the template refuses; CheckpointError for a template that is no valid Jinja.
        """
        return self._ids_of_prompt(self._text_of_prompt(prompt))

    def encode(self, prompt: Prompt, response_text: str) -> EncodedResponse:
        """Raises DataError for a prompt longer than `max_length` - 1 tokens, because a prompt is never cut.

        Also where the template refuses the messages or the tokenizer cannot write the response's EOS as text; and
        CheckpointError for a template that is no valid Jinja, or writes no answer or no generation prompt. None of them
        knows the row.
        """
        frame = self._frame(prompt)
        room = self._max_length - len(frame.prompt_ids)
        if room < 1:
            raise DataError(
                f"expected a prompt of at most {self._max_length - 1} tokens (max_length - 1), got "
                f"{len(frame.prompt_ids)}: {frame.prompt_text[:80]!r}...; raise `data.max_length` or remove the row"
            )
        lead, body = self._rendered_response(prompt, response_text, frame)
        closing = frame.after.partition(self._eos)[0] if self._eos in frame.after else frame.after.rstrip()
        ids = None
        if not self._special_text.search(response_text):
            ids = self._tokenize_in_context(frame, lead + body + closing)
        if ids is None:
            ids = [*self._tokenize(lead), *self._tokenize_as_text(body), *self._tokenize(closing)]
        if self._eos_id in ids:
            raise DataError(
                f"expected no EOS inside a response, got {self._eos!r}, which this tokenizer cannot write "
                f"as plain text: {response_text[:80]!r}; remove it"
            )
        ids.append(self._eos_id)
        return EncodedResponse(list(frame.prompt_ids), ids[:room], truncated=len(ids) > room)

    def decode(self, ids: Sequence[int]) -> str:
        """The text without special tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def _text_of_prompt(self, prompt: Prompt) -> str:
        if self._template == "chat":
            return self._render(prompt, None)
        if isinstance(prompt, str):
            return prompt
        raise DataError(
            f"expected a prompt as a string under `{self._key}: plain`, got {len(prompt)} messages; "
            "use `chat`, or join the messages to one text"
        )

    def _plain_frame(self, prompt: Prompt) -> _Frame:
        text = self._text_of_prompt(prompt)
        return _Frame(text, tuple(self._ids_of_prompt(text)), lead="", after="")

    def _chat_frame(self, prompt: Prompt) -> _Frame:
        text = self._text_of_prompt(prompt)
        head, probe, after = self._render(prompt, _PROBE).rpartition(_PROBE)
        if not probe:
            raise CheckpointError(f"{self._name}: expected a chat template that writes the assistant's last message")
        shared = os.path.commonprefix([text, head])  # noqa: RUF071 - characters are meant, these are no paths
        lead = head[len(shared) :]
        if lead.strip() and text == self._render(prompt, None, generation_prompt=False):
            raise CheckpointError(
                f"{self._name}: expected a chat template with a generation prompt, this one ignores "
                f"add_generation_prompt and writes {lead!r} before an answer; mend the template, or the model would "
                "be trained to write the header itself"
            )
        if shared != text:
            self._warn_unstable(text, head)
        return _Frame(shared, tuple(self._ids_of_prompt(shared)), lead, after)

    def _warn_unstable(self, text: str, head: str) -> None:
        if self._warned:
            return
        self._warned = True
        notice(
            f"{self._name}: the chat template is not prefix-stable: a prompt alone ends in {text[-40:]!r}, before an "
            f"answer it reads {head[-40:]!r}. Responses are scored after what both share, so the model is trained on "
            "another prompt than it is given to generate"
        )

    def _rendered_response(self, prompt: Prompt, response_text: str, frame: _Frame) -> tuple[str, str]:
        """(lead, body): the template may trim or rewrite the response, so its text is cut out of the rendering."""
        if self._template == "plain":
            return "", response_text
        full = self._render(prompt, response_text)
        start, end = len(frame.prompt_text), len(full) - len(frame.after)
        if end < start or not (full.startswith(frame.prompt_text) and full.endswith(frame.after)):
            raise DataError(
                "expected a chat template that renders a prompt the same way before every answer, this one changes it "
                f"for the answer {response_text[:80]!r}; remove the row, or mend the template"
            )
        body = full[start:end]
        lead = frame.lead if body.startswith(frame.lead) else ""
        return lead, body[len(lead) :]

    def _render(self, prompt: Prompt, response: str | None, *, generation_prompt: bool = True) -> str:
        """With a response there is no generation prompt."""
        if isinstance(prompt, str):
            messages = [{"role": "user", "content": prompt}]
        else:
            messages = [{"role": message.role, "content": message.content} for message in prompt]
        if response is not None:
            messages.append({"role": "assistant", "content": response})
        try:
            rendered = self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=generation_prompt and response is None
            )
        except TemplateSyntaxError as error:
            raise CheckpointError(
                f"{self._name}: its chat template is no valid Jinja (line {error.lineno}: {error.message}); mend it in "
                "the tokenizer, or in the file of `reference.sft.chat_template`"
            ) from error
        except TemplateError as error:
            roles = ", ".join(message["role"] for message in messages)
            raise DataError(f"the chat template refuses messages of the roles {roles}: {error}") from error
        return str(rendered)

    def _ids_of_prompt(self, text: str) -> list[int]:
        return [*self._leading_ids, *self._tokenize(text)]

    def _tokenize(self, text: str, *, special_as_text: bool = False) -> list[int]:
        encoded = self._tokenizer(text, add_special_tokens=False, split_special_tokens=special_as_text, verbose=False)
        return list(encoded["input_ids"])

    def _tokenize_in_context(self, frame: _Frame, text: str) -> list[int] | None:
        """None if a merge across the border changed the prompt's ids."""
        ids = self._ids_of_prompt(frame.prompt_text + text)
        start = len(frame.prompt_ids)
        return ids[start:] if tuple(ids[:start]) == frame.prompt_ids else None

    def _tokenize_as_text(self, text: str) -> list[int]:
        """Tokenised by itself, special tokens split like other text.

        A line feed goes before it and is taken off again, so that SentencePiece adds no space before the first word.
        """
        line_feed, both = (self._tokenize(part, special_as_text=True) for part in ("\n", "\n" + text))
        if both[: len(line_feed)] == line_feed:
            return both[len(line_feed) :]
        return self._tokenize(text, special_as_text=True)

    def _find_leading_ids(self) -> tuple[int, ...]:
        """Special tokens the tokenizer puts before a text (BOS); chat templates write theirs themselves."""
        if self._template == "chat":
            return ()
        bare, whole = self._tokenize("x"), list(self._tokenizer("x")["input_ids"])
        starts = [i for i in range(len(whole) - len(bare) + 1) if whole[i : i + len(bare)] == bare]
        return tuple(whole[: starts[0]]) if starts else ()


def _any_of(tokenizer: "PreTrainedTokenizerBase") -> re.Pattern[str]:
    """Matches the text of every special token."""
    added: dict[int, Any] = getattr(tokenizer, "added_tokens_decoder", {})
    texts = {str(token) for token in tokenizer.all_special_tokens}
    texts |= {token.content for token in added.values() if token.special}
    return re.compile("|".join(map(re.escape, sorted(texts))))
