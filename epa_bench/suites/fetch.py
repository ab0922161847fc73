"""What `epa-bench suites fetch` does: the sources of some suites, brought into the cache."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from epa_bench.core.errors import SuiteError
from epa_bench.suites.definitions import SourcedSuite
from epa_bench.suites.download import fetch_sources
from epa_bench.suites.registry import registry
from epa_bench.suites.sources import source_cache


def fetch_suites(names: Sequence[str], mirror: Path | None, folders: Sequence[Path]) -> list[dict[str, Any]]:
    """One row a file, with its path in the cache. Raises SuiteError where a suite or a file cannot be had."""
    found, cache = registry(folders), source_cache(mirror)
    rows = []
    for name in dict.fromkeys(names):
        suite = found.load(name, {})
        if not isinstance(suite, SourcedSuite):
            raise SuiteError(f"suite {name} needs no files of others; there is nothing to fetch")
        for role, path in fetch_sources(cache, suite.sources, name).items():
            source = suite.sources[role]
            rows.append(
                {
                    "suite": name,
                    "role": role,
                    "file": str(path),
                    "bytes": path.stat().st_size,
                    "sha256": source.sha256,
                    "licence": source.licence,
                }
            )
    return rows
