"""The server's own decisions, on a process that is none: what follows where vLLM fails at the wrong moment."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from epa_bench.core.errors import WorkerError
from epa_bench.core.lines import ProcessDiedError
from epa_bench.engines import vllm_server
from epa_bench.engines.servable import Servable
from epa_bench.engines.vllm_process import EngineFailedError
from epa_bench.engines.vllm_server import AdapterRefusedError, VllmServer
from epa_bench.engines.vllm_wire import Attach, Command, Generate, Sampling, Score, Scored, Start
from epa_bench.models.adapter_files import Adapter
from epa_bench.models.canary import Canary
from tests.engines.served import START, TOKENIZER

WITHOUT, WITH = (-1.0, -2.0), (-3.0, -4.0)
"""Log-probs of the probe without and with the adapter."""


class Process:
    """Starts unless its turn is one of `failing`; scores the probe; dies as soon as it is to generate."""

    starts = 0
    failing: frozenset[int] = frozenset()
    reason = "CUDA out of memory"
    max_model_len, pid = 64, 1

    def __init__(self, start: Start) -> None:
        Process.starts += 1
        self.logps = WITHOUT
        if Process.starts in Process.failing:
            raise EngineFailedError(Process.reason)

    def tell(self, command: Command) -> Iterator[Scored]:
        if isinstance(command, Generate):
            raise ProcessDiedError("killed")
        if isinstance(command, Attach):
            self.logps = WITH
        if isinstance(command, Score):
            yield Scored(index=0, logps=self.logps, greedy=False)

    def close(self) -> None:
        pass


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> type[Process]:
    monkeypatch.setattr(vllm_server, "VllmProcess", Process)
    monkeypatch.setattr(Process, "starts", 0)
    return Process


@pytest.fixture
def checkpoint(tmp_path: Path) -> Servable:
    adapter = Adapter(tmp_path, {"r": 4}, "base", None, {"model.layers.0.self_attn.q_proj": (8, 8)})
    return Servable(tmp_path, adapter, TOKENIZER, Canary((1, 2, 3), WITH), {}, {})


def test_memory_that_does_not_suffice_says_nothing_of_adapters(
    process: type[Process], checkpoint: Servable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "failing", frozenset({1, 3}))
    server = VllmServer(START)
    with pytest.raises(WorkerError, match=r"out of memory; lower engine\.batch_size"):
        server.load(checkpoint)
    server.load(checkpoint)
    monkeypatch.setattr(process, "reason", "LoRA is not supported for this model")
    with pytest.raises(AdapterRefusedError, match="is not supported"):
        VllmServer(START).load(checkpoint)


def test_an_adapter_whose_process_cannot_be_started_again_is_a_workers_error(
    process: type[Process], checkpoint: Servable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one of the adapter, which was served before, and is attached again by the next attempt."""
    monkeypatch.setattr(process, "failing", frozenset({2}))
    server = VllmServer(START)
    server.load(checkpoint)
    sampling = Sampling(temperature=0, max_tokens=1, stop_token_ids=(), stop=())
    with (
        pytest.warns(Warning, match="the vLLM process died"),
        pytest.raises(WorkerError, match=r"out of memory; lower engine\.batch_size"),
    ):
        server.generate(Generate(prompts=((1,),), seeds=(1,), sampling=sampling))
    server.load(checkpoint)
    assert process.starts == 3
