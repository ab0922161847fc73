"""Whether everything in a store is what was written, and removing what nobody needs."""

from collections.abc import Collection, Iterator
from pathlib import Path

from epa_bench.core.cell import MANIFEST, Cell, read_cell
from epa_bench.core.digest import digest_of
from epa_bench.core.errors import Problem, StoreError
from epa_bench.core.files import storage_errors
from epa_bench.core.lock import CellLock
from epa_bench.core.records import Record
from epa_bench.core.store import Store


class CheckedStore(Record):
    """What a check found."""

    cells: int
    files: int
    bytes: int
    """Of the cells' files."""

    staged: int
    """Unfinished cells, kept for a run to go on from."""

    problems: tuple[Problem, ...]


def check_store(store: Store) -> CheckedStore:
    """Reads every file of every cell and compares it with the digest it was written with."""
    problems: list[Problem] = []
    files, size = 0, 0
    folders = _cell_folders(store)
    for folder in folders:
        try:
            cell = read_cell(folder)
        except StoreError as error:
            problems.append(Problem(str(folder), str(error)))
            continue
        problems += _problems(cell)
        files += len(cell.manifest.outputs)
        size += sum(output.bytes for output in cell.manifest.outputs.values())
    staged = sum(1 for path in (store.root / "staging").glob("*") if path.is_dir())
    return CheckedStore(cells=len(folders), files=files, bytes=size, staged=staged, problems=tuple(problems))


def _problems(cell: Cell) -> Iterator[Problem]:
    folder, recipe = cell.folder, cell.manifest.recipe
    if (recipe.get("step"), digest_of(recipe)) != (folder.parent.name, folder.name):
        yield Problem(str(folder), "its recipe is not that of its address; delete the folder and run again")
    for name in cell.manifest.outputs:
        try:
            cell.file(name)
        except StoreError as error:
            yield Problem(str(folder / name), str(error))
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for name in sorted(found - {MANIFEST, *cell.manifest.outputs}):
        yield Problem(str(folder / name), "no file of the cell; remove it")


def _cell_folders(store: Store) -> list[Path]:
    return sorted(path for path in (store.root / "cells").glob("*/*") if path.is_dir())


class Unreferenced(Record):
    """Cells of a step that no run names."""

    step: str
    digests: tuple[str, ...]
    bytes: int


def unreferenced(store: Store, referenced: Collection[str]) -> list[Unreferenced]:
    """What `referenced` does not name, finished or staged. Replies of judges are no cells: they were paid for."""
    found: dict[str, dict[str, int]] = {}
    folders = [(path.parent.name, path.name, path) for path in _cell_folders(store)]
    for path in sorted(path for path in (store.root / "staging").glob("*") if path.is_dir()):
        step, _, digest = path.name.removesuffix(".removed").rpartition("-")
        folders.append((step, digest, path))
    for step, digest, folder in folders:
        if digest not in referenced:
            of_step = found.setdefault(step, {})
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            of_step[digest] = of_step.get(digest, 0) + size
    return [
        Unreferenced(step=step, digests=tuple(sorted(of_step)), bytes=sum(of_step.values()))
        for step, of_step in sorted(found.items())
    ]


def remove(store: Store, found: Collection[Unreferenced]) -> int:
    """Removes them; gives how many stayed because a process is computing them now. Raises StoreError."""
    busy = 0
    locks = store.root / "locks"
    for of_step in found:
        for digest in of_step.digests:
            with storage_errors(store.root):
                locks.mkdir(exist_ok=True)
                lock = CellLock(locks, digest)
                if lock.try_acquire() is not None:
                    busy += 1
                    continue
                try:
                    store.discard(of_step.step, digest, staged=True)
                finally:
                    lock.release()
    return busy
