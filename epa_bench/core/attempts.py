"""STORE/attempts.jsonl: every attempt at a cell, its start and its end, whoever made it.

For people and for `watch`: nothing is decided by it, so a line that a kill or a full disk tore is left out, and clocks
that differ between machines do no harm.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from epa_bench.core.records import Finite, Record

if TYPE_CHECKING:
    from epa_bench.core.store import CellSpec

FILE = "attempts.jsonl"


class Attempt(Record):
    """One line."""

    event: Literal["start", "done", "failed", "died"]
    """`died` is written by the one who started the process, for a cell whose process could not."""

    digest: str
    step: str
    label: str
    host: str
    pid: int

    time: Finite
    """Unix seconds, by the clock of the machine that wrote it."""

    reason: str | None = None
    """Of `failed` and `died`."""


def note_attempt(
    root: Path, spec: "CellSpec", event: Literal["start", "done", "failed", "died"], reason: str | None = None
) -> None:
    """Appends a line by one write. What cannot be written is left out."""
    attempt = Attempt(
        event=event,
        digest=spec.digest,
        step=spec.step,
        label=spec.label,
        host=socket.gethostname(),
        pid=os.getpid(),
        time=time.time(),
        reason=reason,
    )
    with suppress(OSError), (root / FILE).open("ab", buffering=0) as file:
        # The first byte ends a line that was torn.
        file.write(f"\n{attempt.model_dump_json(exclude_none=True)}".encode())


@contextmanager
def attempted(root: Path, spec: "CellSpec") -> Iterator[None]:
    """Notes the start, and the end if this process lives to see it."""
    note_attempt(root, spec, "start")
    try:
        yield
    except Exception as error:
        note_attempt(root, spec, "failed", f"{type(error).__name__}: {error}")
        raise
    note_attempt(root, spec, "done")


def read_attempts(root: Path) -> list[Attempt]:
    """Every whole line, in the order in which they were written; none where nothing was tried."""
    path = root / FILE
    found = []
    for line in path.read_bytes().split(b"\n") if path.exists() else ():
        with suppress(ValidationError):
            found.append(Attempt.model_validate_json(line))
    return found
