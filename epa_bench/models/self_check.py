"""Which score pass a model can take: the fastest that agrees with its plain forward."""

import inspect
from typing import Any

import torch
from torch import nn

from epa_bench.core.notices import notice
from epa_bench.data.chat import EncodedResponse
from epa_bench.models import prefix_attention
from epa_bench.models.logprobs import ResponseLogps, ScorePass, language_model
from epa_bench.models.packing import PackedSequences, pack_sequences

TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 0.05, torch.float16: 0.02}
"""Nats a token by which a pass may differ from the plain forward, by the weights' precision: several times what
rounding gives, and far less than a wrong mask or position does."""

PLAIN = ScorePass(shares_prompts=False, chunks_head=False)
"""A padded row a sequence and the model's own logits: right for any causal language model."""


@torch.no_grad()
def choose_score_pass(model: nn.Module, *, longest: int) -> ScorePass:
    """The fastest pass that gives the plain forward's log-probs on a small ragged batch of random tokens.

    `longest`: tokens of the longest sequence there will be. Sets the model's attention implementation where responses
    can share prompts. Warns with the reasons where an architecture does not fit and a slower pass is taken: sliding
    windows shorter than `longest`, positions that depend on a token's place in the batch, attention or an output layer
    of its own make.
    """
    inner = language_model(model)
    batch = _ragged_batch(inner)
    plain = PLAIN(model, batch)
    reasons = []
    for candidate in (ScorePass(True, True), ScorePass(True, False), ScorePass(False, True)):
        reason = _misfit(candidate, inner, longest) or _disagreement(candidate, model, batch, plain)
        if reason is None:
            break
        reasons.append(reason)
    else:
        candidate = PLAIN
    if reasons:
        notice(
            f"{type(inner).__name__} is scored with {candidate}, because {'; '.join(dict.fromkeys(reasons))}. Results "
            "are the same; it takes longer and more memory."
        )
    return candidate


def _misfit(candidate: ScorePass, inner: Any, longest: int) -> str | None:
    """Why an architecture cannot take a pass, as far as its configuration tells."""
    if candidate.chunks_head and not isinstance(_output_embeddings(inner), nn.Linear):
        return "its output layer is not linear"
    if not candidate.shares_prompts:
        return None
    window = shortest_window(inner)
    if window is not None and window < longest:
        return f"it attends to windows of {window} tokens and sequences have up to {longest}"
    parameters = inspect.signature(inner.forward).parameters.values()
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return "its forward hands no further arguments on to its attention"
    return None


def _disagreement(candidate: ScorePass, model: nn.Module, batch: PackedSequences, plain: ResponseLogps) -> str | None:
    """Why a pass cannot be taken, as far as its results tell. Leaves the attention it needs set."""
    inner: Any = language_model(model)
    before = inner.config._attn_implementation if candidate.shares_prompts else None
    if candidate.shares_prompts:
        inner.set_attn_implementation(prefix_attention.NAME)
        if inner.config._attn_implementation != prefix_attention.NAME:
            return "its attention cannot be chosen through transformers' AttentionInterface"
    worst = float(((candidate(model, batch).logps_N - plain.logps_N).abs() / plain.tokens_N).max())
    if worst <= TOLERANCE[next(model.parameters()).dtype]:
        return None
    if before is not None:
        inner.set_attn_implementation(before)
    return f"with {candidate} it is {worst:.2g} nats a token off its plain forward"


def _output_embeddings(inner: Any) -> object:
    return inner.get_output_embeddings() if hasattr(inner, "get_output_embeddings") else None


def shortest_window(inner: Any) -> int | None:
    """Tokens of the shortest sliding or chunked attention in use, None where every layer attends to everything."""
    config = inner.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ())
    if kinds == {"full_attention"} or getattr(config, "use_sliding_window", True) is False:
        return None
    sizes = (getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size"))
    return min((int(size) for size in sizes if size), default=None)


def _ragged_batch(inner: Any) -> PackedSequences:
    """Two prompts, one with three responses, one of them a single token."""
    generator = torch.Generator().manual_seed(0)

    def ids(count: int) -> list[int]:
        return torch.randint(inner.config.get_text_config().vocab_size, (count,), generator=generator).tolist()

    prompts = (ids(5), ids(3))
    shapes = ((0, 4), (0, 1), (1, 6), (0, 7))
    return pack_sequences([EncodedResponse(prompts[prompt], ids(length), False) for prompt, length in shapes])
