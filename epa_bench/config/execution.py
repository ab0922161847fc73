"""The `execution` section of a sweep: where its cells run. It decides no result but by rounding."""

from typing import Annotated, Literal

from pydantic import Field

from epa_bench.config.values import Count, Positive
from epa_bench.core.records import Record

_NotNegative = Annotated[int, Field(ge=0)]

_Flag = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
_OneLine = Annotated[str, Field(pattern=r"^[^\r\n]*$")]
"""Each becomes a line of the script that is submitted."""


class CellNeeds(Record):
    """What a kind of cell asks of a cluster."""

    cpus: Count = 1
    """Cores a process, and its number of threads: on CPU the last digits of results depend on it."""

    gpus: _NotNegative | None = None
    """A process; None: one where the cell computes on CUDA, else none. A training has `processes` of them, an engine
    `engine.tensor_parallel_size`."""

    memory_gib: Positive | None = None
    """Of main memory, for the whole cell; None: what the cluster gives."""

    minutes: Count = 24 * 60
    """SLURM ends the cell's job then. It goes on from its last checkpoint when it is submitted again."""


class ClusterCells(Record):
    """Cells by kind, for `ray` and `slurm`."""

    train: CellNeeds = CellNeeds()
    """Trainings, that of a checkpoint into the reference included."""

    model: CellNeeds = CellNeeds()
    """Others that compute with a model: a reference from scratch, answers, log-probs."""

    other: CellNeeds = CellNeeds()
    """Judging, statistics, reading data: no GPU."""

    most: Count = 64
    """Cells that wait or run there at a time; SLURM's administrators often allow a user a few hundred jobs."""


class RayCluster(Record):
    """A Ray cluster that is running."""

    address: str = "auto"
    """HOST:PORT of its head; `auto`: the one this machine is part of."""


class SlurmCluster(Record):
    """A SLURM cluster that this machine can submit to."""

    partition: _OneLine | None = None

    sbatch: dict[_Flag, _OneLine | int | Literal[True]] = Field(default_factory=dict)
    """Further options of sbatch, by their long names without dashes: {account: lab, constraint: a100}."""


class Execution(Record):
    """Where cells run."""

    kind: Literal["local", "ray", "slurm"] = "local"
    """This machine, an existing Ray cluster, or SLURM jobs. `output.folder` must then be on a file system that every
    node sees under the same path."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` looks at this machine, so on a cluster it must be said."""

    workers: Count | None = None
    """Processes side by side; on CPU one a core by default (one thread each), on CUDA as many as find
    GPUs: vLLM then has an engine on each. For `local`."""

    processes: Count = 1
    """Ranks a training is spread over, a GPU each; must divide the groups of an optimizer step. Each takes its share of
    the step, so results agree up to rounding."""

    cells: ClusterCells = ClusterCells()
    ray: RayCluster = RayCluster()
    slurm: SlurmCluster = SlurmCluster()
