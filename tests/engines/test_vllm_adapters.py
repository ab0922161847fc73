"""Adapters of one base on the real vLLM: attached without a merged copy, refused where they would not be applied."""

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from epa_bench.config.lora import Lora
from epa_bench.core.errors import CheckpointError
from epa_bench.core.notices import Notice
from epa_bench.engines.protocol import Answer, Continuation
from epa_bench.engines.servable import Servable
from epa_bench.engines.vllm_engine import VllmEngine
from epa_bench.engines.vllm_process import VllmProcess
from epa_bench.engines.vllm_server import AdapterRefusedError, VllmServer
from epa_bench.engines.vllm_wire import Attach, Command, Generate, Generated, Ranked, Score, Scored
from epa_bench.models.adapter_files import read_adapter
from epa_bench.models.adapters import add_adapter, load_merged, save_adapter
from epa_bench.models.canary import canary_of
from tests.engines.served import GREEDY, REQUESTS, TOKENIZER, ended, engine_on, plain, served
from tests.tiny import tiny_model

Folders = dict[str, Path]
Models = dict[str, PreTrainedModel]

RANKS = {"x": 4, "y": 9}
"""Of adapters on checkpoint a: there is room for up to 8, then for up to 16."""


def save_random_adapter(folder: Path, rank: int, size: float, **settings: object) -> Path:
    policy = add_adapter(tiny_model(0), Lora(r=rank, **settings), seed=rank)  # type: ignore[arg-type]
    stream = torch.Generator().manual_seed(rank)
    for name, parameter in policy.named_parameters():
        if ".lora_" in name:
            parameter.data = size * torch.randn(parameter.shape, generator=stream)
    save_adapter(folder, policy, TOKENIZER, base="a", identity={})
    return folder


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """For reading."""
    top = tmp_path_factory.mktemp("adapters")
    return {name: save_random_adapter(top / name, rank, 0.1) for name, rank in RANKS.items()}


@pytest.fixture(scope="module")
def merged(folders: Folders, adapters: Folders) -> Models:
    """What transformers makes of them."""
    return {name: merged_model(folders["a"], folder) for name, folder in adapters.items()}


def merged_model(base: Path, adapter: Path) -> PreTrainedModel:
    return ended(load_merged(base, adapter, dtype="float32", device="cpu"))


def attachable(base: Path, adapter: Path) -> Servable:
    return Servable.of(base, TOKENIZER, canary_of(merged_model(base, adapter)), read_adapter(adapter))


def attached(server: VllmServer, base: Path, adapter: Path, model: PreTrainedModel) -> VllmEngine:
    server.load(attachable(base, adapter))
    return engine_on(server, model)


def answers(engine: VllmEngine) -> list[Answer]:
    return engine.answer(REQUESTS[:16], GREEDY)


def test_adapters_of_one_base_take_turns_in_one_process(
    server: VllmServer, folders: Folders, models: Models, adapters: Folders, merged: Models
) -> None:
    """The base too, whose answers are to the bit those of an engine without room for adapters."""
    base = answers(served(server, folders["a"], models["a"]))
    expected = {name: plain(model).answer(REQUESTS[:16], GREEDY) for name, model in merged.items()}
    assert expected["x"] != expected["y"]
    starts = server.starts
    for name in ("x", "y"):
        assert answers(attached(server, folders["a"], adapters[name], merged[name])) == expected[name]
    # None for the adapters' sake but for a larger room.
    assert server.starts == starts + 2
    pid = server.pid
    for name in ("x", "y", "x"):
        assert answers(attached(server, folders["a"], adapters[name], merged[name])) == expected[name]
    assert answers(served(server, folders["a"], models["a"])) == base
    assert answers(attached(server, folders["a"], adapters["y"], merged["y"])) == expected["y"]
    assert server.pid == pid
    # Whole weights between them are another swap, and so is the way back.
    assert answers(served(server, folders["b"], models["b"])) == plain(models["b"]).answer(REQUESTS[:16], GREEDY)
    assert answers(attached(server, folders["a"], adapters["x"], merged["x"])) == expected["x"]
    assert server.pid == pid


def test_an_adapter_scores_and_ranks_as_its_merged_weights(
    server: VllmServer, folders: Folders, adapters: Folders, merged: Models
) -> None:
    engine, whole = attached(server, folders["a"], adapters["x"], merged["x"]), plain(merged["x"])
    stream = torch.Generator().manual_seed(0)
    rows = [torch.randint(2, 300, (size,), generator=stream).tolist() for size in range(20, 60)]
    batch = [Continuation(tuple(row[:8]), tuple(row[8:])) for row in rows]
    for found, expected in zip(engine.score(batch), whole.score(batch), strict=True):
        assert found.logps == pytest.approx(expected.logps, abs=1e-4)
        assert found.greedy == expected.greedy
    for top, others in zip(engine.first_tokens(REQUESTS[:8], 5), whole.first_tokens(REQUESTS[:8], 5), strict=True):
        assert [logp for _, logp in top] == pytest.approx([logp for _, logp in others], abs=1e-4)


def test_a_folder_that_holds_another_adapter_now_is_read_again(
    server: VllmServer, folders: Folders, adapters: Folders, merged: Models, tmp_path: Path
) -> None:
    """vLLM itself goes on with what it has read under a number."""
    place = tmp_path / "latest"
    for name in ("y", "x"):
        shutil.copytree(adapters[name], place, dirs_exist_ok=True)
        found = answers(attached(server, folders["a"], place, merged[name]))
        assert found == plain(merged[name]).answer(REQUESTS[:16], GREEDY)


def test_a_rank_above_all_is_refused_and_the_one_before_answers(
    server: VllmServer, folders: Folders, adapters: Folders, merged: Models, tmp_path: Path
) -> None:
    before = answers(attached(server, folders["a"], adapters["x"], merged["x"]))
    pid = server.pid
    large = save_random_adapter(tmp_path / "large", 513, 0.01, target_modules=["q_proj"])
    with pytest.raises(CheckpointError, match=r"large has rank 513, vLLM serves at most 512\. Merge it .*transformers"):
        server.load(attachable(folders["a"], large))
    assert server.pid == pid
    assert answers(engine_on(server, merged["x"])) == before


def test_an_adapter_that_is_left_out_is_noticed(
    server: VllmServer,
    folders: Folders,
    models: Models,
    adapters: Folders,
    merged: Models,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An engine that takes it without a word and answers from the base; the next checkpoint is served again."""
    attached(server, folders["a"], adapters["x"], merged["x"])
    pid, tell = server.pid, VllmProcess.tell

    def telling(self: VllmProcess, command: Command) -> Iterator[Generated | Scored | Ranked]:
        yield from () if isinstance(command, Attach) else tell(self, command)

    monkeypatch.setattr(VllmProcess, "tell", telling)
    with pytest.raises(AdapterRefusedError, match=r"same with the adapter in .*/y as without it"):
        server.load(attachable(folders["a"], adapters["y"]))
    monkeypatch.undo()
    assert server.pid == pid
    assert answers(served(server, folders["a"], models["a"])) == plain(models["a"]).answer(REQUESTS[:16], GREEDY)


def test_an_adapter_that_vllm_cannot_read_is_refused(
    server: VllmServer, folders: Folders, models: Models, adapters: Folders, tmp_path: Path
) -> None:
    """transformers has read it; what vLLM raises is the reason."""
    server.load(attachable(folders["a"], adapters["x"]))
    pid = server.pid
    found = attachable(folders["a"], adapters["y"])
    broken = shutil.copytree(adapters["y"], tmp_path / "broken")
    (broken / "adapter_config.json").write_text('{"r": 4}')
    assert found.adapter is not None
    with pytest.raises(AdapterRefusedError, match="Missing required configuration fields"):
        server.load(replace(found, adapter=replace(found.adapter, folder=broken)))
    assert server.pid == pid
    assert answers(served(server, folders["a"], models["a"])) == plain(models["a"]).answer(REQUESTS[:16], GREEDY)


def test_a_killed_process_has_its_adapter_again(
    server: VllmServer, folders: Folders, adapters: Folders, merged: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = attached(server, folders["a"], adapters["x"], merged["x"])
    expected, told, tell = answers(engine), list[type[Command]](), VllmProcess.tell

    def telling(self: VllmProcess, command: Command) -> Iterator[Generated | Scored | Ranked]:
        told.append(type(command))
        if len(told) == 1:
            os.kill(self.pid, signal.SIGKILL)
        yield from tell(self, command)

    monkeypatch.setattr(VllmProcess, "tell", telling)
    with pytest.warns(Notice, match="the vLLM process died"):
        assert answers(engine) == expected
    assert told == [Generate, Score, Attach, Score, Generate]


def test_an_adapter_brings_its_own_tokenizer(
    server: VllmServer, folders: Folders, adapters: Folders, merged: Models, tmp_path: Path
) -> None:
    """For stop texts, which vLLM looks for itself: its base has none here."""
    bare = shutil.copytree(folders["a"], tmp_path / "bare", ignore=shutil.ignore_patterns("tokenizer*", "chat*"))
    whole = plain(merged["x"]).answer(REQUESTS[:16], GREEDY)
    stop = next(answer.text[3:5] for answer in whole if len(answer.text) > 8)
    decoding = GREEDY.model_copy(update={"stop": (stop,)})
    server.close()
    engine = attached(server, bare, adapters["x"], merged["x"])
    assert engine.answer(REQUESTS[:16], decoding) == plain(merged["x"]).answer(REQUESTS[:16], decoding)
    assert any(stop in answer.text for answer in whole)
