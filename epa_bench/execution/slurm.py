"""SLURM through submitit: a job a cell, which starts the cell command as a process of its own."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from epa_bench.core.errors import ConfigError, WorkerError
from epa_bench.core.store import CellSpec
from epa_bench.execution.cell_process import CellProcess
from epa_bench.execution.remote import TaskNeeds

_COMMANDS = ("sbatch", "srun", "sacct", "scancel")
_WAIT_SECONDS = 1.0

OpenExecutor = Callable[[CellSpec, TaskNeeds], Any]
"""A submitit executor for one job: its parameters stick to it, so that the next job would inherit what it lacks."""


def slurm_jobs(folder: Path, partition: str | None, sbatch: Mapping[str, Any]) -> "SubmititJobs":
    """Jobs of the SLURM that this machine submits to; scripts, logs and results go to the folder.

    Raises ConfigError where submitit is not installed or SLURM's commands are missing.
    """
    try:
        import submitit
    except ImportError as error:
        raise ConfigError(
            "execution.kind: slurm needs submitit, which is not installed; pip install 'epa-bench[slurm]'"
        ) from error
    missing = [command for command in _COMMANDS if shutil.which(command) is None]
    if missing:
        raise ConfigError(
            f"execution.kind: slurm needs {', '.join(missing)} on the PATH; start the sweep where jobs are submitted, "
            "on a login node of the cluster"
        )

    def open_executor(cell: CellSpec, needs: TaskNeeds) -> Any:
        memory = None if needs.memory_gib is None else f"{round(needs.memory_gib * 1024)}MB"
        asked = {"partition": partition, "gpus_per_node": needs.gpus or None, "mem": memory}
        executor = submitit.SlurmExecutor(folder)
        executor.update_parameters(
            job_name=f"epa-bench-{cell.step}",
            nodes=1,
            ntasks_per_node=1,
            cpus_per_task=needs.cpus,
            time=needs.minutes,
            additional_parameters=dict(sbatch),
            **{name: value for name, value in asked.items() if value is not None},
        )
        return executor

    return SubmititJobs(open_executor)


class SubmititJobs:
    """Jobs of any of submitit's executors."""

    def __init__(self, open_executor: OpenExecutor) -> None:
        self._open_executor = open_executor
        self._jobs: dict[str, Any] = {}

    def start(self, cell: CellSpec, process: CellProcess, needs: TaskNeeds) -> None:
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        try:
            self._jobs[cell.digest] = self._open_executor(cell, needs).submit(process)
        except (FailedJobError, FailedSubmissionError) as error:
            raise WorkerError(
                f"SLURM does not take the job of {cell.label or cell.step}: {str(error).strip()}. Finished cells are "
                "kept: mend execution.slurm or execution.cells, or wait, and run the same command again"
            ) from error

    def ended(self) -> Iterator[tuple[str, str]]:
        ended = [digest for digest, job in self._jobs.items() if job.done()]
        if not ended:
            time.sleep(_WAIT_SECONDS)
        for digest in ended:
            yield digest, _end(self._jobs.pop(digest))

    def close(self) -> None:
        for job in self._jobs.values():
            job.cancel(check=False)
        self._jobs.clear()


def _end(job: Any) -> str:
    """What the process gave. A job that was killed may call itself finished, and has no result."""
    from submitit.core.utils import FailedJobError

    if not job.paths.result_pickle.exists():
        return f"job {job.job_id} ended without a result (its state: {job.state}, its log: {job.paths.stderr})"
    try:
        end: str = job.result()
    except FailedJobError as error:
        return f"job {job.job_id}: {str(error).strip().splitlines()[-1]}"
    return end
