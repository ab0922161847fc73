"""`epa-bench bench acquire`: seconds and memory of choosing rows from a large pool. No torch here."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from epa_bench.bench.document import put_section
from epa_bench.bench.grid import Grid, bullets, table
from epa_bench.bench.machine import this_machine
from epa_bench.bench.render import measured_on
from epa_bench.bench.rows import Machine
from epa_bench.core.errors import WorkerError
from epa_bench.core.records import Finite, Record

_PACKAGES = ("epa-bench", "torch", "transformers", "scikit-learn")
_CHOICES = (("vap", "k-means++"), ("vap", "k-means-nearest"), ("badge", "k-means++"))


class AcquireRow(Record):
    """One way to choose: what `--json` holds. Fields as in `acquire_side.AcquireMeasured`."""

    representation: str
    selector: str
    rows: int
    budget: int
    parameters: int
    tokens: int
    seconds: Finite
    processor_seconds: Finite
    peak_mib: Finite
    held_mib: Finite


def benchmark_acquisition(rows: int, budget: int, out: Path, report: Callable[[str], None]) -> list[AcquireRow]:
    """Measures each choice in a fresh process and writes the section. `report` is given a line a choice.

    Raises WorkerError where a process fails, DataError and StoreError as `put_section`.
    """
    found = []
    for representation, selector in _CHOICES:
        report(f"{representation}, {selector}")
        found.append(_measured(representation, selector, rows, budget))
    put_section(out, "acquire", to_markdown(found, this_machine("cpu", _PACKAGES)))
    return found


def to_markdown(rows: Sequence[AcquireRow], machine: Machine) -> str:
    """The section of `leaderboards/performance.md`."""
    columns = ("choice", "rows", "chosen", "s of the clock", "s of processors", "MiB at most", "MiB before")
    lines = tuple(
        (
            f"{row.representation}, {row.selector}",
            f"{row.rows:,}",
            str(row.budget),
            f"{row.seconds:.1f}",
            f"{row.processor_seconds:.1f}",
            f"{row.peak_mib:,.0f}",
            f"{row.held_mib:,.0f}",
        )
        for row in rows
    )
    first = rows[0]
    how = [
        measured_on(machine),
        f"A BERT of two layers and {first.parameters / 1e6:.1f}M random weights on generated texts of "
        f"{first.tokens / first.rows:.1f} tokens on average; a thread a core, fp32. From texts to the choice, each "
        "in a fresh process; memory is the process's peak, and its peak before the choice began.",
        "Seconds of processors are of all threads together; the clock also counts what other programs took.",
    ]
    return "\n\n".join(["## Acquisition", table(Grid("", columns, lines)), "### How", bullets(how)]) + "\n"


def _measured(representation: str, selector: str, rows: int, budget: int) -> AcquireRow:
    job = {"rows": rows, "budget": budget, "representation": representation, "selector": selector}
    command = [sys.executable, "-m", "epa_bench.bench.acquire_side"]
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True)
    if done.returncode != 0:
        raise WorkerError(f"measuring {representation}, {selector} failed:\n{done.stderr[-2000:]}")
    return AcquireRow.model_validate({**json.loads(done.stdout), **job})
