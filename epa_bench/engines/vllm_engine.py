"""Generation and scoring by vLLM, of which a server in another process holds the weights."""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from pydantic import JsonValue

from epa_bench.core.errors import DataError
from epa_bench.data.chat import Renderer
from epa_bench.engines.protocol import Answer, Continuation, Decoding, Request, TokenChance, TokenScores
from epa_bench.engines.reading import end_ids, longest_first, read_answer
from epa_bench.engines.vllm_server import VllmServer
from epa_bench.engines.vllm_wire import Generate, Rank, Sampling, Score

_TURNS = 8
"""Answers of a batch for each that is generated side by side: vLLM gives a place to the next prompt as soon as an
answer ends, so small batches would leave places empty."""


class VllmEngine:
    """`Engine` over a server that has loaded the checkpoint. Closing it leaves the server to the next one."""

    def __init__(
        self,
        server: VllmServer,
        renderer: Renderer,
        eos_ids: Collection[int],
        special_ids: Mapping[str, int],
        adapter: Literal["attached", "merged"] | None = None,
    ) -> None:
        """`special_ids`: text of each special token -> its id; `adapter`: how it is served, where it is one."""
        self._server = server
        self._renderer = renderer
        self.eos_ids = tuple(sorted(eos_ids))
        self._special_ids = special_ids
        self._adapter = adapter

    def plan(self, requests: Sequence[Request]) -> list[list[int]]:
        """Longest prompts first, in batches of several turns."""
        return longest_first(requests, self._renderer, _TURNS * self._server.settings.places)

    def answer(self, batch: Sequence[Request], decoding: Decoding) -> list[Answer]:
        """See `Engine.answer`. A prompt without room for itself and its answer gets an error. Raises WorkerError."""
        prompts = [tuple(request.prompt_ids(self._renderer.prompt_ids)) for request in batch]
        answers: dict[int, Answer] = {}
        for i, prompt in enumerate(prompts):
            if (reason := self._no_room(len(prompt), decoding.max_new_tokens)) is not None:
                answers[i] = Answer(text="", tokens=0, finish="error", error=reason)
        asked = [i for i in range(len(batch)) if i not in answers]
        command = Generate(
            prompts=tuple(prompts[i] for i in asked),
            seeds=tuple(batch[i].seed for i in asked),
            sampling=self._sampling(decoding),
        )
        for i, generated in zip(asked, self._server.generate(command), strict=True):
            answers[i] = read_answer(generated.tokens, command.sampling.stop_token_ids, self._renderer, decoding)
        return [answers[i] for i in range(len(batch))]

    def first_tokens(self, batch: Sequence[Request], count: int) -> list[list[TokenChance]]:
        """See `Engine.first_tokens`. Raises DataError for a prompt that vLLM has no room for, and WorkerError."""
        prompts = [tuple(request.prompt_ids(self._renderer.prompt_ids)) for request in batch]
        for prompt in prompts:
            if (reason := self._no_room(len(prompt), 1)) is not None:
                raise DataError(reason)
        ranked = self._server.rank(Rank(prompts=tuple(prompts), count=count))
        return [[(self._renderer.decode([token]), logp) for token, logp in each.tokens] for each in ranked]

    def score(self, batch: Sequence[Continuation]) -> list[TokenScores]:
        """See `Engine.score`. Raises DataError for a sequence that vLLM has no room for, and WorkerError."""
        for item in batch:
            # vLLM does not only score: it must have room for one token more.
            reason = self._no_room(len(item.context) + len(item.tokens), 1)
            if reason is not None:
                raise DataError(reason)
        command = Score(
            sequences=tuple((*item.context, *item.tokens) for item in batch),
            skips=tuple(len(item.context) for item in batch),
        )
        return [TokenScores(scored.logps, scored.greedy) for scored in self._server.score(command)]

    def record(self, decoding: Decoding) -> dict[str, JsonValue]:
        """See `Engine.record`."""
        settings = self._server.settings
        return {
            "engine": "vllm",
            "dtype": settings.dtype,
            "device": settings.device,
            "tensor_parallel_size": settings.tensor_parallel_size,
            "max_model_len": self._server.max_model_len,
            "sampling": self._sampling(decoding).model_dump(mode="json"),
            # They round differently.
            **({"adapter": self._adapter} if self._adapter else {}),
        }

    @property
    def max_model_len(self) -> int:
        """Tokens of prompt and answer that there is room for."""
        return self._server.max_model_len

    def close(self) -> None:
        """The server is the caller's: the next checkpoint takes it over."""

    def _sampling(self, decoding: Decoding) -> Sampling:
        return Sampling(
            temperature=decoding.temperature,
            max_tokens=decoding.max_new_tokens,
            stop_token_ids=tuple(end_ids(self.eos_ids, self._special_ids, decoding)),
            stop=decoding.stop,
        )

    def _no_room(self, prompt_tokens: int, new_tokens: int) -> str | None:
        """vLLM itself would cut the answer short without a word."""
        room = self._server.max_model_len
        if prompt_tokens + new_tokens <= room:
            return None
        return (
            f"{prompt_tokens} tokens of prompt and {new_tokens} of answer exceed vLLM's {room}; raise "
            "engine.max_model_len up to the model's positions, or lower decoding.max_new_tokens"
        )
