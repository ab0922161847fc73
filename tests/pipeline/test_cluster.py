"""What a cell asks of a cluster, and on what device it computes there."""

import sys
from pathlib import Path

import pytest

from epa_bench.config.execution import CellNeeds, ClusterCells, Execution
from epa_bench.config.load import load_sweep
from epa_bench.config.yaml12 import load_document
from epa_bench.core.errors import ConfigError
from epa_bench.core.store import CellSpec
from epa_bench.execution.ray import RayTasks
from epa_bench.execution.remote import TaskNeeds
from epa_bench.execution.slurm import slurm_jobs
from epa_bench.pipeline.checks import check_device
from epa_bench.pipeline.cluster import device_of, task_needs

CELLS = ClusterCells(
    train=CellNeeds(cpus=8, memory_gib=64.0, minutes=600), model=CellNeeds(cpus=4), other=CellNeeds(minutes=30)
)
DAY = 24 * 60


def cell(step: str, **config: object) -> CellSpec:
    return CellSpec(step, config, {}, {})


@pytest.mark.parametrize(
    ("asking", "needs"),
    [
        (cell("train"), TaskNeeds(8, 1, 64.0, 600)),
        (cell("train", processes=4), TaskNeeds(32, 4, 64.0, 600)),
        (cell("responses"), TaskNeeds(4, 1, None, DAY)),
        (cell("responses", engine={"tensor_parallel_size": 2}), TaskNeeds(8, 2, None, DAY)),
        (cell("values"), TaskNeeds(1, 0, None, 30)),
        (cell("judged_pairs", judge={"kind": "api"}), TaskNeeds(1, 0, None, 30)),
        (cell("judged_pairs", judge={"kind": "local"}), TaskNeeds(4, 1, None, DAY)),
    ],
)
def test_a_gpu_for_each_process_that_computes(asking: CellSpec, needs: TaskNeeds) -> None:
    assert task_needs(asking, "cuda", Execution(kind="ray", device="cuda", cells=CELLS)) == needs


def test_gpus_that_the_sweep_names_count_for_each_process() -> None:
    cells = ClusterCells(train=CellNeeds(gpus=2))
    assert task_needs(cell("train", processes=3), "cpu", Execution(cells=cells)).gpus == 6
    assert task_needs(cell("train", processes=3), "cpu", Execution()).gpus == 0
    assert task_needs(cell("sft", processes=3), "cpu", Execution(cells=cells)).gpus == 6


def test_the_nodes_device_is_not_this_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("epa_bench.execution.device.metadata.version", lambda package: "2.13.0+cpu")
    assert device_of(Execution(kind="slurm", device="cuda")) == "cuda"
    assert device_of(Execution(kind="slurm", device="cpu")) == "cpu"
    with pytest.raises(ConfigError, match="no NVIDIA driver or a CPU-only torch"):
        device_of(Execution(device="cuda"))


@pytest.mark.parametrize("kind", ["ray", "slurm"])
def test_a_cluster_of_unknown_devices_is_refused(kind: str) -> None:
    head = "name: demo\nreference: {kind: scratch}\ndata: {kind: embedded}\nmethods: {dpo: {loss: dpo}}\n"
    with pytest.raises(ConfigError, match=rf"f:5: `execution.device`: auto looks .* {kind} cluster's nodes; set cpu"):
        load_sweep(load_document(f"{head}execution: {{kind: {kind}}}\n", "f"), (), [check_device])
    load_sweep(load_document(f"{head}execution: {{kind: {kind}, device: cpu}}\n", "f"), (), [check_device])


def test_what_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"needs Ray, which is not installed; pip install 'epa-bench\[ray\]'"):
        RayTasks("auto", [])
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ConfigError, match=r"needs submitit, which is not installed; pip install 'epa-bench\[slurm\]'"):
        slurm_jobs(tmp_path, None, {})
