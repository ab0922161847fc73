"""An existing Ray cluster: a core task a cell, which starts the cell command as a process of its own."""

import logging
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, redirect_stdout
from typing import Any

from epa_bench.core.errors import ConfigError
from epa_bench.core.store import CellSpec
from epa_bench.execution.cell_process import CellProcess
from epa_bench.execution.remote import TaskNeeds

_REACH_SECONDS = 10.0
_WAIT_SECONDS = 1.0


class RayTasks:
    """Connects to the cluster at once, and disconnects when closed.

    Raises ConfigError where Ray is not installed, the cluster cannot be reached, or no node has what a cell needs.
    """

    def __init__(self, address: str, needs: Iterable[TaskNeeds]) -> None:
        try:
            import ray
        except ImportError as error:
            raise ConfigError(
                "execution.kind: ray needs Ray, which is not installed; pip install 'epa-bench[ray]'"
            ) from error
        self._ray: Any = ray
        self._tasks: dict[Any, tuple[str, TaskNeeds]] = {}
        _check_reachable(address)
        self._open = ExitStack()
        # Ray tells of nodes that died on standard output, which is for figures.
        self._open.enter_context(redirect_stdout(sys.stderr))
        self._open.callback(ray.shutdown)
        try:
            # Cells tell how they fare by themselves; what workers print would come twice.
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            self.close()
            raise ConfigError(
                f"execution.ray.address: {address}: no Ray cluster there ({_first_line(error)}); start one with "
                "`ray start --head`, or name its HOST:PORT"
            ) from error
        try:
            for need in set(needs):
                self._check_fits(need)
        except BaseException:
            self.close()
            raise

    def start(self, cell: CellSpec, process: CellProcess, needs: TaskNeeds) -> None:
        self._check_fits(needs)
        memory = {} if needs.memory_gib is None else {"memory": int(needs.memory_gib * 2**30)}
        # Who started it can tell a task that died from one that failed, and says so when it starts it again.
        task = self._ray.remote(max_retries=0)(_run).options(
            num_cpus=needs.cpus, num_gpus=needs.gpus, name=cell.label or cell.step, **memory
        )
        self._tasks[task.remote(process)] = cell.digest, needs

    def ended(self) -> Iterator[tuple[str, str]]:
        tasks = list(self._tasks)
        if not self._ray.wait(tasks, num_returns=1, timeout=_WAIT_SECONDS)[0]:
            yield from self._stuck()
            return
        ended, _ = self._ray.wait(tasks, num_returns=len(tasks), timeout=0)
        for task in ended:
            digest, _ = self._tasks.pop(task)
            try:
                end: str = self._ray.get(task)
            except self._ray.exceptions.RayError as error:
                end = f"{type(error).__name__}: {_first_line(error)}"
            yield digest, end

    def _stuck(self) -> Iterator[tuple[str, str]]:
        """Tasks that wait for a node that is gone: Ray would let them wait for ever."""
        nodes = self._nodes()
        for task, (digest, needs) in list(self._tasks.items()):
            if not any(_fits(needs, node) for node in nodes):
                self._ray.cancel(task, force=True)
                del self._tasks[task]
                yield digest, "the node that had what it needs is gone"

    def _check_fits(self, needs: TaskNeeds) -> None:
        nodes = self._nodes()
        if not any(_fits(needs, node) for node in nodes):
            there = "; ".join(f"{node.get('CPU', 0):g} CPUs, {node.get('GPU', 0):g} GPUs" for node in nodes)
            memory = "" if needs.memory_gib is None else f", {needs.memory_gib:g} GiB"
            raise ConfigError(
                f"no node of the Ray cluster has the {needs.cpus} CPUs, {needs.gpus} GPUs{memory} that a cell asks "
                f"for; there are: {there or 'none'}. Change execution.cells or execution.processes, or add such a "
                "node"
            )

    def _nodes(self) -> list[dict[str, float]]:
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def close(self) -> None:
        for task in self._tasks:
            self._ray.cancel(task, force=True)
        self._tasks.clear()
        self._open.close()


def _run(process: CellProcess) -> str:
    return process()


def _fits(needs: TaskNeeds, node: dict[str, float]) -> bool:
    memory = (needs.memory_gib or 0) * 2**30
    return needs.cpus <= node.get("CPU", 0) and needs.gpus <= node.get("GPU", 0) and memory <= node.get("memory", 0)


def _check_reachable(address: str) -> None:
    """Ray itself tries for a long time, and fills the terminal meanwhile."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_REACH_SECONDS).close()
    except OSError as error:
        raise ConfigError(
            f"execution.ray.address: {address} cannot be reached ({error}); is the cluster running, and is this its "
            "head's HOST:PORT?"
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "")
