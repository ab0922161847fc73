"""Publishing a checkpoint: to a real server on this machine, from the command line."""

import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from epa_bench.core.code import checkout_commit
from tests.pipeline.loopback_hub import TOKEN, Hub, loopback_hub

if TYPE_CHECKING:
    from tests.conftest import Workplace

EPA = ("epa-1-1-2", "--seed", "2", "--repo", "ann/epa-mini")


@pytest.fixture
def hub() -> Iterator[Hub]:
    with loopback_hub() as running:
        yield running


@pytest.fixture
def push(hub: Hub, finished: "Workplace") -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs the verb over the finished sweep; nothing is written there."""

    def run(*arguments: str, sweep: str = "mini.yaml", **environment: str) -> "subprocess.CompletedProcess[str]":
        settings = {
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": TOKEN,
            "HF_HUB_OFFLINE": "0",
            # The hub's newer storage protocol has servers of its own; this is the one over plain HTTP.
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        return finished.run("push", sweep, *arguments, env={**os.environ, **settings, **environment})

    return run


def model_folder(place: "Workplace", arm: str, seed: int) -> Path:
    for path in place.store.glob("cells/train/*/cell.json"):
        if json.loads(path.read_text())["label"] == f"train {arm}, seed {seed}":
            return path.parent / "model"
    raise AssertionError(arm)


def refused(done: "subprocess.CompletedProcess[str]", code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def test_a_checkpoint_is_uploaded_with_its_card(push: Any, hub: Hub, finished: "Workplace") -> None:
    done = push(*EPA, "--private", "--json", "-")
    assert done.returncode == 0, done.stderr
    (shown,) = json.loads(done.stdout)
    assert shown == {"url": f"{hub.url}/ann/epa-mini", "commit": f"{1:040x}", "files": len(hub.files["ann/epa-mini"])}
    assert hub.private == {"ann/epa-mini": True}
    assert hub.messages == ["epa-1-1-2, seed 2, of the sweep mini"]
    folder = model_folder(finished, "epa-1-1-2", 2)
    local = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    sent = hub.files["ann/epa-mini"]
    assert sent.keys() == local.keys() >= {"model.safetensors", "config.json", "tokenizer.json", "epa_bench.json"}
    assert {name: sent[name] for name in local if name != "README.md"} == {
        name: content for name, content in local.items() if name != "README.md"
    }
    card = sent["README.md"].decode()
    assert card.startswith(local["README.md"].decode().rstrip())
    provenance = card.partition("## Provenance")[2]
    for words in ("| sweep | mini |", "| arm | epa-1-1-2 |", "| seed | 2 |", f"| cell | {folder.parent.name} |"):
        assert words in provenance
    assert f"| epa-bench commit | {checkout_commit() or 'not from a checkout'} |" in provenance


def test_pushed_again_it_is_another_commit_of_the_same_repository(push: Any, hub: Hub) -> None:
    for _ in range(2):
        assert push(*EPA).returncode == 0
    assert len(hub.messages) == 2
    assert hub.private == {"ann/epa-mini": False}


def test_the_token_is_shown_nowhere(push: Any, hub: Hub, finished: "Workplace") -> None:
    done = push(*EPA)
    assert TOKEN not in done.stdout + done.stderr
    assert not [name for name, content in hub.files["ann/epa-mini"].items() if TOKEN.encode() in content]
    wrong = "hf_a-token-that-is-wrong"
    done = push(*EPA, HF_TOKEN=wrong)
    refused(done, 12, "ann/epa-mini", hub.url, "does not take the token in HF_TOKEN")
    hub.broken = True
    broken = push(*EPA)
    refused(broken, 12, "answered 422")
    assert not [text for text in (done.stderr, broken.stderr) if wrong in text or TOKEN in text]


def test_a_hub_that_refuses_or_is_not_there(push: Any, hub: Hub) -> None:
    hub.forbidden = True
    refused(push(*EPA), 12, "does not let the token in HF_TOKEN write there")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
        refused(push(*EPA, HF_ENDPOINT=nobody), 12, "cannot upload to", nobody)
    refused(push(*EPA, HF_HUB_OFFLINE="1"), 12, "HF_HUB_OFFLINE is set")
    assert hub.files == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("epa-1-1-3", "--seed", "2", "--repo", "ann/x"), ["the sweep mini has no arm epa-1-1-3", "epa-1-1-2?"]),
        (("nonesuch", "--seed", "2", "--repo", "ann/x"), ["it has dpo, dpo-nll, epa-1-1-2"]),
        (("dpo", "--seed", "9", "--repo", "ann/x"), ["--seed: dpo is trained with 1, 2, got 9"]),
        (("dpo", "--seed", "1", "--repo", "x"), ["--repo: expected OWNER/NAME, got 'x'"]),
        (("dpo", "--seed", "1"), ["--repo"]),
        (("dpo", "--repo", "ann/x"), ["--seed"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_what_is_wrong_with_the_command_is_said_before_anything_is_sent(
    push: Any, hub: Hub, arguments: tuple[str, ...], words: list[str]
) -> None:
    refused(push(*arguments), 3, *words)
    assert hub.requests == []


def test_without_a_token_nothing_is_sent(push: Any, hub: Hub) -> None:
    refused(push(*EPA, HF_TOKEN=""), 3, "set the environment variable HF_TOKEN")
    assert hub.requests == []


def test_a_checkpoint_that_is_not_trained_yet(hub: Hub, workplace: "Workplace") -> None:
    environment = {**os.environ, "HF_TOKEN": TOKEN, "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"}
    refused(workplace.run("push", "mini.yaml", *EPA, env=environment), 6, "run the sweep first")
    assert hub.requests == []


def test_a_damaged_checkpoint_is_not_published(hub: Hub, finished: "Workplace", workplace: "Workplace") -> None:
    place = finished.copy(workplace.folder)
    weights = model_folder(place, "epa-1-1-2", 2) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    environment = {**os.environ, "HF_TOKEN": TOKEN, "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"}
    refused(place.run("push", "mini.yaml", *EPA, env=environment), 6, "model.safetensors is not what was written")
    assert hub.requests == []
