"""Computing one cell, in whatever process is asked to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from epa_bench.core.store import CellSpec, Store
from epa_bench.execution.ranks import run_on_ranks
from epa_bench.steps.context import Report, StepContext
from epa_bench.steps.table import STEPS


@dataclass(frozen=True)
class CellRunner:
    """Computes one cell, in whatever process it is called."""

    store_root: Path
    device: str
    again: Mapping[str, Sequence[CellSpec]]
    """Digest of a cell to compute although it is there -> the cells that were made from the old one."""

    def __call__(self, spec: CellSpec, report: Report) -> None:
        def work(folder: Path) -> None:
            body = CellBody(self.store_root, self.device, spec, folder)
            ranks = spec.config.get("processes", 1)
            if ranks > 1:
                run_on_ranks(body, ranks, report)
            else:
                body(report)

        Store(self.store_root).compute(
            spec, work, resumes=STEPS[spec.step].resumes, outdates=self.again.get(spec.digest)
        )


@dataclass(frozen=True)
class CellBody:
    """What a cell does, in its staging folder: one process, or each of its ranks."""

    store_root: Path
    device: str
    spec: CellSpec
    folder: Path

    def __call__(self, report: Report) -> None:
        store, spec = Store(self.store_root), self.spec
        inputs = {name: store.open(cell) for name, cell in spec.inputs.items()}
        body = STEPS[spec.step].load()
        body(StepContext(spec.config, spec.hints, inputs, self.folder, self.device, report))
