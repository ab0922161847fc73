"""The OpenAI chat API in bytes: a question as a request's body, a response's body as a reply. No network here."""

import json
import math
from collections.abc import Callable
from typing import Any

from epa_bench.judges.records import JudgeDecoding, Question, Reply, Usage

_BYTES_A_TOKEN = 4
"""Of UTF-8. Over the 3,208 GPT-4-turbo calls that AlpacaEval stored for four models it is 4.6 to 4.9, so an estimate
made with 4 is about a fifth too high."""

_ROUNDING = 1e-2
"""Servers that sum in low precision report log-probabilities a little above 0, nats."""


class BadReplyError(Exception):
    """A response that is not a chat completion. A proxy's error page may be the cause, so it is asked again."""


def request_body(model: str, question: Question, decoding: JudgeDecoding) -> bytes:
    """The JSON of a chat completion request."""
    request: dict[str, Any] = {
        "model": model,
        "messages": [{"role": m.role, "content": m.content} for m in question.messages],
        "temperature": decoding.temperature,
        "max_tokens": decoding.max_tokens,
        **decoding.extra_body,
    }
    if decoding.top_logprobs is not None:
        request |= {"logprobs": True, "top_logprobs": decoding.top_logprobs}
    return json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode()


def estimated_usage(question: Question, decoding: JudgeDecoding) -> Usage:
    """Tokens of a call before it is made: input about a fifth too high for English, output at its limit."""
    size = sum(len(message.content.encode()) for message in question.messages)
    return Usage(input_tokens=_tokens(size), output_tokens=decoding.max_tokens, estimated=True)


def parse_reply(body: bytes, question: Question, scrub: Callable[[str], str]) -> Reply:
    """The first choice of a chat completion. `scrub` is applied to every text that the server sent.

    Raises BadReplyError where the body is not JSON or lacks what every completion has.
    """
    try:
        completion = json.loads(body)
        choice = completion["choices"][0]
        message = choice["message"]
        text = message.get("content") or ""
        return Reply(
            text=scrub(text),
            refusal=_optional(message.get("refusal"), scrub),
            finish=_optional(choice.get("finish_reason"), scrub),
            top_logprobs=_first_token(choice.get("logprobs"), scrub),
            usage=_usage(completion.get("usage"), question, text),
            model=_optional(completion.get("model"), scrub),
        )
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise BadReplyError(f"not a chat completion ({type(error).__name__})") from None


def error_message(body: bytes) -> str:
    """What a refused request's body says: `error.message` as OpenAI and vLLM write it, else its beginning."""
    text = body.decode(errors="replace")
    try:
        answer = json.loads(text)
        error = answer.get("error", answer)
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, LookupError, AttributeError, RecursionError):
        return text


def _optional(value: Any, scrub: Callable[[str], str]) -> str | None:
    return scrub(value) if isinstance(value, str) else None


def _first_token(logprobs: Any, scrub: Callable[[str], str]) -> tuple[tuple[str, float], ...] | None:
    """Some servers leave log-probs out, or send an empty list, instead of refusing to give them."""
    content = (logprobs or {}).get("content")
    top = content[0].get("top_logprobs") if content else None
    if not top:
        return None
    pairs = [(scrub(entry["token"]), float(entry["logprob"])) for entry in top]
    if any(math.isnan(logprob) or logprob > _ROUNDING for _, logprob in pairs):
        raise ValueError("a log-probability above 0")
    return tuple(pair for pair in pairs if pair[1] > -math.inf)


def _usage(usage: Any, question: Question, text: str) -> Usage:
    if not isinstance(usage, dict):
        size = sum(len(message.content.encode()) for message in question.messages)
        written = _tokens(len(text.encode(errors="replace")))
        return Usage(input_tokens=_tokens(size), output_tokens=written, estimated=True)
    return Usage(input_tokens=usage["prompt_tokens"], output_tokens=usage.get("completion_tokens") or 0)


def _tokens(size: int) -> int:
    return math.ceil(size / _BYTES_A_TOKEN)
