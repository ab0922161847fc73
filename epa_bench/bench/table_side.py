"""A process that writes the leaderboard of a run's rows and says what that cost: one job on standard input."""

import resource
import sys
import time
from pathlib import Path
from typing import Literal

from epa_bench.core.records import Finite, Record
from epa_bench.leaderboard.build import build_table
from epa_bench.leaderboard.render import write_board
from epa_bench.leaderboard.rows import read_frame, read_rows

Reader = Literal["columns", "a model a row"]
"""How rows are read: what `epa-bench table` does, and the strict reader it falls back to, which names a wrong row."""


class TableJob(Record):
    """One table."""

    rows: str
    """File of the rows."""

    out: str
    """Where the tables go, without a suffix."""

    reader: Reader


class TableCost(Record):
    """What a job took, from rows on disk to tables on disk."""

    seconds: Finite
    """Of the clock, start of the process and imports not included."""

    cpu_seconds: Finite
    peak_mib: Finite
    """Most resident memory of the process, imports included."""

    torch: bool
    """Whether torch was imported."""


def main() -> None:
    """Answers one job."""
    print(measure(TableJob.model_validate_json(sys.stdin.read())).model_dump_json())


def measure(job: TableJob) -> TableCost:
    """Reads, builds and writes once. Raises DataError for damaged rows, StoreError where nothing can be written."""
    clock, cpu = time.perf_counter(), time.process_time()
    rows = read_frame([Path(job.rows)]) if job.reader == "columns" else read_rows(Path(job.rows))
    board = build_table(rows, baseline="dpo", judge={}, title="Benchmark", versions={})
    write_board(board, Path(job.out))
    return TableCost(
        seconds=time.perf_counter() - clock,
        cpu_seconds=time.process_time() - cpu,
        peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        torch="torch" in sys.modules,
    )


if __name__ == "__main__":
    main()
