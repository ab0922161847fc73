"""A judge that is a checkpoint on this machine, on the engines that answer for the sweep's own checkpoints."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from epa_bench.config.judge import LocalJudge
from epa_bench.core.digest import canonical_json, digest_of, stable_seed
from epa_bench.core.records import Prompt
from epa_bench.data.chat import Renderer
from epa_bench.engines.protocol import Decoding, Engine, Request
from epa_bench.engines.vllm_engine import VllmEngine
from epa_bench.judges.loaded import LoadedJudge, Model, Replied
from epa_bench.judges.records import JudgeDecoding, Question, Reply, Usage
from epa_bench.steps.context import StepContext
from epa_bench.steps.engine import engine_of, open_for_engine


def local_judge(context: StepContext) -> LoadedJudge:
    """The judge of a cell whose config's `judge` is what `pipeline.local_judge` says of a LocalJudge."""
    hints, identity = context.hints, context.config["judge"]
    config = LocalJudge.model_validate_json(canonical_json(hints["judge"]))
    return LoadedJudge(
        hints["judge_name"], digest_of(identity), config, Path(hints["replies"]), lambda: _load(context, config)
    )


def _load(context: StepContext, config: LocalJudge) -> Model:
    """Raises CheckpointError and WorkerError."""
    own = replace(context, config=context.config["judge"], hints=context.hints["judge_engine"], inputs={})
    opened = open_for_engine(own)
    engine = engine_of(own, opened)
    room = min(config.max_length, engine.max_model_len) if isinstance(engine, VllmEngine) else config.max_length
    return EngineModel(engine, opened.renderer, room, config.template == "plain")


@dataclass(frozen=True)
class EngineModel:
    """Implements `judges.loaded.Model`."""

    engine: Engine
    renderer: Renderer

    room: int
    """Tokens of a question and its reply."""

    plain: bool
    """Messages are joined to one text."""

    def replies(self, asked: Sequence[tuple[Question, JudgeDecoding]]) -> Iterator[Replied]:
        """See `Model`. Questions of one decoding share batches."""
        groups: dict[str, list[int]] = {}
        for index, (_, decoding) in enumerate(asked):
            groups.setdefault(decoding.model_dump_json(), []).append(index)
        for indices in groups.values():
            decoding = asked[indices[0]][1]
            requests = {index: self._request(asked[index][0]) for index in indices}
            fitting = []
            for index, request in requests.items():
                error = self._too_long(request, decoding)
                if error is None:
                    fitting.append(index)
                else:
                    yield Replied(index, error=error)
            for batch in self.engine.plan([requests[index] for index in fitting]):
                chosen = [fitting[i] for i in batch]
                replies = self._batch([requests[index] for index in chosen], decoding)
                yield from (Replied(i, reply) for i, reply in zip(chosen, replies, strict=True))

    def close(self) -> None:
        self.engine.close()

    def _request(self, question: Question) -> Request:
        prompt: Prompt = question.messages
        if self.plain:
            prompt = "\n\n".join(message.content for message in question.messages)
        return Request(tuple(self.renderer.prompt_ids(prompt)), stable_seed("judge", question.asked))

    def _too_long(self, request: Request, decoding: JudgeDecoding) -> str | None:
        tokens = len(request.prompt)
        if tokens + decoding.max_tokens <= self.room:
            return None
        return f"too long: {tokens} tokens and {decoding.max_tokens} of reply, there is room for {self.room}"

    def _batch(self, batch: Sequence[Request], decoding: JudgeDecoding) -> list[Reply]:
        if decoding.top_logprobs is None:
            return self._texts(batch, decoding)
        top = self.engine.first_tokens(batch, decoding.top_logprobs)
        if decoding.max_tokens == 1:
            # Nothing is drawn: what is read are the probabilities.
            texts = [
                Reply(text=first[0][0], finish="length", usage=Usage(input_tokens=len(request.prompt), output_tokens=1))
                for request, first in zip(batch, top, strict=True)
            ]
        else:
            texts = self._texts(batch, decoding)
        return [
            reply.model_copy(update={"top_logprobs": tuple(first)}) for reply, first in zip(texts, top, strict=True)
        ]

    def _texts(self, batch: Sequence[Request], decoding: JudgeDecoding) -> list[Reply]:
        drawn = Decoding(temperature=decoding.temperature, max_new_tokens=decoding.max_tokens)
        return [
            Reply(
                text=answer.text,
                finish=answer.finish,
                usage=Usage(input_tokens=len(request.prompt), output_tokens=answer.tokens),
            )
            for request, answer in zip(batch, self.engine.answer(batch, drawn), strict=True)
        ]
