"""What a sweep would do, before anything is spent: its cells, memory, disk, and what its judge would cost."""

import shutil
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from epa_bench.config.judge import ApiJudge
from epa_bench.config.supervised import CheckpointSft
from epa_bench.core.errors import StoreError, TrainingError
from epa_bench.core.records import Record
from epa_bench.core.store import CellSpec
from epa_bench.execution.device import default_workers, gpu_memory
from epa_bench.pipeline.cells import in_order
from epa_bench.pipeline.judge_estimate import judge_estimates
from epa_bench.pipeline.owed import standing
from epa_bench.pipeline.run import Run, check_ready, needed_cells
from epa_bench.pipeline.token_forecast import OwedTokens, owed_tokens
from epa_bench.pipeline.training_memory import TrainingMemory, model_of, supervised_memory, training_memory
from epa_bench.suites.definitions import AlpacaEvalSuite, MtBenchSuite
from epa_bench.training.estimate import GIB
from epa_bench.training.free_memory import available_memory
from epa_bench.training.known_shape import KnownModel


class PlannedCell(Record):
    """One cell of the sweep."""

    part: str
    """`preparation`, `training`, or the first suite that needs it."""

    step: str
    label: str
    digest: str
    state: Literal["cached", "owed"]
    """`owed` includes verdicts that are there and failed, and what was made from them."""


class Disk(Record):
    """Bytes, of trained checkpoints alone: rows and answers are small beside them."""

    checkpoints: int
    """Of the trainings that are owed, kept when they are done."""

    resumable: int
    """On top of it while trainings run."""

    free: int


class Forecast(Record):
    """What `epa-bench plan` tells."""

    sweep: str
    device: str
    workers: int
    cells: tuple[PlannedCell, ...]

    trainings: tuple[TrainingMemory, ...]
    """One an arm: seeds need the same."""

    supervised: TrainingMemory | None
    """The training that makes the reference from a checkpoint, where it is owed."""

    tokens: tuple[OwedTokens, ...]

    judging: tuple[dict[str, Any], ...]
    """Calls, tokens and dollars, one row a published suite; empty where no endpoint is asked."""

    disk: Disk


def forecast(run: Run, memory: int | None = None) -> Forecast:
    """`memory`: bytes of the device that will train; by default of this machine's, for a cluster not known. Nothing is
    trained or asked.

    Raises what a run would raise before its first cell: SuiteError where a source is missing, ConfigError for a
    tracker that is not installed.
    """
    sweep, device = run.sweep, run.cells.device
    everything = needed_cells(run)
    check_ready(run, everything)
    found = standing(run.store, everything)
    workers = _side_by_side(run)
    cells = tuple(_planned(run, found.done))
    owed = {cell.digest for cell in cells if cell.state == "owed"}
    trained = [cell for cell in cells if cell.digest in owed and cell.step == "train"]
    available = memory or _available(run, workers)
    model = model_of(sweep, device)
    trainings = tuple(training_memory(sweep, arm, model, available) for arm in run.cells.arms)
    # An arm trained by every seed of its own; all arms of a sweep are of one size.
    first = trainings[0]
    supervised = _supervised(run, model, available, owed)
    disk = Disk(
        checkpoints=len(trained) * (1 + sweep.training.keep_checkpoints) * first.checkpoint
        + (supervised.checkpoint if supervised else 0),
        # Nothing else is trained while the reference is.
        resumable=max(min(len(trained), workers) * first.resumable, supervised.resumable if supervised else 0),
        free=shutil.disk_usage(run.store.root).free,
    )
    return Forecast(
        sweep=sweep.name,
        device=device,
        workers=workers,
        cells=cells,
        trainings=trainings,
        supervised=supervised,
        tokens=tuple(owed_tokens(run, owed)),
        judging=tuple(_judging(run)),
        disk=disk,
    )


def check_possible(found: Forecast) -> None:
    """Raises TrainingError or StoreError where it is certain that what is owed cannot be done here."""
    training_owed = any(cell.state == "owed" and cell.step == "train" for cell in found.cells)
    for training in [*([found.supervised] if found.supervised else []), *(found.trainings if training_owed else ())]:
        if training.verdict == "does not fit":
            raise TrainingError(
                f"{training.arm}: weights, gradients and optimizer state alone take {training.certain / GIB:.1f} "
                f"GiB, there are {(training.available or 0) / GIB:.1f} GiB. Less is needed with\n  "
                + "\n  ".join(training.advice)
            )
    needed = found.disk.checkpoints + found.disk.resumable
    if needed > found.disk.free:
        raise StoreError(
            f"the owed checkpoints take {needed / GIB:.1f} GiB of disk, {found.disk.free / GIB:.1f} GiB are free; free "
            "some, train adapters (training.lora: {}), or choose another output.folder"
        )


def _supervised(run: Run, model: KnownModel, available: int | None, owed: set[str]) -> TrainingMemory | None:
    settings, cell = run.sweep.reference.sft, run.cells.reference
    if not isinstance(settings, CheckpointSft) or cell is None or cell.digest not in owed:
        return None
    return supervised_memory(run.sweep, settings, model, available)


def _planned(run: Run, done: set[str]) -> Iterator[PlannedCell]:
    seen: set[str] = set()
    for part, targets in _parts(run):
        for cell in in_order(list(targets)):
            if cell.digest not in seen:
                seen.add(cell.digest)
                state: Literal["cached", "owed"] = "cached" if cell.digest in done else "owed"
                yield PlannedCell(part=part, step=cell.step, label=cell.label, digest=cell.digest, state=state)


def _parts(run: Run) -> Iterator[tuple[str, Sequence[CellSpec]]]:
    cells = run.cells
    yield "preparation", [cells.preferences, *cells.plans]
    yield "training", [checkpoint.cell for checkpoint in cells.checkpoints if checkpoint.cell is not None]
    for suite in cells.suites:
        found = [result for result in cells.all_results if result.suite == suite]
        yield suite, [each for result in found for each in (result.cell, *result.beside)]


def _side_by_side(run: Run) -> int:
    """Cells that may run at a time."""
    execution = run.sweep.execution
    if execution.kind == "local":
        return execution.workers or default_workers(run.cells.device, execution.processes)
    return execution.cells.most


def _available(run: Run, workers: int) -> int | None:
    if run.sweep.execution.kind != "local":
        # What this machine has says nothing of a cluster's nodes.
        return None
    if run.cells.device == "cuda":
        return gpu_memory()
    # Trainings side by side, and their ranks, share the machine's.
    return available_memory() // (workers * run.sweep.execution.processes)


def _judging(run: Run) -> list[dict[str, Any]]:
    published = any(isinstance(suite, AlpacaEvalSuite | MtBenchSuite) for suite in run.cells.suites.values())
    return judge_estimates(run) if published and isinstance(run.sweep.judge, ApiJudge) else []
