"""A folder that serves files by their sha256, whatever they are called there."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from epa_bench.core.digest import file_sha256
from epa_bench.core.errors import StoreError, SuiteError
from epa_bench.core.files import write_json


@dataclass(frozen=True)
class Mirror:
    """The files below a folder. Each is read once; its digest is remembered until it changes."""

    folder: Path
    memo: Path
    """Remembers digests between runs."""

    _fresh: dict[str, str] = field(default_factory=dict, repr=False)

    def find(self, sha256: str, likely_name: str, size: int | None) -> Path | None:
        """A file with these bytes, or None. One with the likely name is read first, one of another size not at all.

        Raises SuiteError where the mirror is no folder or a file in it cannot be read.
        """
        candidates = [path for path, stat in self._files if size is None or stat.st_size == size]
        try:
            for path in sorted(candidates, key=lambda path: path.name != likely_name):
                if self._digest(path) == sha256:
                    return path
            return None
        finally:
            self._remember()

    def of_name(self, name: str) -> Iterator[tuple[str, str]]:
        """(path, sha256) of the files called so: what stands where another file was expected."""
        for path, _ in self._files:
            if path.name == name:
                yield path.relative_to(self.folder).as_posix(), self._digest(path)

    @cached_property
    def _files(self) -> list[tuple[Path, os.stat_result]]:
        if not self.folder.is_dir():
            raise SuiteError(f"no mirror folder at {self.folder}; correct the path")
        return [(path, path.stat()) for path in sorted(self.folder.rglob("*")) if path.is_file()]

    @cached_property
    def _known(self) -> dict[str, str]:
        """The memo; without one, or with one that is damaged, files are read again."""
        try:
            known = json.loads(self.memo.read_bytes())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def _digest(self, path: Path) -> str:
        stat = path.stat()
        key = f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"
        if key not in self._known and key not in self._fresh:
            try:
                self._fresh[key] = file_sha256(path)
            except OSError as error:
                raise SuiteError(f"cannot read {path} in the mirror: {error.strerror}") from error
        return self._fresh.get(key) or self._known[key]

    def _remember(self) -> None:
        if not self._fresh:
            return
        try:
            write_json(self.memo, {**self._known, **self._fresh})
        except StoreError:
            # Only speed is lost, and the caller will say so if it cannot write here either.
            return
