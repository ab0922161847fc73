"""What each cell of a sweep takes of this machine while it runs."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from epa_bench.config.execution import Execution
from epa_bench.core.errors import ConfigError
from epa_bench.core.store import CellSpec
from epa_bench.core.sweep_status import Lane
from epa_bench.execution.device import Device, default_workers
from epa_bench.execution.hardware import visible_gpus
from epa_bench.execution.tokens import Demand, Tokens
from epa_bench.pipeline.owed import ASKING
from epa_bench.steps.table import STEPS
from epa_bench.training.free_memory import available_memory

_JUDGE = Demand({"judges": 1}, process="judge")
"""It waits for replies: one beside whatever computes, whose `judge.concurrency` calls are all there may be."""


def machine_tokens(device: Device, execution: Execution) -> Tokens:
    """What this machine has for cells."""
    workers = execution.workers or default_workers(device, execution.processes)
    totals = {"workers": workers, "judges": 1, "engines": execution.workers or 1}
    if device == "cuda":
        return Tokens({**totals, "cpu workers": default_workers("cpu")}, visible_gpus(os.environ))
    return Tokens({**totals, "memory": available_memory()})


def demands(
    cells: Sequence[CellSpec], device: Device, execution: Execution, memory: Mapping[str, int]
) -> dict[str, Demand]:
    """By digest; `cells` in an order where needs come first, `memory`: digest -> bytes, where that is known.

    Raises ConfigError where a cell needs more GPUs than there are.
    """
    served = _served(cells)
    # vLLM comes last, in processes that live: the engine goes from checkpoint to checkpoint, and shares the memory with
    # no training.
    before = frozenset(c.digest for c in cells if on_device(c) and c.digest not in served)
    gpus = max((processes_of(cell) for cell in cells if cell.digest in served), default=1) if device == "cuda" else 0
    engine = Demand({"workers": 1, "engines": 1}, gpus, process="engine", after=before)
    found = {}
    for cell in cells:
        if cell.step in ASKING and not judges_here(cell):
            found[cell.digest] = _JUDGE
        elif cell.digest in served and on_device(cell):
            found[cell.digest] = engine
        else:
            found[cell.digest] = _computing(cell, device, memory.get(cell.digest))
    if device == "cuda":
        _check_gpus(max((demand.gpus for demand in found.values()), default=0), len(visible_gpus(os.environ)))
    return found


def lanes_of(owed: Sequence[CellSpec], found: Mapping[str, Demand], workers: int) -> dict[str, Lane]:
    """The owed cells by the kind of process they share."""
    lanes: dict[str, Lane] = {}
    for cell in owed:
        kind = found[cell.digest].process
        lane = lanes.setdefault(kind, Lane(1 if kind == _JUDGE.process else workers))
        lane.owed[cell.step] += 1
    return lanes


def _computing(cell: CellSpec, device: Device, memory: int | None) -> Demand:
    if device == "cuda":
        return Demand({"workers": 1}, processes_of(cell), fresh=True) if on_device(cell) else Demand({"cpu workers": 1})
    return Demand({"workers": 1} if memory is None else {"workers": 1, "memory": memory})


def on_device(cell: CellSpec) -> bool:
    """Whether it computes with a model."""
    return "torch" in STEPS[cell.step].packages or judges_here(cell)


def judges_here(cell: CellSpec) -> bool:
    """Whether its judge is a checkpoint on this machine, which computes as others do."""
    return cell.step in ASKING and cell.config.get("judge", {}).get("kind") == "local"


def _engine(cell: CellSpec) -> Mapping[str, Any] | None:
    """Settings of the vLLM that it needs: for what the cell is about, or for its judge."""
    settings = cell.config["judge"] if judges_here(cell) else cell.config
    engine: Mapping[str, Any] | None = settings.get("engine")
    return engine


def processes_of(cell: CellSpec) -> int:
    """Ranks of a training, or of an engine; each has a GPU."""
    engine = _engine(cell)
    return int(engine["tensor_parallel_size"] if engine else cell.config.get("processes", 1))


def _check_gpus(needed: int, there: int) -> None:
    if needed > there:
        raise ConfigError(
            f"execution.processes or engine.tensor_parallel_size: a cell needs {needed} GPUs, this machine shows "
            f"{there} (CUDA_VISIBLE_DEVICES, or nvidia-smi's list); lower them, or run where there are more"
        )


def _served(cells: Sequence[CellSpec]) -> set[str]:
    """Digests of the cells that a vLLM engine computes, and of those that need them."""
    served: set[str] = set()
    for cell in cells:
        if _engine(cell) is not None or any(need.digest in served for need in cell.needs):
            served.add(cell.digest)
    return served
