"""A process that is asked by lines on its standard input and answers by lines on its standard output.

Lines of JSON, never pickles: what a process says is data.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from queue import SimpleQueue
from typing import IO


class ProcessDiedError(Exception):
    """The process ended while it was asked. Its text says by which signal, or is the last line of what it wrote to its
    standard error."""


class LineProcess:
    """The asking side: `python -m MODULE ARGUMENTS`, ended by `close` or with this process."""

    def __init__(self, module: str, *arguments: str, environment: Mapping[str, str]) -> None:
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, **environment},
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def write(self, line: str) -> None:
        """Raises ProcessDiedError."""
        assert self._process.stdin is not None
        try:
            print(line, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise self._died() from None

    def read(self) -> str:
        """The next line, waited for. Raises ProcessDiedError."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith("\n"):
            raise self._died()
        return line

    def _died(self) -> ProcessDiedError:
        code = self._process.wait()
        if code == -signal.SIGKILL:
            return ProcessDiedError("killed; the system does that where memory runs out")
        self._errors.seek(0)
        last = self._errors.read().strip().splitlines()[-1:]
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return ProcessDiedError(last[0] if last and code > 0 else how)

    def close(self) -> None:
        """Ends the process at once."""
        self._process.kill()
        # Not `communicate`, which would flush what was written to a process that is dead already.
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                continue


def asked_lines() -> Iterator[str]:
    """The answering side: lines of standard input. The process ends as soon as its input does, so also with its parent.

    Nobody waits then for what may be running.
    """
    lines: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    while True:
        yield lines.get()


def _read(lines: SimpleQueue[str]) -> None:
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


def end_with_input() -> None:
    """From now on this process, which reads no input, ends as soon as its standard input does: with its parent."""
    threading.Thread(target=_read, args=(SimpleQueue(),), daemon=True).start()


def keep_standard_output() -> IO[str]:
    """Standard output for the answers alone; what libraries print from now on goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers
