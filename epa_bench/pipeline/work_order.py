"""A sweep's cells as a file, so that one of them can be computed by a process that knows nothing but the file's path.

    STORE/orders/NAME/order.json     recipes, labels and hints of the cells, and how to compute them

JSON, not a pickle: it lies in a folder that others may be able to write to. A recipe is believed only if its digest is
the address that was asked for.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from epa_bench.core.code import package_versions
from epa_bench.core.digest import digest_of
from epa_bench.core.errors import ConfigError, StoreError
from epa_bench.core.files import atomic_write_text
from epa_bench.core.records import Record
from epa_bench.core.store import CellSpec, Store
from epa_bench.execution.cell_process import unseen
from epa_bench.execution.device import Device, resolve_device
from epa_bench.pipeline.cell_runner import CellRunner
from epa_bench.steps.context import Report
from epa_bench.steps.table import STEPS

ORDER = "order.json"


class _OrderedCell(Record):
    """A CellSpec whose inputs are named by their digests."""

    step: str
    config: dict[str, Any]
    inputs: dict[str, str]
    versions: dict[str, str]
    label: str
    hints: dict[str, Any]


class WorkOrder(Record):
    """`order.json`."""

    format: Literal[1] = 1

    folder: str
    """Where the sweep was started: relative paths of hints start there. Absolute."""

    store: str
    """Absolute."""

    device: Device

    cells: dict[str, _OrderedCell]
    """By digest, with everything they need."""

    again: dict[str, tuple[str, ...]]
    """As `CellRunner.again`, in digests."""


def write_order(
    cells: Sequence[CellSpec], store: Store, device: Device, again: Mapping[str, Sequence[CellSpec]]
) -> Path:
    """Writes an order of the cells and of all they need (which must be among them); gives its path, absolute.

    Raises StoreError where the disk is full or not writable.
    """
    order = WorkOrder(
        folder=os.getcwd(),
        store=str(store.root.resolve()),
        device=device,
        cells={cell.digest: _ordered(cell) for cell in cells},
        again={digest: tuple(cell.digest for cell in made_from) for digest, made_from in again.items()},
    )
    # A name of its own: two drivers may be at the same cells, and the first to end removes what is its own.
    name = digest_of([sorted(order.cells), socket.gethostname(), os.getpid()])[:16]
    path = Path(order.store) / "orders" / name / ORDER
    atomic_write_text(path, order.model_dump_json() + "\n")
    return path


def cell_command(order: Path) -> tuple[str, ...]:
    """What computes a cell of the order, as a module and its arguments; the cell's digest comes last."""
    return ("epa_bench", "cell", "--lifeline", str(order))


def _ordered(cell: CellSpec) -> _OrderedCell:
    return _OrderedCell(
        step=cell.step,
        config=dict(cell.config),
        inputs={name: need.digest for name, need in cell.inputs.items()},
        versions=dict(cell.versions),
        label=cell.label,
        hints=dict(cell.hints),
    )


def run_ordered(path: Path, digest: str, report: Report) -> None:
    """Computes one cell of the order in this process, unless the store has it.

    Raises StoreError where order, store or the sweep's folder cannot be seen from here or the order was changed,
    ConfigError where this machine lacks the device or has other versions; else as the cell's step.
    """
    order = _read(path)
    # A digest is the name of a folder; this one comes from a command line.
    if digest not in order.cells:
        raise StoreError(f"{path} orders no cell {digest}; it orders {len(order.cells)} others")
    spec = _spec(order, digest, path)
    _check_place(order)
    os.chdir(order.folder)
    _check_versions(spec, order.device)
    resolve_device(order.device)
    outdates = [_spec(order, made_from, path) for made_from in order.again.get(digest, ())]
    again = {digest: outdates} if digest in order.again else {}
    CellRunner(Path(order.store), order.device, again)(spec, report)


def _read(path: Path) -> WorkOrder:
    try:
        return WorkOrder.model_validate_json(path.read_bytes())
    except OSError as error:
        raise StoreError(unseen(path)) from error
    except ValidationError as error:
        raise StoreError(
            f"{path} is no work order of this version of epa-bench, or is damaged; run the sweep again"
        ) from error


def _spec(order: WorkOrder, digest: str, path: Path) -> CellSpec:
    """The cell with its inputs, each checked against its address."""
    built: dict[str, CellSpec] = {}

    def build(digest: str) -> CellSpec:
        if digest not in built:
            cell = order.cells.get(digest)
            if cell is None:
                raise StoreError(f"{path} lacks the cell {digest} that another one needs; run the sweep again")
            inputs = {name: build(need) for name, need in cell.inputs.items()}
            built[digest] = CellSpec(cell.step, cell.config, inputs, cell.versions, cell.label, cell.hints)
            if built[digest].digest != digest or cell.step not in STEPS:
                raise StoreError(
                    f"{path}: the recipe of {digest} ({cell.label}) is not that of its address: it was changed"
                )
        return built[digest]

    return build(digest)


def _check_place(order: WorkOrder) -> None:
    for path in (Path(order.folder), Path(order.store, "store.json")):
        if not path.exists():
            raise StoreError(unseen(path))


def _check_versions(spec: CellSpec, device: Device) -> None:
    """What is computed here must be what the address says."""
    here = {**package_versions(spec.versions), **STEPS[spec.step].versions(device)}
    apart = [
        f"{name} {here.get(name, 'not installed')} instead of {spec.versions.get(name, 'none')}"
        for name in sorted({*here, *spec.versions})
        if here.get(name) != spec.versions.get(name)
    ]
    if apart:
        raise ConfigError(
            f"{socket.gethostname()} has other versions than where the sweep was started: {', '.join(apart)}. Install "
            "the same epa-bench and packages on every node"
        )
