"""Who computes a cell now: a lock that the system releases with its owner's death, and a record of who that owner is.

    LOCKS/DIGEST.lock     flock: the word of the kernel, or of the file server
    LOCKS/DIGEST.owner    host, process, and a count that goes up while the owner lives

On one machine flock decides alone. On shared storage it may not reach other machines (`localflock`, some object-store
mounts), and a machine may vanish: an owner of another boot counts as dead only when its count has stood still for
PATIENCE, by the clock of the one who waits. No clocks are compared, so their skew decides nothing.
"""

import errno
import os
import socket
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from epa_bench.core.errors import StoreError
from epa_bench.core.records import Record

BEAT = 15.0
"""Seconds between two beats of an owner."""

PATIENCE = 150.0
"""Seconds without a beat after which an owner on another machine counts as dead: ten beats, and more than file servers
cache."""

_NO_FLOCK = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}


class Owner(Record):
    """`DIGEST.owner`."""

    host: str
    boot: str
    """Of the kernel that runs it: the same one sees the same flock."""

    pid: int
    beats: int

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@cache
def this_boot() -> str:
    """Identity of the running kernel; of the machine's name where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()


class CellLock:
    """The lock of one cell. Raises StoreError where the file system has no locks."""

    def __init__(self, folder: Path, digest: str) -> None:
        self._record = folder / f"{digest}.owner"
        # A lock by existence alone would outlive its owner.
        self._lock = FileLock(folder / f"{digest}.lock", fallback_to_soft=False)
        self._released = threading.Event()
        self._beating: threading.Thread | None = None
        self._seen: Owner | None = None
        self._since = 0.0

    def try_acquire(self) -> Owner | None:
        """None where the lock is this process's now, else who holds it.

        To be asked again: that an owner on another machine is dead shows over time.
        """
        owner = self._take()
        if owner is not None:
            return owner
        self._beat(0)
        self._released.clear()
        self._beating = threading.Thread(target=self._beat_on, daemon=True)
        self._beating.start()
        return None

    def acquire(self, waiting: Callable[[Owner], None]) -> None:
        """Waits for it; `waiting` is told once who holds it, unless that was only looking."""
        start, told = time.monotonic(), False
        while (owner := self.try_acquire()) is not None:
            if not told and time.monotonic() - start > 1:
                waiting(owner)
                told = True
            time.sleep(0.05)

    def holder(self) -> Owner | None:
        """Who holds it now, without taking it. To be asked again, as `try_acquire`."""
        owner = self._take()
        if owner is None:
            # What a dead owner left is gone from now on, for others too.
            self._record.unlink(missing_ok=True)
            self._lock.release()
        return owner

    def _take(self) -> Owner | None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            # Between taking a lock and saying so there is a moment.
            return read_owner(self._record) or Owner(host="this machine or another", boot="", pid=0, beats=0)
        except OSError as error:
            if error.errno not in _NO_FLOCK:
                raise
            raise StoreError(
                f"the file system of {self._record.parent} has no locks ({error.strerror}), so two processes could "
                "compute one cell at once; mount it with flock, or choose another output.folder"
            ) from error
        owner = read_owner(self._record)
        if owner is not None and owner.boot != this_boot() and not self._is_silent(owner):
            self._lock.release()
            return owner
        return None

    def release(self) -> None:
        self._released.set()
        if self._beating is not None:
            self._beating.join()
        self._record.unlink(missing_ok=True)
        self._lock.release()

    def _is_silent(self, owner: Owner) -> bool:
        """Whether an owner whose lock was free to take has shown no life for PATIENCE."""
        if owner != self._seen:
            self._seen, self._since = owner, time.monotonic()
        return time.monotonic() - self._since > PATIENCE

    def _beat_on(self) -> None:
        beats = 0
        while not self._released.wait(BEAT):
            beats += 1
            try:
                self._beat(beats)
            except OSError:
                # A full disk stops the cell itself, not the beat.
                continue

    def _beat(self, beats: int) -> None:
        owner = Owner(host=socket.gethostname(), boot=this_boot(), pid=os.getpid(), beats=beats)
        staged = self._record.with_suffix(f".{os.getpid()}.tmp")
        staged.write_text(owner.model_dump_json())
        os.replace(staged, self._record)


def read_owner(record: Path) -> Owner | None:
    """None where there is none, or one that was half written when its disk filled up."""
    try:
        return Owner.model_validate_json(record.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def seen_owner(folder: Path, digest: str) -> Owner | None:
    """Who computes a cell, for those who only look: no lock is taken, so nobody is disturbed."""
    owner = read_owner(folder / f"{digest}.owner")
    if owner is None or owner.boot != this_boot():
        return owner
    return owner if Path("/proc", str(owner.pid)).exists() else None
