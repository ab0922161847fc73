"""Which code and which engines a result came from."""

import functools
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from epa_bench.core.digest import digest_of, file_sha256, folder_digest

_PACKAGE = Path(__file__).resolve().parents[1]


@functools.cache
def source_digest(place: str) -> str:
    """Digest of one room's source files (`losses`), or of one file (`data/plan.py`)."""
    path = _PACKAGE / place
    # The digest of no files would be one that no change of the code could alter.
    assert path.exists(), f"no source at {path}"
    return file_sha256(path) if path.is_file() else folder_digest(path, ["*.py"])


def code_digest(places: Iterable[str]) -> str:
    """Digest of the code a step runs: editing the renderer of tables must not make a training owed again."""
    return digest_of({place: source_digest(place) for place in places})


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """Installed versions, without importing anything; a package that is not installed is left out."""
    versions = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
