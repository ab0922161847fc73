"""What is owed of a sweep, computed on a cluster."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from epa_bench.config.execution import CellNeeds, Execution
from epa_bench.core.errors import ConfigError
from epa_bench.core.progress import SweepProgress
from epa_bench.core.store import CellSpec, Store
from epa_bench.execution.device import Device, resolve_device
from epa_bench.execution.ray import RayTasks
from epa_bench.execution.remote import Cluster, Orders, TaskNeeds, run_on_cluster
from epa_bench.execution.slurm import slurm_jobs
from epa_bench.pipeline.demands import judges_here, on_device, processes_of
from epa_bench.pipeline.owed import ASKING, Standing
from epa_bench.pipeline.work_order import cell_command, write_order


def device_of(execution: Execution) -> Device:
    """The kind of device that cells compute on: this machine's, or what the sweep says of the cluster's nodes.

    Raises ConfigError for CUDA on a machine without it.
    """
    if execution.kind == "local" or execution.device == "auto":
        return resolve_device(execution.device)
    return execution.device


def compute_on_cluster(
    cells: Sequence[CellSpec],
    store: Store,
    device: Device,
    execution: Execution,
    found: Standing,
    progress: SweepProgress,
) -> None:
    """Computes the cells, in an order where needs come first, that `found` does not call done.

    Raises ConfigError where the cluster cannot be used, and as `run_on_cluster`.
    """
    owed = [cell for cell in cells if cell.digest not in found.done]
    needs = {cell.digest: task_needs(cell, device, execution) for cell in owed}
    order = write_order(cells, store, device, found.again)
    try:
        cluster = _open(execution, needs.values(), order.parent)
    except ConfigError:
        shutil.rmtree(order.parent)
        raise
    try:
        orders = Orders(
            command=cell_command(order),
            logs=order.parent,
            needs=needs,
            threads={cell.digest: _settings(cell, execution).cpus for cell in owed},
            alone={cell.digest for cell in owed if cell.step in ASKING and not judges_here(cell)},
            again=found.again.keys(),
            most=execution.cells.most,
        )
        run_on_cluster(cells, cluster, orders, store=store, done=found.done, progress=progress)
    finally:
        cluster.close()
    # After a failure its logs are there to be read.
    shutil.rmtree(order.parent, ignore_errors=True)


def _open(execution: Execution, needs: Iterable[TaskNeeds], folder: Path) -> Cluster:
    if execution.kind == "ray":
        return RayTasks(execution.ray.address, needs)
    return slurm_jobs(folder, execution.slurm.partition, execution.slurm.sbatch)


def task_needs(cell: CellSpec, device: Device, execution: Execution) -> TaskNeeds:
    """What the task of a cell asks: for each of its processes what the sweep says of its kind."""
    asked = _settings(cell, execution)
    processes = processes_of(cell)
    gpus = asked.gpus if asked.gpus is not None else int(device == "cuda" and on_device(cell))
    return TaskNeeds(asked.cpus * processes, gpus * processes, asked.memory_gib, asked.minutes)


def _settings(cell: CellSpec, execution: Execution) -> CellNeeds:
    if cell.step in ("train", "sft"):
        return execution.cells.train
    return execution.cells.model if on_device(cell) else execution.cells.other
