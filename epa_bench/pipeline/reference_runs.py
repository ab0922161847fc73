"""A sweep with several references: a run of its own for each and for each seed, computed together.

A reference is a recipe of the supervised stage under a share of swapped outputs. Each run is a plain sweep with one
reference, so its cells are those of any sweep, and what several of them need (aligned models and their scores) is one
cell in the one store.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from epa_bench.config.load import LoadedSweep
from epa_bench.config.schema import EmbeddedData, Sweep
from epa_bench.config.supervised import Recipe, with_recipe
from epa_bench.core.files import atomic_write_text
from epa_bench.core.store import CellSpec, Store
from epa_bench.pipeline.cells import in_order
from epa_bench.pipeline.run import Run, Stage, cells_of, check_ready, compute_for, needed_cells, open_store
from epa_bench.pipeline.run_cells import note_sweep
from epa_bench.suites.definitions import SuiteDefinition


@dataclass(frozen=True)
class Member:
    """One reference and all that is trained from it."""

    reference: str
    """RECIPE/nSHARE, the share of swapped outputs in per cent."""

    seed: int
    """Of the reference and of the trainings."""

    run: Run


@dataclass(frozen=True)
class ReferenceRuns:
    """The runs of a sweep with `references`."""

    loaded: LoadedSweep
    members: tuple[Member, ...]
    store: Store

    @property
    def sweep(self) -> Sweep:
        return self.loaded.config

    @property
    def folder(self) -> Path:
        """Where the sweep's own files go, beside the store."""
        return self.members[0].run.folder

    def needed_cells(self, stage: Stage = "score") -> list[CellSpec]:
        """The cells of all members up to a stage, each once, needs first."""
        return in_order([cell for member in self.members for cell in needed_cells(member.run, stage)])


def open_references(loaded: LoadedSweep, suites: Mapping[str, SuiteDefinition]) -> ReferenceRuns:
    """The runs of a checked sweep. Raises ConfigError, CheckpointError, DataError or StoreError."""
    store = open_store(loaded.config)
    members = []
    for reference, seed, sweep in _single(loaded.config):
        alone = replace(loaded, config=sweep)
        members.append(Member(reference, seed, Run(alone, cells_of(alone, suites), store)))
    return ReferenceRuns(loaded, tuple(members), store)


def run_references(runs: ReferenceRuns, stage: Stage) -> None:
    """Computes what is owed up to and including a stage, after writing the resolved configuration."""
    atomic_write_text(runs.folder / "sweep.yaml", runs.loaded.resolved_yaml())
    note_sweep(runs.folder, runs.store, runs.needed_cells())
    cells = runs.needed_cells(stage)
    first = runs.members[0].run
    check_ready(first, cells)
    compute_for(first, cells)


def _single(sweep: Sweep) -> Iterator[tuple[str, int, Sweep]]:
    """(name, seed, a sweep with this reference alone)."""
    references, reference, data = sweep.references, sweep.reference, sweep.data
    assert references is not None
    assert reference.sft is not None
    for recipe in references.recipes:
        sft = with_recipe(reference.sft, recipe, references.keep)
        for share in references.swapped:
            noisy = data.model_copy(update={"swapped": share}) if isinstance(data, EmbeddedData) else data
            for seed in sweep.seeds:
                of_seed = reference.model_copy(update={"sft": sft.model_copy(update={"seed": seed})})
                changes = {"reference": of_seed, "data": noisy, "seeds": (seed,), "references": None}
                yield reference_name(recipe, share), seed, sweep.model_copy(update=changes)


def reference_name(recipe: Recipe, swapped: float) -> str:
    """What tables call a reference."""
    return f"{recipe}/n{100 * swapped:g}"
