"""A finished cell on disk: its manifest, and its files checked against it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from epa_bench.core.digest import file_sha256
from epa_bench.core.errors import StoreError
from epa_bench.core.records import Record

FORMAT = 1
"""Raised when the layout above or the meaning of a cell's address changes."""

MANIFEST = "cell.json"


class Output(Record):
    """A file of a cell, as it was written."""

    sha256: str
    bytes: int


class Manifest(Record):
    """`cell.json`."""

    format: int
    label: str
    recipe: dict[str, Any]
    outputs: dict[str, Output]

    seconds: float
    """Wall time of the last attempt; a resumed cell took longer in all."""

    processor: str | None = None
    """Of the machine that computed it: torch rounds differently on another kind. None in cells of older versions."""


@dataclass(frozen=True)
class Cell:
    """A finished cell on disk."""

    folder: Path
    manifest: Manifest

    def file(self, name: str) -> Path:
        """Path of an output, checked against the size it was written with.

        Raises StoreError where the file is missing or has been changed.
        """
        path = self.folder / name
        expected = self.manifest.outputs.get(name)
        if expected is None:
            raise StoreError(f"{self.folder} holds no {name}; it holds {', '.join(sorted(self.manifest.outputs))}")
        if not path.is_file() or path.stat().st_size != expected.bytes or file_sha256(path) != expected.sha256:
            raise StoreError(
                f"{path} is not what was written (damaged or edited). Delete the folder {self.folder} and run again: "
                "only this cell and what needs it will be recomputed."
            )
        return path


def read_cell(folder: Path) -> Cell:
    """The finished cell in a folder. Raises StoreError where it is absent, damaged or of another format."""
    path = folder / MANIFEST
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise StoreError(f"no {folder.parent.name} cell at {folder}; run the sweep first") from error
    except ValidationError as error:
        raise StoreError(f"{path} is damaged; delete the folder {folder} and run again") from error
    if manifest.format != FORMAT:
        raise other_format(path, manifest.format)
    return Cell(folder, manifest)


def other_format(path: Path, found: int) -> StoreError:
    """For what another version wrote."""
    return StoreError(
        f"{path} was written in store format {found}, this version reads format {FORMAT}. Nothing was changed: use the "
        "version of epa-bench that wrote it, or choose another output.folder."
    )
