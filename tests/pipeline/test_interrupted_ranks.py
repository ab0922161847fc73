"""A training on two ranks that is interrupted and loses a rank goes on to the bytes of one that was left alone."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.processes import MARK, marked_processes, wait_until, wait_until_gone

if TYPE_CHECKING:
    from tests.conftest import Workplace

ONE_TRAINING: Mapping[str, Any] = {
    "methods.dpo-nll": None,
    "methods.epa-1-1-2": None,
    "seeds": [1],
    "training.num_train_epochs": 6,
}
ON_RANKS = {**ONE_TRAINING, "execution.processes": 2}


@pytest.fixture(scope="module")
def alone(finished: "Workplace", tmp_path_factory: pytest.TempPathFactory) -> "Workplace":
    """Trained on two ranks, and as shards on two ranks, without disturbance."""
    place = finished.copy(tmp_path_factory.mktemp("alone"), without=("train", "responses", "verdicts", "values"))
    place.write(ON_RANKS)
    for setting in ("training.fsdp=false", "training.fsdp=true"):
        done = place.run("train", "mini.yaml", "--set", setting)
        assert done.returncode == 0, done.stderr
    return place


def trained(place: "Workplace", *, fsdp: bool) -> Path:
    """The folder of the training."""
    manifests = place.store.glob("cells/train/*/cell.json")
    (folder,) = (path.parent for path in manifests if ('"fsdp":true' in path.read_text().replace(" ", "")) == fsdp)
    return folder


def last_checkpoint(place: "Workplace") -> int:
    """Step of the newest whole checkpoint."""
    sealed = place.store.glob("staging/train-*/checkpoints/checkpoint-*/complete")
    return max((int(path.parent.name.rpartition("-")[2]) for path in sealed), default=0)


def start(place: "Workplace") -> tuple["subprocess.Popen[str]", str]:
    mark = uuid.uuid4().hex
    return place.start("train", "mini.yaml", env={**os.environ, MARK: mark}), mark


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def ranks_of(process: "subprocess.Popen[str]", mark: str) -> list[int]:
    """The grandchildren: processes that a worker of the pool has spawned."""
    spawned = [pid for pid in marked_processes(mark) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return [pid for pid in spawned if parent(pid) in spawned and parent(pid) != process.pid]


def test_interrupted_then_a_rank_killed_then_finished_under_torchrun(
    alone: "Workplace", workplace: "Workplace"
) -> None:
    place = alone.copy(workplace.folder)
    for folder in place.store.glob("cells/train/*"):
        folder.rename(workplace.folder / folder.name)

    process, mark = start(place)
    wait_until(lambda: last_checkpoint(place) >= 2, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in err) == (130, False), err
    wait_until_gone(mark)

    interrupted_at = last_checkpoint(place)
    process, mark = start(place)
    wait_until(lambda: last_checkpoint(place) > interrupted_at, process)
    ranks = ranks_of(process, mark)
    assert len(ranks) == 2
    killed_at = last_checkpoint(place)
    os.kill(ranks[0], signal.SIGKILL)
    # Its cell is started again, and goes on from there.
    wait_until(lambda: last_checkpoint(place) > killed_at + 1, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "again: train dpo, seed 1: " in err
    assert "of 2 died (killed by SIGKILL)" in err
    assert "Traceback" not in err
    wait_until_gone(mark)
    assert not list(place.store.glob("cells/train/*"))
    assert last_checkpoint(place) > interrupted_at

    # The file says nothing of ranks; the launcher does, and it is the same cell.
    place.write(ONE_TRAINING)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, "-m", "epa_bench", "train", "mini.yaml"],
        cwd=place.folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("dpo, seed 1") == 1
    (finished,) = place.store.glob("cells/train/*")
    assert finished.name == trained(alone, fsdp=False).name
    for file in ("model/model.safetensors", "training_log.jsonl"):
        assert (finished / file).read_bytes() == (trained(alone, fsdp=False) / file).read_bytes()
    assert not list(place.store.glob("staging/*"))


def test_sharded_training_is_the_same_one(alone: "Workplace") -> None:
    import torch
    from safetensors.torch import load_file

    copied, sharded = (load_file(trained(alone, fsdp=fsdp) / "model" / "model.safetensors") for fsdp in (False, True))
    assert copied.keys() == sharded.keys()
    for name, weight in copied.items():
        torch.testing.assert_close(sharded[name], weight, rtol=0, atol=1e-5)
