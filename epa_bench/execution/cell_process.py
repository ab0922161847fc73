"""On a node of a cluster: the cell command in a process of its own, started by the cluster's task or job.

Runs inside Ray's worker or submitit's job, so it imports neither torch nor anything of theirs.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from epa_bench.core.cell_messages import Done, Failed, parse_message
from epa_bench.core.errors import StoreError

_SCRUBBED = ("RAY_", "VLLM_DP_")
"""Prefixes of variables by which vLLM inside would take itself for a part of the cluster's own program."""


@dataclass(frozen=True)
class CellProcess:
    """What to start, wherever it is unpickled and called."""

    command: tuple[str, ...]
    """A module and its arguments, run by the node's own Python. It tells core/cell_messages.py's lines, and ends when
    its standard input does."""

    log: str
    """Path without suffix, in the store: `.out` is what the cell tells while it runs, `.err` what libraries print."""

    threads: int
    gpus: int

    def __call__(self) -> str:
        """Runs the cell to its end, and ends it where this process dies. Gives its last message, or how it died."""
        folder = Path(self.log).parent
        if not folder.is_dir():
            return Failed.of(StoreError(unseen(folder))).model_dump_json()
        end = ""
        with open(f"{self.log}.out", "w") as told, open(f"{self.log}.err", "w") as printed:
            process = subprocess.Popen(
                [sys.executable, "-m", *self.command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=printed,
                text=True,
                env=self._environment(os.environ),
                start_new_session=True,
            )
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    told.write(line)
                    told.flush()
                    end = line if isinstance(parse_message(line), Done | Failed) else end
            finally:
                process.kill()
                code = process.wait()
        return end or f"{_death(code)}, log {self.log}.err on {socket.gethostname()}"

    def _environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in environment.items() if not name.startswith(_SCRUBBED)}
        kept |= {"OMP_NUM_THREADS": str(self.threads), "TOKENIZERS_PARALLELISM": "false"}
        # With GPUs it is what the cluster set; a cell that asked for none must not find those of others.
        return kept if self.gpus else {**kept, "CUDA_VISIBLE_DEVICES": ""}


def unseen(path: Path) -> str:
    """What to say where a file of the store cannot be seen."""
    return (
        f"{socket.gethostname()} does not see {path}: the store and the sweep's folder must be on a file system that "
        "every node sees under the same path; set output.folder to one"
    )


def _death(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended by exit code {code} without a word"
