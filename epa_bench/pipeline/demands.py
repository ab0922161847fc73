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
    if device == "cuda":
        gpus = visible_gpus(os.environ)
        # By default the GPUs alone say how much runs at a time.
        return Tokens(
            {"workers": execution.workers or len(gpus), "judges": 1, "cpu workers": default_workers("cpu")}, gpus
        )
    workers = execution.workers or default_workers(device, execution.processes)
    return Tokens({"workers": workers, "judges": 1, "engines": execution.workers or 1, "memory": available_memory()})


def demands(
    cells: Sequence[CellSpec], device: Device, execution: Execution, memory: Mapping[str, int]
) -> dict[str, Demand]:
    """By digest; `cells` in an order where needs come first, `memory`: digest -> bytes, where that is known.

    Raises ConfigError where a cell needs more GPUs than there are.
    """
    served = _served(cells)
    engines = frozenset(cell.digest for cell in cells if _engine(cell) is not None)
    # vLLM comes after all that it could share a GPU with, and before what needs its answers and a GPU. Its processes
    # live: an engine goes from checkpoint to checkpoint, and each set of GPUs has one.
    before = frozenset(c.digest for c in cells if on_device(c) and c.digest not in served)
    gpus = max((processes_of(cell) for cell in cells if cell.digest in engines), default=1) if device == "cuda" else 0
    engine = Demand({"workers": 1, "engines": 1}, gpus, process="engine", after=before)
    found = {}
    for cell in cells:
        if cell.step in ASKING and not judges_here(cell):
            found[cell.digest] = _JUDGE
        elif cell.digest in engines:
            found[cell.digest] = engine
        else:
            after = engines if cell.digest in served and on_device(cell) else frozenset[str]()
            found[cell.digest] = _computing(cell, device, memory.get(cell.digest), after)
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


def _computing(cell: CellSpec, device: Device, memory: int | None, after: frozenset[str]) -> Demand:
    if device == "cpu":
        tokens = {"workers": 1} if memory is None else {"workers": 1, "memory": memory}
        # What one of lm-eval's tasks leaves in its modules must not reach the next one. vLLM's process must live on.
        return Demand(tokens, fresh=cell.step == "lm_eval")
    if not on_device(cell):
        return Demand({"cpu workers": 1})
    return Demand({"workers": 1}, processes_of(cell), fresh=True, after=after)


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
