"""A sweep seen from another process: every state of a cell, and a terminal that follows it to its end."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from epa_bench.core.attempts import note_attempt
from epa_bench.core.errors import DataError, StoreError
from epa_bench.core.lock import CellLock
from epa_bench.core.store import CellSpec, Store
from epa_bench.pipeline.run_cells import note_sweep
from epa_bench.pipeline.watch import watch

DONE, RUNNING, FAILED, DIED, LEFT, WAITING = (
    CellSpec(step, {"n": n}, {}, {}, label=f"{step} {n}")
    for n, step in enumerate(["train", "train", "train", "values", "values", "values"])
)


def write(folder: Path) -> None:
    (folder / "file").write_text("x")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Of a run with a cell in every state: `LEFT` was begun by a driver that is dead."""
    store = Store(tmp_path / "runs" / "store")
    (tmp_path / "runs" / "mini").mkdir()
    note_sweep(tmp_path / "runs" / "mini", store, [DONE, RUNNING, FAILED, DIED, LEFT, WAITING])
    store.compute(DONE, write)

    def fail(folder: Path) -> None:
        raise DataError("row 7 is broken")

    with pytest.raises(DataError):
        store.compute(FAILED, fail)
    for event in ("start", "died"):
        note_attempt(store.root, DIED, event, "killed by SIGKILL" if event == "died" else None)
    note_attempt(store.root, LEFT, "start")
    note_attempt(store.root, RUNNING, "start")
    staging = store.root / "staging" / f"train-{RUNNING.digest}"
    staging.mkdir(parents=True)
    rows = [{"loss": 1.0 / step, "rewards/margins": float(step)} for step in range(1, 5)]
    (staging / "training_log.live.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"lo')
    return store


@pytest.fixture
def lock(store: Store) -> Iterator[CellLock]:
    """Of `RUNNING`, held by a thread as a process would."""
    lock = store.lock(RUNNING)
    with ThreadPoolExecutor(1) as owner:
        assert owner.submit(lock.try_acquire).result() is None
        yield lock
        owner.submit(lock.release).result()


def test_every_state(store: Store, lock: CellLock, tmp_path: Path) -> None:
    found = watch(tmp_path / "runs" / "mini")
    assert (found.done, found.waiting) == (1, 2)
    (running,) = found.running
    assert running.label == "train 1"
    assert running.owner == f"process {os.getpid()} on {os.uname().nodename}"
    assert running.curves == {"loss": (1.0, 0.5, 1 / 3, 0.25), "rewards/margins": (1.0, 2.0, 3.0, 4.0)}
    assert {cell.label: cell.reason for cell in found.failed} == {
        "train 2": "DataError: row 7 is broken",
        "values 3": "killed by SIGKILL",
    }
    assert found.retry == f"epa-bench run {tmp_path / 'runs' / 'mini' / 'sweep.yaml'}"
    # No `values` cell was ever finished.
    assert found.left is None
    store.compute(WAITING, write)
    again = watch(tmp_path / "runs" / "mini")
    assert again.left is not None
    assert again.per_minute is not None
    assert not again.is_over


def test_nobody_computes_after_the_owner_died(store: Store, tmp_path: Path) -> None:
    found = watch(tmp_path / "runs" / "mini")
    assert found.running == ()
    assert found.waiting == 3
    assert (found.per_minute, found.left) == (None, None)


def test_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="expected the folder of a sweep's run"):
        watch(tmp_path)


def test_snapshot_away_from_a_terminal(store: Store, lock: CellLock, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "epa_bench", "watch", "runs/mini"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "mini: 1 done, 1 running, 2 waiting, 2 failed; " in done.stdout
    assert "time left not known yet" in done.stdout
    assert "█▃▁▁ 0.25" in done.stdout
    assert "failed: train 2: DataError: row 7 is broken" in done.stdout
    assert "to try again: epa-bench run runs/mini/sweep.yaml" in done.stdout
    figures = subprocess.run([*command, "--json", "-"], cwd=tmp_path, capture_output=True, text=True)
    assert json.loads(figures.stdout)["done"] == 1


def test_a_terminal_follows_the_sweep_to_its_end(store: Store, lock: CellLock, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    watching = subprocess.Popen(
        [sys.executable, "-m", "epa_bench", "watch", "runs/mini"], cwd=tmp_path, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    while b"1 running" not in shown:
        shown += os.read(ours, 2**16)
    for cell in (FAILED, DIED, LEFT, WAITING):
        store.compute(cell, write)
    store.folder(RUNNING).mkdir()
    (store.folder(RUNNING) / "cell.json").write_text("{}")
    try:
        while chunk := os.read(ours, 2**16):
            shown += chunk
    except OSError:
        # So a terminal ends on Linux.
        pass
    os.close(ours)
    assert watching.wait() == 0
    assert b"6 done, 0 running, 0 waiting" in shown
