"""The content-addressed store: a cell is one step's work, found by everything that went into it.

    ROOT/store.json                      the format's version
    ROOT/cells/STEP/DIGEST/cell.json     what it is: config, inputs, versions, and the sha256 of its files
    ROOT/staging/STEP-DIGEST/            work in progress; kept after a crash, so that a step can go on from it
    ROOT/locks/DIGEST.lock, .owner       held by the process that computes the cell, released by its death
    ROOT/attempts.jsonl                  who tried to compute what, when, and what came of it
    ROOT/orders/NAME/                    what a driver on a cluster asks of other machines, and their logs

A cell appears by one rename, so it is complete or absent. Its address is known before it is computed (a digest of
recipes, as in Nix), so what is owed can be listed without running anything.
"""

import errno
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from epa_bench.core.attempts import attempted
from epa_bench.core.cell import FORMAT, MANIFEST, Cell, Manifest, Output, other_format, read_cell
from epa_bench.core.digest import digest_of, file_sha256
from epa_bench.core.errors import StoreError
from epa_bench.core.files import atomic_write_text, disk_full, no_space_left, storage_errors, write_json
from epa_bench.core.lock import CellLock
from epa_bench.core.notices import notice
from epa_bench.core.processor import processor_name
from epa_bench.core.records import Record


@dataclass(frozen=True)
class CellSpec:
    """The recipe of a cell. Two equal recipes are the same cell."""

    step: str
    """Name of the step that computes it."""

    config: Mapping[str, Any]
    """The resolved settings the step reads, and only those."""

    inputs: Mapping[str, "CellSpec"]
    """The cells it reads, by the name the step knows them by."""

    versions: Mapping[str, str]
    """Code digest of the step's rooms and versions of its engines."""

    label: str = ""
    """For people; not part of the address."""

    hints: Mapping[str, Any] = field(default_factory=dict)
    """Where to find what `config` names by content (a path); not part of the address."""

    @cached_property
    def digest(self) -> str:
        return digest_of(self.recipe())

    def recipe(self) -> dict[str, Any]:
        """What the address is the digest of."""
        return {
            "step": self.step,
            "config": self.config,
            "inputs": {name: spec.digest for name, spec in self.inputs.items()},
            "versions": self.versions,
        }

    @property
    def needs(self) -> tuple["CellSpec", ...]:
        """Every cell that must be done before this one."""
        return tuple(self.inputs.values())


class Store:
    """A folder of cells. Opening a folder that holds another format raises StoreError and touches nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        stamp = root / "store.json"
        with storage_errors(root):
            if stamp.exists():
                _check_format(stamp)
                return
            # Another first run may be about to write the stamp: its temporary file is no stranger's.
            if root.is_dir() and any(stamp.name not in path.name for path in root.iterdir()):
                raise StoreError(f"{root} is not empty and not an epa-bench store; choose another output.folder")
            write_json(stamp, {"format": FORMAT})

    def folder(self, spec: CellSpec) -> Path:
        """Where the cell is, or will be."""
        return self.root / "cells" / spec.step / spec.digest

    def has(self, spec: CellSpec) -> bool:
        # Asked of every cell of a sweep; paths as objects would cost more than the system's answer.
        return os.path.isfile(f"{self.root}/cells/{spec.step}/{spec.digest}/{MANIFEST}")

    def open(self, spec: CellSpec) -> Cell:
        """The finished cell. Raises StoreError where it is absent, damaged or of another format."""
        return read_cell(self.folder(spec))

    def compute(
        self,
        spec: CellSpec,
        work: Callable[[Path], None],
        *,
        resumes: bool = False,
        outdates: Sequence[CellSpec] | None = None,
    ) -> Cell:
        """The cell, computed by `work(staging folder)` unless it is there already.

        Another process that computes the same cell is waited for. `resumes`: the step goes on from what an earlier,
        killed attempt left in the staging folder; otherwise it starts from an empty one. `outdates`: compute the cell
        although it is there, and when the new one is whole, remove these, which were made from the old one.
        Raises StoreError where the disk is full or not writable; whatever `work` raises leaves no cell, or the old one.
        """
        if self.has(spec) and outdates is None:
            return self.open(spec)
        with storage_errors(self.root):
            before = self.stamp(spec)
            lock = self.lock(spec)
            lock.acquire(lambda owner: notice(f"{spec.label or spec.step} is being computed by {owner}; waiting"))
            try:
                # What another process made meanwhile is not made again, nor what it replaced.
                if not self.has(spec) or (outdates is not None and self.stamp(spec) == before):
                    with attempted(self.root, spec):
                        staging = self._staged(spec, work, resumes)
                        for cell in (*(outdates or ()), spec):
                            self.discard(cell.step, cell.digest)
                        os.replace(staging, self.folder(spec))
            finally:
                lock.release()
        return self.open(spec)

    def stamp(self, spec: CellSpec) -> tuple[int, int] | None:
        """Differs after the cell was computed anew; None where it is absent."""
        try:
            found = (self.folder(spec) / MANIFEST).stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    def lock(self, spec: CellSpec) -> CellLock:
        """The cell's lock, not yet taken."""
        locks = self.root / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        return CellLock(locks, spec.digest)

    def discard(self, step: str, digest: str, *, staged: bool = False) -> None:
        """Removes a cell, and with `staged` what was begun of it. A killed removal leaves it whole or absent."""
        folder, staging = self.root / "cells" / step / digest, self.root / "staging" / f"{step}-{digest}"
        removed = staging.with_name(f"{staging.name}.removed")
        if removed.exists():
            shutil.rmtree(removed)
        if folder.exists():
            removed.parent.mkdir(exist_ok=True)
            os.replace(folder, removed)
            shutil.rmtree(removed)
        if staged and staging.exists():
            shutil.rmtree(staging)

    def _staged(self, spec: CellSpec, work: Callable[[Path], None], resumes: bool) -> Path:
        """The whole cell, not yet in its place."""
        staging = self.root / "staging" / f"{spec.step}-{spec.digest}"
        if staging.exists() and not resumes:
            shutil.rmtree(staging)
        staging.mkdir(parents=True, exist_ok=True)
        for half_written in staging.rglob(".*.tmp"):
            half_written.unlink()
        start = time.monotonic()
        try:
            work(staging)
        except Exception as error:
            # Writers of weights report a full disk as errors of their own (SafetensorError, RuntimeError), and may
            # leave space again by removing what they began.
            if no_space_left(staging) or os.strerror(errno.ENOSPC) in str(error):
                raise disk_full(staging) from error
            raise
        manifest = Manifest(
            format=FORMAT,
            label=spec.label,
            recipe=spec.recipe(),
            outputs=_seal(staging),
            seconds=time.monotonic() - start,
            processor=processor_name(),
        )
        atomic_write_text(staging / MANIFEST, manifest.model_dump_json(indent=1) + "\n")
        self.folder(spec).parent.mkdir(parents=True, exist_ok=True)
        return staging


def _seal(folder: Path) -> dict[str, Output]:
    """Flushes every file to disk and takes its digest."""
    outputs = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        name = path.relative_to(folder).as_posix()
        outputs[name] = Output(sha256=file_sha256(path), bytes=path.stat().st_size)
    return outputs


def _check_format(stamp: Path) -> None:
    class Stamp(Record):
        format: int

    try:
        found = Stamp.model_validate_json(stamp.read_bytes()).format
    except ValidationError as error:
        raise StoreError(f"{stamp} is not an epa-bench store's; choose another output.folder") from error
    if found != FORMAT:
        raise other_format(stamp, found)
