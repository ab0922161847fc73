"""Generation by transformers: left-padded batches, longest prompts first, draws that do not depend on the batch."""

from collections.abc import Sequence

import torch
from pydantic import JsonValue
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteria,
    StoppingCriteriaList,
)

from epa_bench.core.errors import CheckpointError, DataError
from epa_bench.data.chat import EncodedResponse, Renderer
from epa_bench.engines.protocol import Answer, Continuation, Decoding, Request, TokenChance, TokenScores
from epa_bench.engines.reading import end_ids, longest_first, read_answer
from epa_bench.models.scoring import score_each_token


class TransformersEngine:
    """`Engine` over a loaded model."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        renderer: Renderer,
        batch_size: int,
        score_tokens: int = 8192,
    ) -> None:
        """`batch_size`: answers side by side; `score_tokens`: tokens scored side by side, packed without padding.

        Raises CheckpointError where no token ends an answer.
        """
        self._model = model
        self._renderer = renderer
        self._batch_size = batch_size
        self._score_tokens = score_tokens
        self._pad_id = int(tokenizer.pad_token_id)
        self._eos_ids = eos_ids(model, tokenizer)
        self._special_ids = special_ids(model, tokenizer)

    def plan(self, requests: Sequence[Request]) -> list[list[int]]:
        """Longest prompts first, so that a batch is even and an out-of-memory error comes at once."""
        return longest_first(requests, self._renderer, self._batch_size)

    def answer(self, batch: Sequence[Request], decoding: Decoding) -> list[Answer]:
        """See `Engine.answer`."""
        return self._answer(
            [request.prompt_ids(self._renderer.prompt_ids) for request in batch],
            [request.seed for request in batch],
            decoding,
        )

    @torch.no_grad()
    def first_tokens(self, batch: Sequence[Request], count: int) -> list[list[TokenChance]]:
        """See `Engine.first_tokens`."""
        ids, mask = self._padded([request.prompt_ids(self._renderer.prompt_ids) for request in batch], 1)
        output = self._model.generate(  # type: ignore[operator]
            input_ids=ids,
            attention_mask=mask,
            generation_config=GenerationConfig(  # type: ignore[no-untyped-call]
                max_new_tokens=1, do_sample=False, pad_token_id=self._pad_id
            ),
            output_logits=True,
            return_dict_in_generate=True,
        )
        logps_BV = torch.log_softmax(output.logits[0].float(), dim=-1)
        top = logps_BV.topk(min(count, logps_BV.shape[-1]))
        return [
            [(self._renderer.decode([token]), logp) for token, logp in zip(tokens, logps, strict=True)]
            for tokens, logps in zip(top.indices.tolist(), top.values.tolist(), strict=True)
        ]

    def score(self, batch: Sequence[Continuation]) -> list[TokenScores]:
        """See `Engine.score`. In batches of packed tokens, by the same pass as training and probes."""
        for continuation in batch:
            self._check_room(len(continuation.context), len(continuation.tokens) - 1)
        sequences = [EncodedResponse(list(c.context), list(c.tokens), truncated=False) for c in batch]
        scores = score_each_token(self._model, sequences, batch_tokens=self._score_tokens)
        return [TokenScores(tuple(logps), all(greedy)) for logps, greedy in scores]

    def record(self, decoding: Decoding) -> dict[str, JsonValue]:
        """See `Engine.record`. What else generation settings could hold is switched off."""
        return {
            "engine": "transformers",
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "device": self._model.device.type,
            "sampling": {
                "temperature": decoding.temperature,
                "max_tokens": decoding.max_new_tokens,
                "stop_token_ids": list(self._end_ids(decoding)),
                "stop": list(decoding.stop),
            },
        }

    def close(self) -> None:
        """Nothing is held but the model, which is the caller's."""

    @torch.no_grad()
    def _answer(self, prompts: list[list[int]], seeds: list[int], decoding: Decoding) -> list[Answer]:
        ids, mask = self._padded(prompts, decoding.max_new_tokens)
        width = ids.shape[1]
        # The checkpoint's own generation settings (top_p, repetition penalty ...) must not slip in.
        self._model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=decoding.max_new_tokens,
            do_sample=False,
            eos_token_id=self._end_ids(decoding),
            pad_token_id=self._pad_id,
        )
        sampler = LogitsProcessorList()
        if decoding.temperature > 0:
            sampler.append(_GumbelSampler(seeds, decoding.temperature))
        output = self._model.generate(  # type: ignore[operator]
            input_ids=ids,
            attention_mask=mask,
            logits_processor=sampler,
            stopping_criteria=self._stopping(width, decoding),
        )
        return [read_answer(row[width:].tolist(), self._end_ids(decoding), self._renderer, decoding) for row in output]

    def _padded(self, prompts: list[list[int]], new_tokens: int) -> tuple[Tensor, Tensor]:
        """Ids and mask, padded on the left. Raises DataError where the longest has no room for new tokens."""
        width = max(len(prompt) for prompt in prompts)
        self._check_room(width, new_tokens)
        device = self._model.device
        ids = torch.tensor([[self._pad_id] * (width - len(p)) + list(p) for p in prompts], device=device)
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device)
        return ids, mask

    def _stopping(self, width: int, decoding: Decoding) -> StoppingCriteriaList:
        criteria = StoppingCriteriaList()
        if decoding.stop:
            criteria.append(_StopTexts(self._renderer, width, decoding))
        return criteria

    def _check_room(self, prompt_tokens: int, new_tokens: int) -> None:
        """Beyond its positions a model fails (learned positions) or talks nonsense without a word (rotary ones)."""
        positions = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        if positions is not None and prompt_tokens + new_tokens > positions:
            raise DataError(
                f"a prompt of {prompt_tokens} tokens and max_new_tokens {new_tokens} exceed the model's {positions} "
                "positions; lower the suite's decoding.max_new_tokens, or data.max_length to leave long prompts out"
            )

    def _end_ids(self, decoding: Decoding) -> list[int]:
        return end_ids(self._eos_ids, self._special_ids, decoding)


class _StopTexts(StoppingCriteria):
    """Ends each answer of a batch when a stop text stands in it."""

    def __init__(self, renderer: Renderer, width: int, decoding: Decoding) -> None:
        self._renderer = renderer
        self._width = width
        self._decoding = decoding
        # No token but a special one is shorter than a byte. A stop text that this misses is still cut out at the end.
        self._tail = 2 * max(len(stop.encode()) for stop in decoding.stop)

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: object) -> Tensor:
        drawn = input_ids[:, self._width :][:, -self._tail :].tolist()
        ended = [self._decoding.before_stop(self._renderer.decode(ids)) is not None for ids in drawn]
        return torch.tensor(ended, device=input_ids.device)


class _GumbelSampler(LogitsProcessor):
    """Turns arg max into a draw from softmax(logits / temperature), each row from its own stream.

    The Gumbel-max trick: arg max of logits + Gumbel noise is such a draw. transformers' own sampling has one stream
    for the batch, so that an answer would change with its neighbours.
    """

    def __init__(self, seeds: Sequence[int], temperature: float) -> None:
        self._streams = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._temperature = temperature

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        vocabulary = scores.shape[-1]
        # fp64 on the CPU: uniform draws of 0 and 1 are then out of reach, and the same on every device.
        uniform = torch.stack([torch.rand(vocabulary, generator=s, dtype=torch.float64) for s in self._streams])
        gumbel = -(-uniform.clamp_min(1e-300).log()).log()
        return scores.float() / self._temperature + gumbel.to(scores.device, torch.float32)


def special_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """Text of each special token that the model can draw -> its id."""
    special = {token.content: id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special}
    return {text: id_ for text, id_ in special.items() if id_ < _vocabulary(model)}


def eos_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokenizer's EOS, and those the checkpoint adds (chat models end turns with another token).

    Ids beyond the model's vocabulary, as a configuration taken from another model has them, are left out: vLLM refuses
    them, transformers waits for them in vain. Raises CheckpointError where none is left.
    """
    added = getattr(model.generation_config, "eos_token_id", None)
    added = added if isinstance(added, list) else [added]
    named = sorted({int(token) for token in [tokenizer.eos_token_id, *added] if token is not None})
    drawable = [token for token in named if token < _vocabulary(model)]
    if not drawable:
        raise CheckpointError(
            f"no answer of {model.name_or_path or 'the checkpoint'} could end: its EOS tokens have the ids "
            f"{', '.join(map(str, named))} and the model's vocabulary has {_vocabulary(model)} tokens. Use the "
            "tokenizer that the model was trained with."
        )
    return drawable


def _vocabulary(model: PreTrainedModel) -> int:
    return int(model.config.get_text_config().vocab_size)
