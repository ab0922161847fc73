"""The `execution` section: what may be said of a cluster, and nothing that could be more than an option."""

from collections.abc import Callable

import pytest

from epa_bench.config.load import LoadedSweep
from tests.config.conftest import SWEEP

Load = Callable[..., LoadedSweep]
Problems = Callable[..., list[str]]

SLURM = """\
execution:
  kind: slurm
  device: cuda
  processes: 2
  cells:
    train: {cpus: 8, minutes: 600, memory_gib: 64}
  slurm:
    partition: gpu
    sbatch: {account: lab, qos: 3, exclusive: true}
"""


def test_a_cluster_and_its_defaults(load: Load) -> None:
    execution = load(text=SWEEP + SLURM).config.execution
    assert execution.cells.train.gpus is None
    assert execution.cells.model.cpus == 1
    assert execution.cells.most == 64
    assert execution.slurm.sbatch == {"account": "lab", "qos": 3, "exclusive": True}


def test_its_resolved_form_loads_again(load: Load) -> None:
    loaded = load(text=SWEEP + SLURM)
    assert load(text=loaded.resolved_yaml()).config == loaded.config


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("execution.kind=dask", "kind"),
        ("execution.cells.train.gpus=-1", "gpus"),
        ('execution.slurm.partition="gpu\\nrm -r x"', "partition"),
        ('execution.slurm.sbatch.account="lab\\nrm -r x"', "account"),
        ("execution.slurm.sbatch.exclusive=false", "exclusive"),
        ("execution.slurm.sbatch.Mail=x", "Mail"),
        ("execution.ray.adress=auto", "did you mean `address`"),
    ],
)
def test_what_is_refused(problems: Problems, override: str, what: str) -> None:
    """A line break would end the comment that an option of sbatch is, and begin a command."""
    found = problems(override, text=SWEEP + SLURM)
    assert any(what in line for line in found)
