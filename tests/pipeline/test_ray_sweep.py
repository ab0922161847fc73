"""A sweep on a real Ray cluster: two nodes on this machine, with GPUs that are only counted."""

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.pipeline.clusters import cells_running, is_below, small_sweep, wait_until_no_cells
from tests.processes import wait_until

if TYPE_CHECKING:
    from tests.conftest import Workplace

NODE = {"num_cpus": 1, "num_gpus": 1, "object_store_memory": 78 * 2**20}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    # Not below pytest's folder: the path of a socket has 107 characters.
    folder = tempfile.mkdtemp(prefix="ray-")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        started = Cluster(head_node_args={**NODE, "temp_dir": folder, "include_dashboard": False}, initialize_head=True)
        try:
            yield started
        finally:
            started.shutdown()  # type: ignore[no-untyped-call]
            shutil.rmtree(folder, ignore_errors=True)


def on_ray(cluster: Any, *settings: str) -> tuple[str, ...]:
    """The same file as on a laptop; where it runs is said beside it."""
    where = ("kind=ray", f"ray.address={cluster.address}", "cells.train.gpus=1", "cells.model.gpus=1", *settings)
    return ("mini.yaml", *(word for setting in where for word in ("--set", f"execution.{setting}")))


def test_a_node_dies_and_the_tables_are_the_local_ones(
    cluster: Any, finished: "Workplace", small_tables: dict[str, bytes], tmp_path: Path
) -> None:
    place = small_sweep(finished, tmp_path)
    node = cluster.add_node(**NODE)
    raylet = node.all_processes["raylet"][0].process.pid
    stopped = []

    def has_a_checkpoint(digest: str) -> bool:
        return bool(list(place.store.glob(f"staging/train-{digest}/checkpoints/*/complete")))

    def stops_a_training_there() -> bool:
        """One that has something to go on from, and does not end before its node does."""
        for pid, digest in cells_running(place).items():
            if is_below(pid, raylet) and has_a_checkpoint(digest):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                    if has_a_checkpoint(digest):
                        stopped.append(pid)
                        return True
                    os.kill(pid, signal.SIGCONT)
        return False

    with place.start("run", *on_ray(cluster)) as process:
        wait_until(stops_a_training_there, process)
        cluster.remove_node(node, allow_graceful=False)
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        out, err = process.communicate(timeout=480)
    assert process.returncode == 0, err
    assert "again: train " in err
    assert "raylet" not in out
    assert "Traceback" not in err
    assert place.tables() == small_tables
    assert place.cells().items() <= finished.cells().items()
    assert not list(place.store.glob("staging/*"))
    assert not list(place.store.glob("orders/*"))


def test_interrupt_ends_the_cells_on_all_nodes(cluster: Any, finished: "Workplace", tmp_path: Path) -> None:
    place = small_sweep(finished, tmp_path)
    with place.start("run", *on_ray(cluster)) as process:
        wait_until(lambda: any(place.store.glob("staging/train-*")), process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    wait_until_no_cells(place)


def test_what_the_cluster_does_not_have_is_said_at_once(cluster: Any, finished: "Workplace", tmp_path: Path) -> None:
    """Ray itself would let the task wait for ever."""
    place = small_sweep(finished, tmp_path)
    refused = place.run("run", *on_ray(cluster, "processes=2"))
    assert refused.returncode == 3
    assert "no node of the Ray cluster has the 2 CPUs, 2 GPUs that a cell asks for; there are: 1 CPUs" in refused.stderr
    assert not cells_running(place)
    assert not list(place.store.glob("orders/*"))


def test_a_cluster_that_is_not_there(finished: "Workplace", tmp_path: Path) -> None:
    place = small_sweep(finished, tmp_path)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        sets = ("execution.kind=ray", f"execution.ray.address=127.0.0.1:{port}")
        refused = place.run("run", "mini.yaml", *(word for one in sets for word in ("--set", one)))
    assert refused.returncode == 3
    assert f"execution.ray.address: 127.0.0.1:{port} cannot be reached (" in refused.stderr
    assert "Traceback" not in refused.stderr
