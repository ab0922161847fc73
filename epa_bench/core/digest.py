"""Digests: what makes a cell, a prompt or a file the same as another."""

import hashlib
import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

DIGEST_CHARS = 32
"""128 bits of SHA-256, enough that two different inputs never meet."""


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal bytes, whatever the order of their keys.

    1 and 1.0 are two values; pydantic's float fields make both 1.0. Raises ValueError for NaN and infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: Any) -> str:
    """Digest of anything JSON can hold."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:DIGEST_CHARS]


def file_sha256(path: Path) -> str:
    """Full SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(folder: Path, patterns: Iterable[str], *, without: Collection[str] = ()) -> str:
    """Digest of the matching files of a folder: their relative names and their bytes, not their times.

    `without`: names of files that do not count.
    """
    found = {path for pattern in patterns for path in folder.rglob(pattern) if path.is_file()}
    files = sorted(path for path in found if path.name not in without)
    return digest_of([[path.relative_to(folder).as_posix(), file_sha256(path)] for path in files])


def stable_seed(*parts: Any) -> int:
    """A 63-bit seed from named parts; does not depend on PYTHONHASHSEED."""
    return int(hashlib.sha256(canonical_json(list(parts)).encode()).hexdigest()[:16], 16) >> 1
