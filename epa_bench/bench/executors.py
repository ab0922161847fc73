"""`epa-bench bench executors`: what each executor adds to a cell, measured with cells that do nothing."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from statistics import median
from typing import Literal, get_args

from epa_bench.bench.document import put_section
from epa_bench.bench.executor_side import do_nothing
from epa_bench.bench.grid import Grid, bullets, table
from epa_bench.bench.machine import this_machine
from epa_bench.bench.render import measured_on
from epa_bench.bench.rows import Machine
from epa_bench.core.errors import ConfigError
from epa_bench.core.progress import SweepProgress
from epa_bench.core.records import Finite, Record
from epa_bench.core.store import CellSpec, Store
from epa_bench.execution.local import run_cells
from epa_bench.execution.ray import RayTasks
from epa_bench.execution.remote import Cluster, Orders, TaskNeeds, run_on_cluster
from epa_bench.execution.slurm import SubmititJobs
from epa_bench.execution.tokens import Demand, Tokens

Executor = Literal["local, workers that live", "local, a process a cell", "Ray", "submitit on this machine"]

_PACKAGES = ("epa-bench", "ray", "submitit")
_NEEDS = TaskNeeds(cpus=1, gpus=0, memory_gib=None, minutes=5)
_OBJECT_STORE = 78 * 2**20


class ExecutorRow(Record):
    """One executor: what `--json` holds."""

    executor: Executor

    cells: int
    """A round."""

    workers: int
    """Cells side by side."""

    rounds: int

    first: Finite
    """Seconds until a lone cell has ended, connecting to the cluster included. Median over the rounds."""

    seconds: Finite
    """Of the clock, for each cell more. Median over the rounds."""

    low: Finite
    high: Finite
    """The rounds' extremes of `seconds`."""

    ratio: Finite
    """`seconds` through that of workers that live, median over the rounds."""


def benchmark_executors(
    cells: int, workers: int, rounds: int, out: Path, report: Callable[[str], None]
) -> list[ExecutorRow]:
    """Measures the executors in turns, `rounds` times, and writes the section. `report` is given a line a round.

    Raises ConfigError where Ray or submitit is not installed, and as `put_section`.
    """
    rows = measure_executors(cells, workers, rounds, report)
    put_section(out, "executors", to_markdown(rows, this_machine("cpu", _PACKAGES)))
    return rows


def measure_executors(cells: int, workers: int, rounds: int, report: Callable[[str], None]) -> list[ExecutorRow]:
    """Raises ConfigError where Ray or submitit is not installed."""
    executors: tuple[Executor, ...] = get_args(Executor)
    firsts: dict[Executor, list[float]] = {executor: [] for executor in executors}
    more: dict[Executor, list[float]] = {executor: [] for executor in executors}
    with _ray_cluster(workers) as address:
        for number in range(1, rounds + 1):
            report(f"[{number}/{rounds}]")
            for executor in executors:
                one, all_of_them = (_seconds(executor, count, workers, address) for count in (1, cells))
                firsts[executor].append(one)
                more[executor].append((all_of_them - one) / (cells - 1))
    base = more[executors[0]]
    return [
        ExecutorRow(
            executor=executor,
            cells=cells,
            workers=workers,
            rounds=rounds,
            first=median(firsts[executor]),
            seconds=median(found),
            low=min(found),
            high=max(found),
            ratio=median(own / other for own, other in zip(found, base, strict=True)),
        )
        for executor, found in more.items()
    ]


def to_markdown(rows: Sequence[ExecutorRow], machine: Machine) -> str:
    """The section of `leaderboards/performance.md`."""
    lines = tuple(
        (
            row.executor,
            f"{row.first:.2f}",
            f"{1000 * row.seconds:.0f} ({1000 * row.low:.0f}, {1000 * row.high:.0f})",
            f"{row.ratio:.1f}",
        )
        for row in rows
    )
    grid = Grid("", ("executor", "s to the first cell", "ms a cell more (lowest, highest)", "times the first"), lines)
    how = [
        measured_on(machine),
        f"Cells that do nothing, {rows[0].cells} a round and {rows[0].workers} side by side, the executors in turns, "
        f"{rows[0].rounds} rounds; seconds are of the clock, and a cell that computes takes its own time besides.",
        "Ray's cluster is up before. All but the first start a process a cell, whose start is most of the figure; a "
        "cell with a model also imports torch in it.",
    ]
    return "\n\n".join(["## Executors", table(grid), "### How", bullets(how)]) + "\n"


def _seconds(executor: Executor, count: int, workers: int, address: str) -> float:
    cells = [CellSpec("toy", {"number": number}, {}, {}, label=str(number)) for number in range(count)]
    with tempfile.TemporaryDirectory(prefix="epa-bench-executors-") as folder, redirect_stderr(StringIO()):
        store = Store(Path(folder, "store"))
        start = time.perf_counter()
        with SweepProgress(count, 0) as progress:
            if executor in ("local, workers that live", "local, a process a cell"):
                demand = Demand({"workers": 1}, fresh=executor == "local, a process a cell")
                demands = {cell.digest: demand for cell in cells}
                tokens = Tokens({"workers": workers})
                run_cells(cells, do_nothing, store=store, done=(), demands=demands, tokens=tokens, progress=progress)
            else:
                cluster = RayTasks(address, [_NEEDS]) if executor == "Ray" else _submitit(store.root)
                _run_on(cluster, cells, store, workers, progress)
        return time.perf_counter() - start


def _run_on(cluster: Cluster, cells: Sequence[CellSpec], store: Store, workers: int, progress: SweepProgress) -> None:
    orders = Orders(
        command=("epa_bench.bench.executor_side",),
        logs=store.root,
        needs={cell.digest: _NEEDS for cell in cells},
        threads={cell.digest: 1 for cell in cells},
        alone=(),
        again=(),
        most=workers,
    )
    try:
        run_on_cluster(cells, cluster, orders, store=store, done=(), progress=progress)
    finally:
        cluster.close()


def _submitit(folder: Path) -> Cluster:
    try:
        import submitit
    except ImportError as error:
        raise ConfigError("submitit is not installed; pip install 'epa-bench[slurm]'") from error
    return SubmititJobs(lambda cell, needs: submitit.LocalExecutor(folder))


@contextmanager
def _ray_cluster(workers: int) -> Iterator[str]:
    """Address of a Ray cluster of one node on this machine."""
    try:
        from ray.cluster_utils import Cluster as RayCluster
    except ImportError as error:
        raise ConfigError("Ray is not installed; pip install 'epa-bench[ray]'") from error
    node = {"num_cpus": workers, "object_store_memory": _OBJECT_STORE, "include_dashboard": False}
    cluster = RayCluster(initialize_head=True, head_node_args=node)
    try:
        yield cluster.address
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]
