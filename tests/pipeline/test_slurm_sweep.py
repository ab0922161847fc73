"""A sweep as SLURM jobs: by submitit, with SLURM's commands played by processes of this machine."""

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from epa_bench.config.execution import Execution
from epa_bench.config.yaml12 import read_document
from epa_bench.core.progress import SweepProgress
from epa_bench.execution.remote import Orders, run_on_cluster
from epa_bench.execution.slurm import SubmititJobs
from epa_bench.pipeline.cluster import task_needs
from epa_bench.pipeline.run import needed_cells, open_run
from epa_bench.pipeline.work_order import cell_command, write_order
from epa_bench.suites.registry import registry
from tests.pipeline import fake_slurm
from tests.pipeline.clusters import cells_running, small_sweep, wait_until_no_cells
from tests.processes import wait_until

if TYPE_CHECKING:
    from tests.conftest import Workplace

ON_SLURM = (
    "execution.kind=slurm",
    "execution.slurm.partition=gpu",
    "execution.slurm.sbatch.account=lab",
    "execution.slurm.sbatch.exclusive=true",
    "execution.cells.train={gpus: 1, cpus: 1, minutes: 90, memory_gib: 1.5}",
)


def settings(*overrides: str) -> tuple[str, ...]:
    return ("mini.yaml", *(word for override in overrides for word in ("--set", override)))


@pytest.fixture
def queue(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the commands, first on the PATH; scripts of jobs appear in it as N.sh."""
    folder = tmp_path_factory.mktemp("slurm")
    text = Path(fake_slurm.__file__).read_text().replace("/usr/bin/env python", sys.executable, 1)
    for command in ("sbatch", "srun", "sacct", "scancel"):
        (folder / command).write_text(text)
        (folder / command).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_a_job_is_killed_and_the_tables_are_the_local_ones(
    queue: Path, finished: "Workplace", small_tables: dict[str, bytes], tmp_path: Path
) -> None:
    """Although SLURM calls the killed job completed."""
    place = small_sweep(finished, tmp_path)
    with place.start("run", *settings(*ON_SLURM, "execution.cells.most=2")) as process:
        wait_until(lambda: any(place.store.glob("staging/train-*/checkpoints/*/complete")), process)
        number = next(script.stem for script in queue.glob("*.sh") if "job-name=epa-bench-train" in script.read_text())
        os.killpg(int((queue / f"{number}.pid").read_text()), signal.SIGKILL)
        _, err = process.communicate(timeout=480)
    assert process.returncode == 0, err
    assert f"job {number} ended without a result" in err
    assert "Traceback" not in err
    assert place.tables() == small_tables
    assert place.cells().items() <= finished.cells().items()
    assert not list(place.store.glob("orders/*"))

    scripts = [path.read_text() for path in queue.glob("*.sh")]
    training = next(script for script in scripts if "job-name=epa-bench-train" in script)
    for line in (
        "--partition=gpu",
        "--account=lab",
        "--exclusive",
        "--nodes=1",
        "--ntasks-per-node=1",
        "--gpus-per-node=1",
        "--cpus-per-task=1",
        "--mem=1536MB",
        "--time=90",
    ):
        assert f"#SBATCH {line}\n" in training
    others = [script for script in scripts if "job-name=epa-bench-values" in script]
    assert others
    assert not any("--gpus-per-node" in script or "--mem=" in script for script in others)


def test_interrupt_cancels_the_jobs(queue: Path, finished: "Workplace", tmp_path: Path) -> None:
    place = small_sweep(finished, tmp_path)
    with place.start("run", *settings(*ON_SLURM)) as process:
        wait_until(lambda: bool(cells_running(place)), process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    wait_until_no_cells(place)


def test_what_sbatch_says_is_passed_on(queue: Path, finished: "Workplace", tmp_path: Path) -> None:
    place = small_sweep(finished, tmp_path)
    refused = place.run("run", *settings(*ON_SLURM, "execution.slurm.partition=closed"))
    assert refused.returncode == 10
    assert "SLURM does not take the job of " in refused.stderr
    assert "invalid partition specified: closed" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_machine_that_cannot_submit(finished: "Workplace", tmp_path: Path) -> None:
    place = small_sweep(finished, tmp_path)
    refused = place.run("run", *settings(*ON_SLURM))
    assert refused.returncode == 3
    assert "execution.kind: slurm needs sbatch, srun, sacct, scancel on the PATH" in refused.stderr


def test_submitits_local_executor(finished: "Workplace", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import submitit

    place = small_sweep(finished, tmp_path, without=("values",))
    monkeypatch.chdir(tmp_path)
    run = open_run(read_document(Path("mini.yaml")), [], registry())
    cells = needed_cells(run)
    done = {cell.digest for cell in cells if run.store.has(cell)}
    owed = [cell for cell in cells if cell.digest not in done]
    order = write_order(cells, run.store, "cpu", {})
    orders = Orders(
        command=cell_command(order),
        logs=order.parent,
        needs={cell.digest: task_needs(cell, "cpu", Execution()) for cell in owed},
        threads={cell.digest: 1 for cell in owed},
        alone=(),
        again=(),
        most=2,
    )
    jobs = SubmititJobs(lambda cell, needs: submitit.LocalExecutor(order.parent))
    with SweepProgress(len(cells), len(done)) as progress:
        run_on_cluster(cells, jobs, orders, store=run.store, done=done, progress=progress)
    assert owed
    for cell in owed:
        address = (cell.step, cell.digest)
        assert place.cells()[address] == finished.cells()[address]
