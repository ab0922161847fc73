"""The measuring process of `epa-bench bench engine`: transformers here, vLLM in the process it starts.

Parts come in on standard input, what they gave goes out on standard output, a JSON line each.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from transformers import GenerationConfig, PreTrainedModel
from transformers.utils import logging

from epa_bench.bench.engine_checkpoints import Checkpoints
from epa_bench.bench.engine_rows import EngineWork, Measured, Part, Rates, Served
from epa_bench.bench.subject import words_tokenizer
from epa_bench.core.digest import stable_seed
from epa_bench.core.lines import asked_lines, keep_standard_output
from epa_bench.data.chat import Renderer
from epa_bench.engines.protocol import Answer, Continuation, Decoding, Engine, Request
from epa_bench.engines.servable import Servable
from epa_bench.engines.transformers import TransformersEngine, eos_ids, special_ids
from epa_bench.engines.vllm_engine import VllmEngine
from epa_bench.engines.vllm_server import VllmServer
from epa_bench.engines.vllm_wire import Settings
from epa_bench.models.adapter_files import read_adapter
from epa_bench.models.adapters import load_merged
from epa_bench.models.canary import canary_of
from epa_bench.models.checkpoint import load_model, save_checkpoint

_END_SHARE = 0.03
"""Share of the vocabulary that ends an answer where answers are uneven: they have some thirty tokens then."""

_OPEN = (
    "import sys; from pathlib import Path; from epa_bench.models.checkpoint import load_model; "
    "load_model(Path(sys.argv[1]), dtype='float32', device=sys.argv[2])"
)


class Bench:
    """Both engines and what they serve."""

    def __init__(self, work: EngineWork, device: Any, folder: Path) -> None:
        self._work, self._device, self._folder = work, device, folder
        self._tokenizer = words_tokenizer(work.model.vocab_size)
        self._checkpoints = Checkpoints(work.model, self._tokenizer, folder)
        self._renderer = Renderer(self._tokenizer, template="plain", max_length=work.model.max_position_embeddings)
        self._server = VllmServer(
            Settings(
                dtype="float32",
                device=device,
                tensor_parallel_size=1,
                max_model_len=None,
                places=work.places,
                kv_cache_gib=1.0,
                gpu_memory_utilization=0.5,
                trust_remote_code=False,
            )
        )

    def measure(self, part: Part) -> Measured:
        """Parts are asked for in the order of `Part`."""
        if part == "start":
            return self._start()
        if part == "wide answers":
            return self._wide()
        if part == "agreement":
            return self._agreement()
        if part == "swaps":
            return Measured(loads=tuple(self._timed_load(i) for i in range(self._work.swaps)))
        if part == "adapters":
            return self._adapters()
        if part == "restarts":
            return Measured(loads=tuple(self._timed_load(i, fresh=True) for i in range(self._work.restarts)))
        return Measured(tokens_per_second=self._rates(part))

    # Parts

    def _start(self) -> Measured:
        first = self._checkpoints.whole(0)
        start = self._clock()
        subprocess.run([sys.executable, "-c", _OPEN, str(first), self._device], check=True, stdout=sys.stderr)
        alone = self._clock() - start
        parameters = sum(parameter.numel() for parameter in self._model.parameters())
        return Measured(
            seconds=Rates(transformers=(alone,), vllm=(self._timed_load(0, fresh=True),)), parameters=parameters
        )

    def _rates(self, part: Part) -> Rates:
        """Rounds in which both engines do the same, whoever was second going first."""
        rates: dict[str, list[float]] = {"transformers": [], "vllm": []}
        order = list(rates)
        for number in range(-1, self._work.rounds):
            for name in order:
                start = self._clock()
                tokens = self._do(part, self._engine(name, uneven=part == "uneven answers"), number)
                # The first round warms up.
                if number >= 0:
                    rates[name].append(tokens / (self._clock() - start))
            order.reverse()
        return Rates(transformers=tuple(rates["transformers"]), vllm=tuple(rates["vllm"]))

    def _wide(self) -> Measured:
        work = self._work.model_copy(update={"prompts": self._work.wide, "places": self._work.wide})
        bench = Bench(work, self._device, self._folder)
        bench._timed_load(0)
        try:
            return bench.measure("full answers")
        finally:
            bench._server.close()

    def _do(self, part: Part, engine: Engine, number: int) -> int:
        """Gives the tokens drawn or scored."""
        if part == "scores":
            batch = self._continuations(number)
            engine.score(batch)
            return sum(len(item.context) + len(item.tokens) for item in batch)
        greedy = part == "full answers"
        decoding = Decoding(temperature=0 if greedy else 1, max_new_tokens=self._work.new_tokens)
        return sum(answer.tokens for answer in self._answers(engine, self._requests(number), decoding))

    def _adapters(self) -> Measured:
        """Another adapter a round, served in both ways; whoever comes first, the process has room for it before."""
        self._timed_adapter(self._work.rounds, attached=True)
        served: dict[str, Served] = {}
        for how in ("merged", "attached"):
            loads, rates = [], []
            for number in range(self._work.rounds):
                loads.append(self._timed_adapter(number, attached=how == "attached"))
                start = self._clock()
                tokens = self._do("full answers", self._engine("vllm", uneven=False), number)
                rates.append(tokens / (self._clock() - start))
            served[how] = Served(loads=tuple(loads), tokens_per_second=tuple(rates))
        return Measured(merged=served["merged"], attached=served["attached"])

    def _agreement(self) -> Measured:
        self._timed_load(0)
        decoding = Decoding(temperature=0, max_new_tokens=self._work.new_tokens)
        requests, batch = self._requests(0), self._continuations(0)
        ours, theirs = (self._engine(name, uneven=False) for name in ("transformers", "vllm"))
        answers = zip(*(self._answers(engine, requests, decoding) for engine in (ours, theirs)), strict=True)
        scores = zip(ours.score(batch), theirs.score(batch), strict=True)
        return Measured(
            equal=sum(a == b for a, b in answers),
            compared=len(requests),
            logps_apart=max(abs(a - b) for x, y in scores for a, b in zip(x.logps, y.logps, strict=True)),
        )

    # What they work on

    @cached_property
    def _model(self) -> PreTrainedModel:
        return load_model(self._checkpoints.whole(0), dtype="float32", device=self._device)

    def _timed_load(self, number: int, *, fresh: bool = False) -> float:
        """Seconds from a checkpoint on disk to an engine that has shown that it holds it."""
        place = self._checkpoints.whole(number)
        start = self._clock()
        if fresh:
            self._server.close()
        model = load_model(place, dtype="float32", device="cpu")
        self._server.load(Servable.of(place, self._tokenizer, canary_of(model)))
        return self._clock() - start

    def _timed_adapter(self, number: int, *, attached: bool) -> float:
        """Likewise from an adapter and its base on disk."""
        base, place = self._checkpoints.whole(0), self._checkpoints.adapter(number)
        start = self._clock()
        model = load_merged(base, place, dtype="float32", device="cpu")
        if attached:
            servable = Servable.of(base, self._tokenizer, canary_of(model), read_adapter(place))
        else:
            merged = self._folder / f"merged {number}"
            save_checkpoint(merged, model, self._tokenizer, {})
            servable = Servable.of(merged, self._tokenizer, canary_of(model))
        self._server.load(servable)
        return self._clock() - start

    def _engine(self, name: str, *, uneven: bool) -> Engine:
        vocabulary = self._work.model.vocab_size
        ends = range(vocabulary - int(_END_SHARE * vocabulary), vocabulary) if uneven else ()
        end_ids = [int(self._tokenizer.eos_token_id), *ends]
        self._model.generation_config = cast(Any, GenerationConfig)(eos_token_id=end_ids)
        if name == "vllm":
            stops = eos_ids(self._model, self._tokenizer)
            return VllmEngine(self._server, self._renderer, stops, special_ids(self._model, self._tokenizer))
        return TransformersEngine(self._model, self._tokenizer, self._renderer, self._work.places)

    def _answers(self, engine: Engine, requests: Sequence[Request], decoding: Decoding) -> list[Answer]:
        found: dict[int, Answer] = {}
        for batch in engine.plan(requests):
            found |= dict(zip(batch, engine.answer([requests[i] for i in batch], decoding), strict=True))
        return [found[i] for i in range(len(requests))]

    def _requests(self, number: int) -> list[Request]:
        return [Request(ids, stable_seed(number, i)) for i, ids in enumerate(self._draw(number, 16, 128))]

    def _continuations(self, number: int) -> list[Continuation]:
        return [Continuation(ids[:16], ids[16:]) for ids in self._draw(number, 64, 256)]

    def _draw(self, number: int, shortest: int, longest: int) -> list[tuple[int, ...]]:
        stream = torch.Generator().manual_seed(stable_seed("bench engine", number))
        lengths = torch.randint(shortest, longest + 1, (self._work.prompts,), generator=stream).tolist()
        words = self._work.model.vocab_size
        return [tuple(torch.randint(2, words, (length,), generator=stream).tolist()) for length in lengths]

    @cached_property
    def _clock(self) -> Callable[[], float]:
        return time.perf_counter if self._device != "cpu" else self._processor_seconds

    def _processor_seconds(self) -> float:
        """Of this process, of those it started and that have ended, and of vLLM's: what other programs do is not in
        it."""
        ended = sum(os.times()[:4])
        pid = self._server.pid
        if pid is None:
            return ended
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return ended + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(work: str, device: str) -> None:
    """Measures parts until the process ends with its input."""
    torch.set_num_threads(1)
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    answers = keep_standard_output()
    with tempfile.TemporaryDirectory(prefix="epa-bench-") as folder:
        bench = Bench(EngineWork.model_validate_json(work), device, Path(folder))
        for line in asked_lines():
            print(bench.measure(cast(Part, line.strip())).model_dump_json(), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
