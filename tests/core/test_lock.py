"""Locks: living and dead owners, on this machine and on others whose clocks say anything."""

import errno
import fcntl
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest

from epa_bench.core import lock as locks
from epa_bench.core.errors import StoreError
from epa_bench.core.lock import CellLock, Owner, read_owner, seen_owner


def write_owner(folder: Path, *, boot: str = "another machine", pid: int = 1, beats: int = 0) -> Path:
    record = folder / "d.owner"
    record.write_text(Owner(host="node7", boot=boot, pid=pid, beats=beats).model_dump_json())
    return record


def test_owner_is_known_while_it_holds_and_gone_after(tmp_path: Path) -> None:
    lock = CellLock(tmp_path, "d")
    assert lock.try_acquire() is None
    assert read_owner(tmp_path / "d.owner") == Owner(
        host=os.uname().nodename, boot=locks.this_boot(), pid=os.getpid(), beats=0
    )
    with ThreadPoolExecutor(1) as other:
        holder = other.submit(CellLock(tmp_path, "d").holder).result()
    assert str(holder) == f"process {os.getpid()} on {os.uname().nodename}"
    lock.release()
    assert seen_owner(tmp_path, "d") is None
    assert not list(tmp_path.glob("*.owner"))


def test_dead_owner_of_this_machine_is_taken_over_at_once(tmp_path: Path) -> None:
    """Its lock went with it; the record says nothing more, whatever process has its number now."""
    write_owner(tmp_path, boot=locks.this_boot(), pid=os.getpid())
    lock = CellLock(tmp_path, "d")
    assert lock.try_acquire() is None
    lock.release()


def test_owner_elsewhere_is_waited_for_while_it_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """flock does not reach that machine, so it is free here. Its clock is years behind: only the count tells."""
    monkeypatch.setattr(locks, "PATIENCE", 0.2)
    lock = CellLock(tmp_path, "d")
    for beats in range(6):
        os.utime(write_owner(tmp_path, beats=beats), (1e9, 1e9))
        owner = lock.try_acquire()
        assert owner is not None
        assert (owner.host, owner.beats) == ("node7", beats)
        time.sleep(0.05)


@pytest.mark.parametrize("stamp", [1e9, 4e9], ids=["clock behind", "clock ahead"])
def test_owner_elsewhere_that_stands_still_is_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stamp: float
) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 0.2)
    os.utime(write_owner(tmp_path), (stamp, stamp))
    lock, start = CellLock(tmp_path, "d"), time.monotonic()
    told: list[Owner] = []
    lock.acquire(told.append)
    assert time.monotonic() - start > 0.2
    found = read_owner(tmp_path / "d.owner")
    assert found is not None
    assert found.pid == os.getpid()
    lock.release()


def test_what_a_dead_owner_left_is_removed_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE", -1.0)
    record = write_owner(tmp_path)
    assert CellLock(tmp_path, "d").holder() is None
    assert not record.exists()


def test_it_beats_while_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "BEAT", 0.01)
    lock = CellLock(tmp_path, "d")
    assert lock.try_acquire() is None
    while (owner := read_owner(tmp_path / "d.owner")) is None or owner.beats < 3:
        time.sleep(0.01)
    lock.release()


def test_half_written_record_is_no_owner(tmp_path: Path) -> None:
    (tmp_path / "d.owner").write_text('{"host": "nod')
    lock = CellLock(tmp_path, "d")
    assert lock.try_acquire() is None
    lock.release()


def test_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(descriptor: int, operation: int) -> NoReturn:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(StoreError, match=r"has no locks .* mount it with flock, or choose another output.folder"):
        CellLock(tmp_path, "d").try_acquire()
