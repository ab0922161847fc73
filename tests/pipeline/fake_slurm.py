#!/usr/bin/env python
"""SLURM's commands: jobs are processes of this machine, and the queue is the folder of the commands.

Run by the name of a command. A job that died is told as COMPLETED: the least that its driver may rely on.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

QUEUE = Path(sys.argv[0]).parent


def sbatch(script: str) -> None:
    text = Path(script).read_text()
    if "--partition=closed" in text:
        sys.exit("sbatch: error: invalid partition specified: closed")
    number = len(list(QUEUE.glob("*.sh"))) + 1
    (QUEUE / f"{number}.sh").write_text(text)
    told = {"JOB_ID": number, "NTASKS": 1, "JOB_NUM_NODES": 1, "JOB_NODELIST": "node1"}
    environment = os.environ | {f"SLURM_{name}": str(value) for name, value in told.items()}
    job = subprocess.Popen(
        ["bash", script],
        env=environment | {"CUDA_VISIBLE_DEVICES": "5"},
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    (QUEUE / f"{number}.pid").write_text(str(job.pid))
    print(f"Submitted batch job {number}")


def srun(*arguments: str) -> None:
    number = os.environ["SLURM_JOB_ID"]
    options = dict(pairwise(arguments))
    for stream, option in ((sys.stdout, "--output"), (sys.stderr, "--error")):
        path = options[option].replace("%j", number).replace("%t", "0")
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream.fileno())
    os.environ |= {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    command = arguments[arguments.index("--error") + 2 :]
    os.execvp(command[0], command)


def sacct(*arguments: str) -> None:
    print("JobID|State|NodeList")
    for number in (value for option, value in pairwise(arguments) if option == "-j"):
        print(f"{number}|{'RUNNING' if _runs(number) else 'COMPLETED'}|node1")


def scancel(number: str) -> None:
    if _runs(number):
        os.killpg(int((QUEUE / f"{number}.pid").read_text()), signal.SIGKILL)


def _runs(number: str) -> bool:
    try:
        stat = Path("/proc", (QUEUE / f"{number}.pid").read_text(), "stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


_COMMANDS: Mapping[str, Callable[..., None]] = {"sbatch": sbatch, "srun": srun, "sacct": sacct, "scancel": scancel}

if __name__ == "__main__":
    _COMMANDS[Path(sys.argv[0]).name](*sys.argv[1:])
