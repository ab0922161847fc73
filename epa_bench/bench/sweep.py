"""`epa-bench bench sweep`: what a sweep costs besides its cells."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from epa_bench.bench.document import put_section
from epa_bench.bench.grid import Grid, bullets, table
from epa_bench.bench.machine import this_machine
from epa_bench.bench.render import measured_on
from epa_bench.bench.rows import Machine
from epa_bench.bench.sweep_side import SCHEDULED, STORE_SIZES
from epa_bench.core.errors import WorkerError
from epa_bench.core.records import Finite, Record

_SMALL: dict[str, Any] = {
    "name": "small",
    "reference": {
        "kind": "scratch",
        "model": {
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "vocab_size": 320,
            "max_position_embeddings": 128,
        },
        "sft": {"num_train_epochs": 1, "batch_size": 32, "learning_rate": 6e-3},
    },
    "data": {
        "kind": "embedded",
        "sft_prompts": 200,
        "train_prompts": 16,
        "eval_prompts": 8,
        "responses": 3,
        "max_new_tokens": 8,
    },
    "methods": {
        "dpo": {"loss": "dpo", "beta": 0.5, "learning_rate": 1e-3},
        "dpo-nll": {"loss": "dpo", "beta": 0.5, "learning_rate": 1e-3, "nll": 0.2},
        "epa": {"loss": "epa", "beta": 0.5, "learning_rate": 1e-3, "weak": 2},
    },
    "seeds": [1],
    "training": {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2},
    "suites": {
        "embedded_pairwise": {"decoding": {"max_new_tokens": 8}},
        "generation": {"decoding": {"max_new_tokens": 8}},
        "reward_accuracy": {},
        "linearity": {},
        "off_support": {},
    },
    "execution": {"device": "cpu"},
}
_BETAS = [round(0.05 * step, 2) for step in range(1, 7)]
_LARGE = {
    **_SMALL,
    "name": "large",
    "methods": {name: {**method, "beta": _BETAS} for name, method in _SMALL["methods"].items() if name != "dpo-nll"},
    "seeds": list(range(1, 11)),
}


class SweepRow(Record):
    """One measurement: what `--json` holds."""

    what: str
    cells: int
    seconds: Finite
    """Of the clock, median over the rounds."""

    processor_seconds: Finite
    """Median over the rounds, of all processes it takes: what a busy machine changes less."""

    rounds: int


def benchmark_sweeps(rounds: int, out: Path, report: Callable[[str], None]) -> list[SweepRow]:
    """Measures in a temporary folder, computes a small sweep for it, and writes the section of `out`.

    `report` is given a line a measurement. Raises WorkerError where a process fails, and as `put_section`.
    """
    rows = list(measure_sweeps(rounds, report))
    put_section(out, "sweep", to_markdown(rows, this_machine("cpu", ("epa-bench",))))
    return rows


def measure_sweeps(rounds: int, report: Callable[[str], None]) -> Iterator[SweepRow]:
    """The rows. Raises WorkerError where a process fails."""
    with TemporaryDirectory(prefix="epa-bench-sweep-") as name:
        folder = Path(name)
        for sweep in (_SMALL, _LARGE):
            (folder / f"{sweep['name']}.yaml").write_text(json.dumps(sweep))
        report("a small sweep, to have it cached")
        _command(folder, "epa_bench", "run", "small.yaml")
        yield _row(
            "run of a sweep that is cached", _cells(folder, "small"), rounds, folder, "epa_bench", "run", "small.yaml"
        )
        report("plans")
        yield _row("plan of a sweep", _cells(folder, "large"), rounds, folder, "epa_bench", "plan", "large.yaml")
        for size in STORE_SIZES:
            report(f"a store of {size} cells")
            side = ("epa_bench.bench.sweep_side", "owed", f"store-{size}", str(size))
            _command(folder, *side)
            yield _row("what is owed of a store that has nine in ten", size, rounds, folder, *side)
        report("the local executor")
        side = ("epa_bench.bench.sweep_side", "schedule", "empty", str(SCHEDULED))
        yield _row("cells that do nothing, on two workers", SCHEDULED, rounds, folder, *side)


def to_markdown(rows: Sequence[SweepRow], machine: Machine) -> str:
    """The section of `leaderboards/performance.md`."""
    header = ("what", "cells", "seconds of the clock", "of the processor", "rounds")
    lines = [
        (row.what, f"{row.cells:,}", f"{row.seconds:.2f}", f"{row.processor_seconds:.2f}", str(row.rounds))
        for row in rows
    ]
    how = [
        measured_on(machine),
        "Each measurement is a process of its own, from its start to its end, imports included; medians over the "
        "rounds. Seconds of the processor are of that process and all that it starts.",
        "Owed cells: addresses are computed from recipes, and the store is asked for each.",
    ]
    return "\n\n".join(["## Sweeps", table(Grid("", header, tuple(lines))), "### How", bullets(how)]) + "\n"


def _row(what: str, cells: int, rounds: int, folder: Path, *command: str) -> SweepRow:
    measured = [_measured(folder, *command) for _ in range(rounds)]
    clock, processor = (median(values) for values in zip(*measured, strict=True))
    return SweepRow(what=what, cells=cells, seconds=clock, processor_seconds=processor, rounds=rounds)


def _measured(folder: Path, *command: str) -> tuple[float, float]:
    """Seconds of the clock, and of the processor in the processes that ended meanwhile."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    _command(folder, *command)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _cells(folder: Path, sweep: str) -> int:
    return len(json.loads(_command(folder, "epa_bench", "plan", f"{sweep}.yaml", "--json", "-"))["cells"])


def _command(folder: Path, module: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise WorkerError(f"measuring {module} {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    return done.stdout
