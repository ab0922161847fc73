"""Started by torchrun or `accelerate launch`: how many ranks they stand for, and what they leave in the environment.

The sweep itself runs in one process, which starts the ranks of each training anew; under a launcher the first process
takes that part, with as many ranks as were launched, and the others end at once.
"""

import os
from collections.abc import Mapping

from epa_bench.core.errors import ConfigError

_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_PREFIXES = ("GROUP_", "ROLE_", "TORCHELASTIC_", "ACCELERATE_", "FSDP_", "PMI_", "OMPI_COMM_WORLD_", "MV2_COMM_WORLD_")


def is_follower(environment: Mapping[str, str]) -> bool:
    """Whether a launcher started this process as another than the first."""
    return _launched(environment) > 1 and environment["RANK"] != "0"


def launched_settings(environment: Mapping[str, str]) -> list[str]:
    """Overrides of the sweep that say what the launcher says. Raises ConfigError for several machines."""
    count = _launched(environment)
    if count <= 1:
        return []
    if environment["LOCAL_WORLD_SIZE"] != environment["WORLD_SIZE"]:
        raise ConfigError(
            f"started on several machines ({count} processes, {environment['LOCAL_WORLD_SIZE']} of them here); a "
            "training runs on one: launch on one node"
        )
    return [f"execution.processes={count}"]


def forget_launcher() -> None:
    """Removes from this process's environment what would make accelerate join ranks that are not there.

    Also accelerate's own settings (mixed precision, FSDP): the sweep file alone decides how a cell is computed.
    """
    for name in list(os.environ):
        if name in _VARIABLES or name.startswith(_PREFIXES):
            del os.environ[name]


def _launched(environment: Mapping[str, str]) -> int:
    """Processes of the launcher; 0 without one. torchrun sets all three variables, other tools only some."""
    known = {"RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"} <= environment.keys()
    return int(environment["WORLD_SIZE"]) if known else 0
