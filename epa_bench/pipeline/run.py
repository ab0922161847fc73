"""Running a sweep: what is owed of a stage, computed. Stages meet only in the store."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from epa_bench.config.execution import Execution
from epa_bench.config.load import LoadedSweep, load_sweep
from epa_bench.config.schema import Sweep
from epa_bench.config.yaml12 import Document
from epa_bench.core.errors import ConfigError
from epa_bench.core.files import atomic_write_text
from epa_bench.core.progress import SweepProgress
from epa_bench.core.store import CellSpec, Store
from epa_bench.execution.device import Device, default_workers
from epa_bench.execution.launcher import launched_settings
from epa_bench.execution.local import run_cells
from epa_bench.pipeline.cell_runner import CellRunner
from epa_bench.pipeline.cells import SweepCells, in_order
from epa_bench.pipeline.checks import (
    STORE_FOLDER,
    check_baseline,
    check_controls,
    check_device,
    check_losses,
    check_names,
    check_ranks,
    check_step_size,
    check_trackers,
)
from epa_bench.pipeline.cluster import compute_on_cluster, device_of
from epa_bench.pipeline.consistency import check_consistency, check_tasks
from epa_bench.pipeline.contamination import heed_contamination
from epa_bench.pipeline.demands import demands, lanes_of, machine_tokens
from epa_bench.pipeline.durations import seconds_of_like
from epa_bench.pipeline.owed import Standing, check_sources, standing
from epa_bench.pipeline.run_cells import note_sweep
from epa_bench.pipeline.training_memory import training_bytes
from epa_bench.suites.definitions import AnsweredSuite, JudgedSuite, KlSuite, SuiteDefinition
from epa_bench.suites.registry import Registry

Stage = Literal["train", "generate", "judge", "score"]

_DECIDING = ("plan", "probes", "bench_prompts")
"""Steps that find out whether data and suites go together. They and what they need are done before all else: where one
fails, nothing is trained."""


@dataclass(frozen=True)
class Run:
    """A sweep on this machine."""

    loaded: LoadedSweep
    cells: SweepCells
    store: Store

    @property
    def sweep(self) -> Sweep:
        return self.loaded.config

    @property
    def folder(self) -> Path:
        """Where the sweep's own files go, beside the store."""
        return Path(self.sweep.output.folder) / self.sweep.name


def open_run(document: Document, overrides: Sequence[str], suites: Registry) -> Run:
    """Loads and checks a sweep with one reference, finds its data and reference, opens its store.

    Raises ConfigError, SuiteError, DataError, CheckpointError or StoreError.
    """
    loaded, cells = load_cells(document, overrides, suites)
    return Run(loaded, cells, open_store(loaded.config))


def open_store(sweep: Sweep) -> Store:
    """The store that all sweeps of an output folder share."""
    return Store(Path(sweep.output.folder) / STORE_FOLDER)


def load_cells(document: Document, overrides: Sequence[str], suites: Registry) -> tuple[LoadedSweep, SweepCells]:
    """A checked sweep with one reference, and its cells; raises as `open_run` and writes nothing."""
    loaded, definitions = load_checked(document, overrides, suites)
    if loaded.config.references is not None:
        raise ConfigError(
            f"{loaded.document.where(('references',))}: this verb takes a sweep with one reference; leave `references` "
            "out and set `reference.sft` as one of its recipes does, or use run, train, generate, judge, score or table"
        )
    return loaded, cells_of(loaded, definitions)


def load_checked(
    document: Document, overrides: Sequence[str], suites: Registry
) -> tuple[LoadedSweep, Mapping[str, SuiteDefinition]]:
    """A checked sweep and its suites; raises as `open_run` and writes nothing."""
    checks = [check_names, check_losses, check_controls, check_step_size, check_ranks, check_device, check_baseline]
    overrides = [*launched_settings(os.environ), *overrides]
    loaded = load_sweep(document, overrides, [*checks, lambda raw: suites.problems(raw.get("suites"))])
    definitions = {name: suites.load(name, changes) for name, changes in loaded.config.suites.items()}
    check_consistency(loaded, definitions)
    return loaded, definitions


def cells_of(loaded: LoadedSweep, suites: Mapping[str, SuiteDefinition]) -> SweepCells:
    """The cells of a sweep with one reference. Raises ConfigError where its engine cannot run here."""
    cells = SweepCells(loaded.config, suites, device_of(loaded.config.execution))
    _check_engine(loaded, cells)
    return cells


def _check_engine(loaded: LoadedSweep, cells: SweepCells) -> None:
    try:
        _ = cells.engine
    except ConfigError as error:
        raise ConfigError(f"{loaded.document.where(('engine', 'kind'))}: {error}") from None


def stage_cells(run: Run, stage: Stage) -> list[CellSpec]:
    """The cells a stage ends in; everything before them is needed too."""
    cells = run.cells
    if stage == "score":
        return [cell for result in cells.all_results for cell in (result.cell, *result.beside)]
    if stage == "train":
        return [checkpoint.cell for checkpoint in cells.checkpoints if checkpoint.cell is not None]
    if stage == "judge":
        judged = [suite for suite in cells.suites.values() if isinstance(suite, JudgedSuite)]
        return [cells.verdicts(checkpoint, suite) for suite in judged for checkpoint in cells.evaluated(suite)]
    answered = [suite for suite in cells.suites.values() if isinstance(suite, AnsweredSuite | KlSuite)]
    return [
        cells.responses(checkpoint, suite)
        for suite in answered
        for checkpoint in (cells.evaluated(suite) if isinstance(suite, KlSuite) else cells.checkpoints)
    ]


def needed_cells(run: Run, stage: Stage = "score") -> list[CellSpec]:
    """The cells of a stage and everything before them, in an order in which they can be computed."""
    # First what may turn out impossible: it must be found before anything is trained, not after days of it.
    evaluated = [*run.cells.probing.probe_sets, *run.cells.bench_prompts.values()]
    return in_order([*run.cells.plans, *evaluated, *stage_cells(run, stage)])


def check_ready(run: Run, cells: Sequence[CellSpec]) -> None:
    """Raises SuiteError where a source or a task is missing, ConfigError for a tracker that is not installed."""
    check_sources(run.store, cells)
    if any(cell.step == "train" and not run.store.has(cell) for cell in cells):
        check_trackers(run.loaded)
    if any(cell.step == "lm_eval" and not run.store.has(cell) for cell in cells):
        check_tasks(run.cells.suites)


def run_stage(run: Run, stage: Stage) -> None:
    """Computes what is owed up to and including a stage, after writing the resolved configuration."""
    atomic_write_text(run.folder / "sweep.yaml", run.loaded.resolved_yaml())
    note_sweep(run.folder, run.store, needed_cells(run))
    cells = needed_cells(run, stage)
    check_ready(run, cells)
    compute_for(run, cells)


def compute_for(run: Run, cells: Sequence[CellSpec]) -> None:
    """Computes what is owed of the cells, of this run and of those that differ from it in the reference."""
    remarks = []
    if any(cell.step in ("train", "sft") and not run.store.has(cell) for cell in cells):
        runner = CellRunner(run.store.root, run.cells.device, {})
        remarks = heed_contamination(run.cells, run.store, lambda cell: runner(cell, lambda done, total: None))
    answering = f"answers: {run.cells.answering}"
    memory = {} if run.cells.device == "cuda" else training_bytes(run.sweep, run.cells)
    compute(cells, run.store, run.cells.device, run.sweep.execution, answering, remarks, memory)


def compute(
    cells: Sequence[CellSpec],
    store: Store,
    device: Device,
    execution: Execution,
    answering: str = "",
    remarks: Sequence[str] = (),
    memory: Mapping[str, int] | None = None,
) -> None:
    """Computes those of the cells, in an order where needs come first, that the store does not have.

    Also verdicts that failed, whose judge may answer now, and what was made from them. `answering`: what to say first
    where answers are owed; `remarks`: what to warn of; `memory`: digest of a training -> bytes it may take.
    """
    found = standing(store, cells)
    done = found.done
    if len(done) == len(cells):
        return
    owed = [cell for cell in cells if cell.digest not in done]
    here = execution.kind == "local"
    taken = demands(cells, device, execution, memory or {}) if here else {}
    # A cluster decides by itself how much runs at a time.
    lanes = lanes_of(owed, taken, execution.workers or default_workers(device, execution.processes)) if here else {}
    with SweepProgress(len(cells), len(done), lanes, seconds_of_like(store, owed)) as progress:
        for remark in remarks:
            progress.notice(remark)
        if answering and any(cell.step in ("responses", "conversations") for cell in owed):
            progress.say(answering)
        for part in (in_order([cell for cell in cells if cell.step in _DECIDING]), cells):
            if all(cell.digest in done for cell in part):
                # Nothing to connect to a cluster for.
                continue
            if here:
                run_cells(
                    part,
                    CellRunner(store.root, device, found.again),
                    store=store,
                    done=done,
                    again={cell.digest: store.stamp(cell) for cell in cells if cell.digest in found.again},
                    demands=taken,
                    tokens=machine_tokens(device, execution),
                    progress=progress,
                )
            else:
                compute_on_cluster(part, store, device, execution, Standing(done, found.again), progress)
            done = done | {cell.digest for cell in part}
