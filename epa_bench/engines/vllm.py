"""The process that holds vLLM: the only file that imports it. What it is told and says: `vllm_wire`.

A process of its own, because vLLM takes over threads, standard output and GPU memory, which only its end gives back.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from transformers import AutoConfig
from vllm import LLM, SamplingParams  # type: ignore[import-not-found,unused-ignore]
from vllm.lora.request import LoRARequest  # type: ignore[import-not-found,unused-ignore]

from epa_bench.core.lines import asked_lines, keep_standard_output
from epa_bench.engines.vllm_wire import (
    COMMAND,
    Attach,
    Command,
    Done,
    Failed,
    Generate,
    Generated,
    LoraRoom,
    Rank,
    Ranked,
    Ready,
    Score,
    Scored,
    Start,
    Swap,
)

_BATCHED_TOKENS = 2048
"""Tokens of a forward pass. Scoring holds the logits of all of them: 2048 x 128k words x 4 bytes are 1 GiB, several
times over."""

_CPU_KV_CACHE_GIB = 0.25


@dataclass
class _Held:
    """The engine and what it answers from."""

    llm: Any
    cpu: bool
    folder: str
    """Of the weights."""

    adapter: LoRARequest | None = None
    attached: int = 0
    """Adapters so far, which numbers them: under a number it has seen vLLM goes on with the adapter it had."""


def main(settings: str) -> None:
    """Starts the engine, then answers commands until the process ends with its input."""
    answers = keep_standard_output()

    def say(reply: Ready | Generated | Scored | Ranked | Failed | Done) -> None:
        print(reply.model_dump_json(), file=answers, flush=True)

    start = Start.model_validate_json(settings)
    try:
        llm = _start(start)
    except Exception as error:
        say(Failed(reason=_reason(error)))
        raise
    say(Ready(max_model_len=llm.model_config.max_model_len))
    held = _Held(llm, start.device == "cpu", start.folder)
    for line in asked_lines():
        try:
            for reply in _obey(held, COMMAND.validate_json(line)):
                say(reply)
        except Exception as error:
            say(Failed(reason=_reason(error)))
        else:
            say(Done())


def _start(start: Start) -> Any:
    cpu = start.device == "cpu"
    cache_gib = start.kv_cache_gib or (_CPU_KV_CACHE_GIB if cpu else None)
    llm = LLM(
        model=start.folder,
        tokenizer=start.tokenizer,
        **_lora(start.lora),
        # "auto" would make fp16 of fp32 checkpoints.
        dtype=start.dtype,
        tensor_parallel_size=start.tensor_parallel_size,
        max_model_len=start.max_model_len,
        max_num_seqs=start.places,
        # On CPU a prompt goes through in one piece, however long: vLLM 0.32 raises an exception where a request with a
        # seed is cut (a CPU generator cannot be set back).
        enable_chunked_prefill=not cpu,
        max_num_batched_tokens=max(_BATCHED_TOKENS, start.places, _longest(start) if cpu else 0),
        kv_cache_memory_bytes=None if cache_gib is None else int(cache_gib * 2**30),
        gpu_memory_utilization=start.gpu_memory_utilization,
        trust_remote_code=start.trust_remote_code,
        # Compiling for CPU costs more than it gains.
        enforce_eager=cpu,
        # Answers must depend neither on what was asked before nor on the weights before a swap.
        enable_prefix_caching=False,
        generation_config="vllm",
        seed=0,
    )
    if cpu:
        _check_head_size(llm)
    return llm


def _lora(room: LoraRoom | None) -> dict[str, Any]:
    if room is None:
        return {}
    # A cell is one adapter's answers.
    one = {"enable_lora": True, "max_loras": 1}
    return {**one, "max_lora_rank": room.rank, "lora_target_modules": list(room.modules)}


def _longest(start: Start) -> int:
    config = AutoConfig.from_pretrained(start.folder, trust_remote_code=start.trust_remote_code)
    return start.max_model_len or int(config.get_text_config().max_position_embeddings)


def _check_head_size(llm: Any) -> None:
    """Without this the first request ends the process."""
    from vllm.v1.attention.backends.cpu_attn import (  # type: ignore[import-not-found,unused-ignore]
        CPUAttentionBackend,
    )

    size, sizes = llm.model_config.get_head_size(), CPUAttentionBackend.get_supported_head_sizes()
    if size not in sizes:
        raise ValueError(f"head size {size} is none of those vLLM's CPU kernels have: {', '.join(map(str, sizes))}")


def _obey(held: _Held, command: Command) -> Iterator[Generated | Scored | Ranked]:
    if isinstance(command, Swap):
        _swap(held, command.folder)
    elif isinstance(command, Attach):
        _attach(held, command.folder)
    elif isinstance(command, Generate):
        yield from _generate(held, command)
    elif isinstance(command, Rank):
        yield from _rank(held, command)
    else:
        yield from _score(held, command)


def _swap(held: _Held, folder: str) -> None:
    held.adapter = None
    if folder != held.folder:
        held.llm.collective_rpc("reload_weights", kwargs={"weights_path": folder})
        if held.cpu:
            held.llm.apply_model(_pack_head)
        held.folder = folder
    # There is no prefix cache now; were there one, answers of the old weights would come out of it.
    held.llm.reset_prefix_cache()


def _attach(held: _Held, folder: str) -> None:
    held.attached += 1
    adapter = LoRARequest(str(held.attached), held.attached, folder)
    # At once: what is wrong with the adapter must not be raised in the middle of a batch.
    held.llm.llm_engine.add_lora(adapter)
    held.adapter = adapter


def _score(held: _Held, command: Score) -> Iterator[Scored]:
    params = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=0, ignore_eos=True, detokenize=False)
    for indices in _passes(command.sequences):
        sequences = {index: command.sequences[index] for index in indices}
        for index, output in _finished(held, sequences, lambda _: params):
            yield _scored(index, output, command.skips[index])


def _passes(sequences: tuple[tuple[int, ...], ...]) -> Iterator[list[int]]:
    """Indices of sequences that together are no more than a forward pass, or one that is longer by itself."""
    indices: list[int] = []
    filled = 0
    for index, sequence in enumerate(sequences):
        if indices and filled + len(sequence) > _BATCHED_TOKENS:
            yield indices
            indices, filled = [], 0
        indices.append(index)
        filled += len(sequence)
    yield indices


def _pack_head(model: Any) -> None:
    """The CPU kernels compute with a packed copy of the output layer, which a reload leaves as it was where the layer
    is tied to the embeddings."""
    from vllm.model_executor.layers.vocab_parallel_embedding import (  # type: ignore[import-not-found,unused-ignore]
        ParallelLMHead,
    )

    for layer in model.modules():
        if isinstance(layer, ParallelLMHead):
            layer.quant_method.process_weights_after_loading(layer)


def _generate(held: _Held, command: Generate) -> Iterator[Generated]:
    settings = command.sampling.model_dump(mode="json")

    def params(index: int) -> Any:
        # The tokens that end an answer are among the settings; vLLM's own idea of them is left out.
        return SamplingParams(**settings, seed=command.seeds[index], ignore_eos=True, detokenize=bool(settings["stop"]))

    for index, output in _finished(held, dict(enumerate(command.prompts)), params):
        yield Generated(index=index, tokens=tuple(output.outputs[0].token_ids))


def _rank(held: _Held, command: Rank) -> Iterator[Ranked]:
    params = SamplingParams(temperature=0, max_tokens=1, logprobs=command.count, ignore_eos=True, detokenize=False)
    for index, output in _finished(held, dict(enumerate(command.prompts)), lambda _: params):
        places = sorted(output.outputs[0].logprobs[0].items(), key=lambda item: item[1].rank)
        yield Ranked(index=index, tokens=tuple((token, float(place.logprob)) for token, place in places))


def _finished(
    held: _Held, prompts: Mapping[int, tuple[int, ...]], params: Callable[[int], Any]
) -> Iterator[tuple[int, Any]]:
    """(index, output) in the order in which they end."""
    engine = held.llm.llm_engine
    for index, prompt in prompts.items():
        token_ids = {"prompt_token_ids": list(prompt)}
        engine.add_request(str(index), token_ids, params(index), lora_request=held.adapter)
    while engine.has_unfinished_requests():
        for output in engine.step():
            if output.finished:
                yield int(output.request_id), output


def _scored(index: int, output: Any, skip: int) -> Scored:
    found = [
        position[token]
        for token, position in zip(output.prompt_token_ids[skip:], output.prompt_logprobs[skip:], strict=True)
    ]
    return Scored(
        index=index,
        logps=tuple(float(place.logprob) for place in found),
        greedy=all(place.rank == 1 for place in found),
    )


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"


if __name__ == "__main__":
    main(sys.argv[1])
