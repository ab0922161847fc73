"""Many checkpoints, one engine: swaps that must not drift, checkpoints that must not answer, processes that die."""

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from epa_bench.core.errors import CheckpointError, WorkerError
from epa_bench.core.notices import Notice
from epa_bench.engines.protocol import Answer, Decoding, Request
from epa_bench.engines.servable import Servable
from epa_bench.engines.vllm_process import VllmProcess
from epa_bench.engines.vllm_server import VllmServer
from epa_bench.engines.vllm_wire import Generate, Generated, Rank, Ranked, Score, Scored, Swap
from epa_bench.models.canary import Canary, canary_of
from tests.engines.served import GREEDY, REQUESTS, TOKENIZER, engine_on, plain, servable, served

Models = dict[str, PreTrainedModel]
Folders = dict[str, Path]


def changed(folder: Path, place: Path, tensor: str, replacement: torch.Tensor | None) -> Path:
    """A copy of a checkpoint with one tensor replaced, or left out."""
    shutil.copytree(folder, place)
    tensors = load_file(place / "model.safetensors")
    del tensors[tensor]
    if replacement is not None:
        tensors[tensor] = replacement
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
    return place


def answers_of(server: VllmServer, model: PreTrainedModel) -> list[Answer]:
    """Of what the server has loaded."""
    return engine_on(server, model).answer(REQUESTS[:16], GREEDY)


def answers_of_loaded(server: VllmServer, folders: Folders, models: Models, name: str) -> list[Answer]:
    return served(server, folders[name], models[name]).answer(REQUESTS[:16], GREEDY)


def resident(pid: int) -> int:
    """Bytes of memory a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_ten_swaps_neither_drift_nor_grow(server: VllmServer, folders: Folders, models: Models) -> None:
    expected = {name: plain(model).answer(REQUESTS[:16], GREEDY) for name, model in models.items()}
    server.load(servable(folders["a"]))
    server.load(servable(folders["b"]))
    pid, starts = server.pid, server.starts
    assert pid is not None
    before = resident(pid)
    for number in range(10):
        name = "ab"[number % 2]
        assert answers_of_loaded(server, folders, models, name) == expected[name]
    assert (server.pid, server.starts) == (pid, starts)
    assert resident(pid) - before < 16 * 2**20


def test_a_missing_tensor_is_refused(server: VllmServer, folders: Folders, models: Models, tmp_path: Path) -> None:
    """vLLM itself would answer from a mix of two checkpoints."""
    expected = answers_of_loaded(server, folders, models, "a")
    broken = changed(folders["b"], tmp_path / "broken", "model.layers.1.mlp.down_proj.weight", None)
    with pytest.raises(CheckpointError, match=r"holds no weights for 1 parameters .*layers\.1\.mlp\.down_proj"):
        served(server, broken, models["b"])
    assert answers_of(server, models["a"]) == expected


def test_a_wrong_shape_is_refused(server: VllmServer, folders: Folders, models: Models, tmp_path: Path) -> None:
    expected = answers_of_loaded(server, folders, models, "a")
    pid = server.pid
    broken = changed(folders["b"], tmp_path / "broken", "model.layers.1.mlp.down_proj.weight", torch.zeros(64, 95))
    with pytest.raises(CheckpointError, match="cannot load a model from"):
        served(server, broken, models["b"])
    assert server.pid == pid
    assert answers_of(server, models["a"]) == expected


def test_another_tokenizer_is_refused(server: VllmServer, folders: Folders, models: Models) -> None:
    expected = answers_of_loaded(server, folders, models, "a")
    other = TOKENIZER.from_pretrained(folders["b"])
    other.add_tokens(["wordle"])
    foreign = Servable.of(folders["b"], other, canary_of(models["b"]))
    with pytest.raises(CheckpointError, match="1 tokens added: 'wordle'"):
        server.load(foreign)
    assert answers_of(server, models["a"]) == expected
    assert answers_of_loaded(server, folders, models, "b") != expected


def test_other_headers_start_a_process(server: VllmServer, folders: Folders, models: Models, tmp_path: Path) -> None:
    """A head that is tied need not be in the files. To be safe it is not swapped; it is no fault either."""
    server.load(servable(folders["a"]))
    starts = server.starts
    shutil.copytree(folders["b"], tmp_path / "b")
    tensors = load_file(tmp_path / "b" / "model.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, tmp_path / "b" / "model.safetensors", metadata={"format": "pt"})
    found = served(server, tmp_path / "b", models["b"]).answer(REQUESTS[:16], GREEDY)
    assert server.starts == starts + 1
    assert found == plain(models["b"]).answer(REQUESTS[:16], GREEDY)


def test_an_engine_that_says_something_else_is_not_trusted(
    server: VllmServer, folders: Folders, models: Models
) -> None:
    """Neither after a swap nor after the fresh start that follows it; the next checkpoint is served again."""
    server.load(servable(folders["a"]))
    starts = server.starts
    right = servable(folders["b"])
    wrong = Servable.of(folders["b"], TOKENIZER, Canary(right.canary.token_ids, canary_of(models["a"]).logps))
    with (
        pytest.warns(Notice, match="did not take the weights of .* in place, so it is started anew"),
        pytest.raises(CheckpointError, match=r"differ from transformers' by .* expected at most .* in float32"),
    ):
        server.load(wrong)
    assert server.starts == starts + 1
    assert server.pid is None
    assert answers_of_loaded(server, folders, models, "b") == plain(models["b"]).answer(REQUESTS[:16], GREEDY)


@dataclass
class Watched:
    """What processes are told, and when they are killed."""

    commands: list[Swap | Generate | Score | Rank] = field(default_factory=list)
    kill_after: dict[int, int] = field(default_factory=dict)
    """Number of the command -> replies to it that the process survives."""


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    tell, seen = VllmProcess.tell, Watched()

    def telling(self: VllmProcess, command: Swap | Generate | Score | Rank) -> Iterator[Generated | Scored | Ranked]:
        seen.commands.append(command)
        survives = seen.kill_after.get(len(seen.commands))
        if survives == 0:
            os.kill(self.pid, signal.SIGKILL)
        for number, reply in enumerate(tell(self, command), start=1):
            if number == survives:
                os.kill(self.pid, signal.SIGKILL)
            yield reply

    monkeypatch.setattr(VllmProcess, "tell", telling)
    return seen


def test_a_killed_process_loses_nothing(server: VllmServer, folders: Folders, models: Models, watched: Watched) -> None:
    """In mid-batch, after some answers: only the others are asked again."""
    decoding = Decoding(temperature=1, max_new_tokens=90)
    engine = served(server, folders["a"], models["a"])
    requests = [*REQUESTS, *(Request(request.prompt, request.seed + 500) for request in REQUESTS)]
    expected = engine.answer(requests, decoding)
    pid, starts, before = server.pid, server.starts, len(watched.commands)
    watched.kill_after = {before + 1: 10}
    with pytest.warns(Notice, match="the vLLM process died .* asked for what it still owes"):
        assert engine.answer(requests, decoding) == expected
    assert (server.pid != pid, server.starts) == (True, starts + 1)
    whole, canary, rest = watched.commands[before:]
    assert isinstance(whole, Generate)
    assert isinstance(canary, Score)
    assert isinstance(rest, Generate)
    assert len(whole.prompts) == len(requests)
    assert 0 < len(rest.prompts) <= len(requests) - 10


def test_a_process_that_dies_at_once_twice_is_an_error(
    server: VllmServer, folders: Folders, models: Models, watched: Watched
) -> None:
    engine = served(server, folders["a"], models["a"])
    before = len(watched.commands)
    # The second command is the canary of the start in between.
    watched.kill_after = {before + 1: 0, before + 3: 0}
    with pytest.warns(Notice), pytest.raises(WorkerError, match=r"vLLM process died: .*lower engine\.batch_size"):
        engine.answer(REQUESTS[:4], GREEDY)
    assert server.pid is None
