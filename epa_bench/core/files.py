"""Writing so that a reader never sees half a file, and reading JSON lines so that damage is named by row."""

import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from epa_bench.core.errors import DataError, DiskError, Problem, StoreError, list_problems
from epa_bench.core.records import Record

_R = TypeVar("_R", bound=Record)

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_PERMISSION = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_FOLDER = {errno.ENOTDIR, errno.EEXIST}
_ELSEWHERE = "choose another with --set output.folder=..."


@contextmanager
def storage_errors(path: Path, elsewhere: str = _ELSEWHERE) -> Iterator[None]:
    """Turns the operating system's refusals to write below `path` into a DiskError that says what to do.

    `elsewhere` says how another folder is chosen.
    """
    try:
        yield
    except OSError as error:
        place = Path(error.filename) if isinstance(error.filename, str) else path
        if error.errno in _DISK_FULL:
            raise disk_full(place, elsewhere) from error
        if error.errno in _NO_PERMISSION:
            raise DiskError(f"no permission to write {place}. Make the folder writable, or {elsewhere}") from error
        if error.errno in _NO_FOLDER:
            raise StoreError(f"cannot write {place}: a file stands where a folder should be") from error
        raise


def disk_full(place: Path, elsewhere: str = _ELSEWHERE) -> DiskError:
    return DiskError(
        f"no space left to write {place}. What was finished is kept; free some space, or {elsewhere}, and run the "
        "same command again."
    )


def no_space_left(folder: Path) -> bool:
    """Whether the disk that holds `folder` is full to the last 64 KiB."""
    return shutil.disk_usage(folder).free < 2**16


def atomic_write_text(path: Path, text: str) -> None:
    """As `atomic_write_bytes`, in UTF-8."""
    atomic_write_bytes(path, text.encode())


def atomic_write_bytes(path: Path, content: bytes) -> None:
    """Writes a whole file or leaves the old one: temporary file beside it, fsync, rename.

    A device or a pipe is written to: a rename would put a file in the place of /dev/null. Raises StoreError where the
    disk is full or the folder not writable.
    """
    _atomic_write(path, [content])


def _atomic_write(path: Path, parts: Iterable[bytes]) -> None:
    with storage_errors(path):
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(b"".join(parts))
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with staged.open("wb") as file:
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
            os.replace(staged, path)
        finally:
            staged.unlink(missing_ok=True)


def write_records(path: Path, records: Iterable[Record]) -> None:
    """One JSON line a record, atomically, and as they come. Raises StoreError as `atomic_write_text`."""
    _atomic_write(path, ((record.model_dump_json(exclude_none=True) + "\n").encode() for record in records))


def read_records(path: Path, kind: type[_R]) -> list[_R]:
    """The records of a JSON-lines file.

    Raises DataError that lists every damaged row by number, or says that there is no such file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    records: list[_R] = []
    problems: list[Problem] = []
    # Bytes, so that what is not UTF-8 is a damaged row like others, and a row ends at a newline only, not at U+2028.
    rows = content.removesuffix(b"\n").split(b"\n") if content else []
    for number, line in enumerate(rows, start=1):
        try:
            records.append(kind.model_validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            problems.append(Problem(f"{path}, row {number}", f"{place + ': ' if place else ''}{first['msg']}"))
    if problems:
        raise DataError(list_problems(problems, str(path)))
    return records


def write_json(path: Path, value: object) -> None:
    """Indented JSON with sorted keys, atomically; refuses NaN with ValueError."""
    atomic_write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")
