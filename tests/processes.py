"""Watching processes that a test means to disturb."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

MARK = "EPA_BENCH_TEST_RUN"
"""Environment variable by which the processes of one run are known."""


def wait_until(happened: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """Polls as fast as it can: the moments that are waited for pass quickly."""
    deadline = time.monotonic() + 120
    while not happened():
        assert process.poll() is None, f"ended before it could be disturbed: {process.communicate()}"
        assert time.monotonic() < deadline
        time.sleep(0.001)


def marked_processes(mark: str) -> list[int]:
    """Living processes that were started with the mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            marked = f"{MARK}={mark}".encode() in (folder / "environ").read_bytes()
            zombie = (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if marked and not zombie:
            found.append(int(folder.name))
    return found


def wait_until_gone(mark: str) -> None:
    deadline = time.monotonic() + 20
    while marked_processes(mark):
        assert time.monotonic() < deadline, f"orphans: {marked_processes(mark)}"
        time.sleep(0.02)
