"""`epa-bench bench table`: a leaderboard of many runs written again from their rows; seconds, memory, and the bytes."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from statistics import median
from typing import get_args

import numpy as np

from epa_bench.bench.document import put_section
from epa_bench.bench.grid import Grid, bullets, table
from epa_bench.bench.machine import this_machine
from epa_bench.bench.render import measured_on
from epa_bench.bench.rows import Machine
from epa_bench.bench.table_side import Reader, TableCost, TableJob
from epa_bench.core.digest import file_sha256, stable_seed
from epa_bench.core.errors import WorkerError
from epa_bench.core.records import Finite, Record, ScoreRow

_PACKAGES = ("epa-bench", "numpy", "pandas", "pyarrow", "pydantic")


class TableRow(Record):
    """One way to read the rows: what `--json` holds."""

    reader: Reader
    runs: int
    prompts: int
    rounds: int
    seconds: Finite
    """Of the clock, median over the rounds."""

    cpu_seconds: Finite
    peak_mib: Finite
    """The rounds' highest."""

    ratio: Finite
    """CPU seconds through those of reading by columns, median over the rounds."""

    same_bytes: bool
    """Every round of either way wrote the same files."""

    torch: bool


def benchmark_tables(runs: int, prompts: int, rounds: int, out: Path, report: Callable[[str], None]) -> list[TableRow]:
    """Measures both ways in turns, each in a fresh process; writes the section. Raises WorkerError, DataError."""
    rows = measure_tables(runs, prompts, rounds, report)
    put_section(out, "table", to_markdown(rows, this_machine("cpu", _PACKAGES)))
    return rows


def measure_tables(runs: int, prompts: int, rounds: int, report: Callable[[str], None]) -> list[TableRow]:
    """A row a way, what `table` does first. Raises WorkerError where a process dies."""
    readers: tuple[Reader, ...] = get_args(Reader)
    costs: dict[Reader, list[TableCost]] = {reader: [] for reader in readers}
    written: set[tuple[str, ...]] = set()
    with tempfile.TemporaryDirectory(prefix="epa-bench-") as name:
        folder = Path(name)
        write_given_rows(folder / "rows.jsonl", runs, prompts)
        for number, reader in product(range(1, rounds + 1), readers):
            report(f"[{number}/{rounds}] {reader}")
            job = TableJob(rows=str(folder / "rows.jsonl"), out=str(folder / "board"), reader=reader)
            costs[reader].append(_cost(job))
            written.add(tuple(file_sha256(folder / f"board.{suffix}") for suffix in ("md", "csv", "json")))
    ours = costs["columns"]
    return [
        TableRow(
            reader=reader,
            runs=runs,
            prompts=prompts,
            rounds=rounds,
            seconds=median(cost.seconds for cost in found),
            cpu_seconds=median(cost.cpu_seconds for cost in found),
            peak_mib=max(cost.peak_mib for cost in found),
            ratio=median(cost.cpu_seconds / own.cpu_seconds for cost, own in zip(found, ours, strict=True)),
            same_bytes=len(written) == 1,
            torch=any(cost.torch for cost in found),
        )
        for reader, found in costs.items()
    ]


def write_given_rows(path: Path, runs: int, prompts: int) -> None:
    """Win rates of `runs` arms, the first of them the baseline, on the same prompts. Equal arguments, equal bytes."""
    with path.open("w", encoding="utf-8") as file:
        for run in range(runs):
            method = "epa" if run else "dpo"
            values = np.random.default_rng(stable_seed("bench table", run)).random(prompts)
            first = ScoreRow(
                suite="alpaca_eval_2",
                metric="win_rate",
                arm=f"{method}-{run:04}" if run else method,
                method=method,
                beta=0.1,
                learning_rate=5e-7,
                seed=1,
                prompt_id="",
                value=0.0,
            ).model_dump(exclude_none=True)
            for prompt, value in enumerate(values.tolist()):
                file.write(json.dumps({**first, "prompt_id": f"{prompt:032x}", "value": value}) + "\n")


def to_markdown(rows: Sequence[TableRow], machine: Machine) -> str:
    """The section of `leaderboards/performance.md`."""
    header = ("rows are read", "runs", "prompts", "s", "CPU s", "times the first", "peak MiB", "rounds")
    lines = tuple(
        (
            f"by {row.reader}" if row.reader == "columns" else row.reader,
            f"{row.runs:,}",
            f"{row.prompts:,}",
            f"{row.seconds:.1f}",
            f"{row.cpu_seconds:.1f}",
            f"{row.ratio:.1f}",
            f"{row.peak_mib:,.0f}",
            str(row.rounds),
        )
        for row in rows
    )
    how = [
        measured_on(machine),
        "From rows on disk to the leaderboard's Markdown, CSV and JSON, in a fresh process each, in turns; imports are "
        "in the memory and not in the seconds. By columns is what the verbs table and compare do; a model a row is "
        "the strict reader that names a wrong row.",
        f"All tables are the same bytes: {_yes(rows[0].same_bytes)}. "
        f"torch was imported: {_yes(any(row.torch for row in rows))}.",
    ]
    return "\n\n".join(["## Leaderboards", table(Grid("", header, lines)), "### How", bullets(how)]) + "\n"


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def _cost(job: TableJob) -> TableCost:
    command = [sys.executable, "-m", "epa_bench.bench.table_side"]
    done = subprocess.run(command, input=job.model_dump_json(), capture_output=True, text=True)
    if done.returncode != 0:
        raise WorkerError(f"measuring a table failed:\n{done.stderr[-2000:]}")
    return TableCost.model_validate_json(done.stdout)
